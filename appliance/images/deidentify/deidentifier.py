"""The de-identifier: a received dataset's bytes in, its de-identified header out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from appliance.archive.records import whole_number
from appliance.images.deidentify import actions as act
from appliance.images.deidentify import character_sets
from appliance.images.deidentify.basic import basic
from appliance.images.deidentify.clear import clear
from appliance.images.deidentify.codestream import Codestream
from appliance.images.deidentify.dates import DateShift
from appliance.images.deidentify.elements import CODECS, Encoding, Incomplete
from appliance.images.deidentify.encrypted import with_encrypted
from appliance.images.deidentify.engine import Engine, Replacements, Walk
from appliance.images.deidentify.envelope import Recipients
from appliance.images.deidentify.options import Options
from appliance.images.deidentify.pseudonyms import Pseudonyms
from appliance.images.deidentify.uids import SameUIDs, UIDMap

Profile = Literal["clear", "basic"]

_SHORTEST_KEY: Final = 16
_LONGEST_KEY: Final = 64
_FIRST_WINDOW: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Which instance a dataset is, and whose; empty where the dataset does not say."""

    sop_class: str
    sop_instance: str
    study: str
    series: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class Header:
    """The de-identified part of a dataset before its pixels, and what was learnt on the way.

    data: the elements, in the encoding of the input, in the order of their tags
    pixels_at: offset in the input of the pixel data element (7FE0,0008|0009|0010), from its tag
        on; None if the dataset ends without one. The caller passes that element on as it is, and
        drops what follows it: no element behind the pixels survives either profile
    original, mapped: the instance as received, and as written
    modality: as received, empty if the dataset does not say
    instance_number, rows, columns, bits_allocated: None if the dataset does not say, or not with a
        number
    frames: Number of Frames, 1 if the dataset does not say
    discarded: elements that were dropped because they could not be understood, with the reason;
        not those that the profile removes. Tags and offsets only, never a value
    coerced: what was put right, as a malformed name of a character set
    """

    data: bytes
    pixels_at: int | None
    original: Identity
    mapped: Identity
    modality: str
    instance_number: int | None
    frames: int
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    discarded: tuple[str, ...]
    coerced: tuple[str, ...]


class Deidentifier:
    """Takes the identity out of datasets, under one profile and one key.

    profile: "basic" for the Basic Application Level Confidentiality Profile (PS3.15 Annex E),
        "clear" to empty patient number, name and what else identifies, and keep the rest
    key: 16 to 64 secret bytes; the same key gives the same UIDs and pseudonyms
    pseudonyms: by patient ID, the pseudonyms that somebody chose
    options: of the basic profile, by their names in `options.NAMES`; ValueError for a choice that
        the standard excludes, and for one beside "clear"
    recipients: who may undo it: what was changed goes along, encrypted for them

    May be used by several threads at once.
    """

    def __init__(
        self,
        profile: Profile,
        key: bytes,
        pseudonyms: Mapping[str, str] | None = None,
        options: Collection[str] = (),
        recipients: Recipients | None = None,
    ) -> None:
        if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
            raise ValueError(
                f"the de-identification key has {len(key)} bytes; it needs "
                f"{_SHORTEST_KEY} to {_LONGEST_KEY}"
            )
        if options and profile != "basic":
            raise ValueError(f"the profile {profile} has no options; basic has")
        rules = basic(Options(options)) if profile == "basic" else clear()
        self._engine = Engine(
            rules,
            {codec: Replacements(codec, rules.markers) for codec in CODECS.values()},
            UIDMap(key) if profile == "basic" else SameUIDs(),
            Pseudonyms(key, pseudonyms or {}) if profile == "basic" else None,
            DateShift(key),
        )
        self._recipients = recipients
        self._instances = SameUIDs() if "retain_uids" in options else self._engine.uids

    def uid(self, original: str) -> str:
        """The UID that stands for that of a study, series or instance in what is written."""
        return self._instances.map(original)

    def codestream(self, transfer_syntax: str) -> Codestream | None:
        """What takes comments out of the compressed pixels of an instance.

        None where there can be none, and under `clear`.
        """
        return Codestream.of(transfer_syntax) if self._engine.pseudonyms else None

    def pseudonym(self, patient_id: str) -> str:
        """What stands for a patient ID in what is written: nothing, under `clear`."""
        pseudonyms = self._engine.pseudonyms
        return "" if pseudonyms is None else pseudonyms(patient_id)

    def header(
        self,
        data: bytes | bytearray | memoryview,
        encoding: Encoding,
        *,
        complete: bool,
        character_set: str | None = None,
    ) -> Header | None:
        """De-identify a dataset up to its pixels.

        data: the dataset from its first byte, as far as it was received; inflated, if deflated
        encoding: how its elements are laid out
        complete: whether `data` is all of the dataset
        character_set: Specific Character Set for a dataset that names none; values are separated
            by a backslash

        Returns None if the pixels may still come: call again with more data, best with twice as
        much. Raises Malformed if the dataset cannot be understood.
        """
        label = character_sets.repair((character_set or "").encode("latin-1", "replace"))
        size, window = len(data), _FIRST_WINDOW
        while True:  # copy little more than the header, however much of the pixels is there
            part = bytes(data[:window])
            walk = Walk(
                part,
                encoding,
                self._engine,
                complete=complete and len(part) == size,
                character_set=label,
            )
            try:
                elements = walk.run()
            except Incomplete:
                if window >= size:
                    return None
                window *= 4
                continue
            if self._recipients is not None:
                original = part[: walk.pixels_at]
                codec = CODECS[encoding]
                elements = with_encrypted(original, elements, codec, self._recipients)
            return _header(walk, elements, encoding)


def _header(walk: Walk, elements: bytes, encoding: Encoding) -> Header:
    order: Literal["little", "big"] = "little" if encoding.little_endian else "big"
    return Header(
        data=elements,
        pixels_at=walk.pixels_at,
        original=_identity(walk, walk.noted, walk.patient_id),
        mapped=_identity(walk, walk.noted | walk.mapped, walk.pseudonym),
        modality=_text(walk.noted, act.MODALITY),
        instance_number=_integer(walk.noted, act.INSTANCE_NUMBER),
        frames=max(1, _integer(walk.noted, act.FRAMES) or 1),
        rows=_short(walk.noted, act.ROWS, order),
        columns=_short(walk.noted, act.COLUMNS, order),
        bits_allocated=_short(walk.noted, act.BITS_ALLOCATED, order),
        discarded=tuple(walk.discarded),
        coerced=tuple(walk.coerced),
    )


def _identity(walk: Walk, values: dict[int, bytes], patient_id: str) -> Identity:
    return Identity(
        sop_class=_text(walk.noted, act.SOP_CLASS),
        sop_instance=_text(values, act.SOP_INSTANCE),
        study=_text(values, act.STUDY),
        series=_text(values, act.SERIES),
        patient_id=patient_id,
    )


def _text(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").decode("latin-1").strip(" \0")


def _integer(values: dict[int, bytes], tag: int) -> int | None:
    return whole_number(values.get(tag, b"").strip(b" \0"))


def _short(values: dict[int, bytes], tag: int, order: Literal["little", "big"]) -> int | None:
    value = values.get(tag, b"")
    return int.from_bytes(value, order) if len(value) in (2, 4) else None  # 4: UL for US
