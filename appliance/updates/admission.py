"""Whether a bundle may be installed: the one gate for sticks, the page, the network and fleets.

RAUC has proved the signature before it asks. What is refused here would work against the box:
another trial at the same time, a version older than the one that proved itself, data that the
version before could not read any more, images that are just arriving.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.updates.record import TRIES, Record
from appliance.updates.release import Bundle, NoRelease, Release, Schema
from appliance.updates.slots import Slot


class Refused(Exception):
    """A bundle is not taken: a sentence, and what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence, remedy)
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


class AlreadyInstalled(Refused):
    """It is what runs here."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How the box is when it is asked to install something."""

    slot: Slot
    """That runs."""
    release: Release
    root_hash: str
    record: Record
    arriving: bool = False
    """Whether instances are being received."""
    told: bool = False
    """Whether somebody said that this does not matter."""


def admit(bundle: Bundle, now: Situation) -> None:
    """Return if a bundle may be installed. Raises Refused."""
    if bundle.root_hash == now.root_hash:
        raise AlreadyInstalled(
            f"The box runs version {now.release.version} of this bundle already.",
            "Please remove the stick, if there is one.",
        )
    if now.record.trial(now.slot):
        raise Refused(
            f"Version {now.release.version} is still being tried.",
            "Wait until the light is steady, and try again.",
        )
    _check_tries(bundle, now.record)
    _check_version(bundle, now)
    _check_schemas(bundle.release, now.release)
    if now.arriving and not now.told:
        raise Refused(
            "Images are being received.",
            'Try again when the box is idle, or allow it: while_receiving = true in "[update]".',
        )


def _check_tries(bundle: Bundle, record: Record) -> None:
    last = record.given_up
    if last is not None and last.root_hash == bundle.root_hash and last.times >= TRIES:
        raise Refused(
            f"Version {last.version} was tried {last.times} times and did not work: "
            f"{last.sentence}",
            "Install another version.",
        )


def _check_version(bundle: Bundle, now: Situation) -> None:
    floor = now.record.floor or now.release.version
    try:
        if not bundle.release.is_older_than(floor):
            return
    except NoRelease as problem:
        raise Refused(f"{problem}.", "Ask the maker of the bundle.") from None
    raise Refused(
        f"Version {bundle.release.version} is older than {floor}, which this box has had.",
        "Install a newer version; an older one may have faults that are known since.",
    )


def _check_schemas(new: Release, old: Release) -> None:
    for name, theirs, ours in (
        ("catalogue", new.catalogue, old.catalogue),
        ("requests", new.requests, old.requests),
    ):
        if not _reads(ours, theirs):
            raise Refused(
                f"Version {new.version} changes the {name} so that version {old.version} could "
                "not return.",
                "Install a version between the two first.",
            )
        if not _reads(theirs, ours):
            raise Refused(
                f"Version {new.version} cannot read the {name} of version {old.version}.",
                "Install a newer version.",
            )


def _reads(reader: Schema, writer: Schema) -> bool:
    """Whether code of one version works on the database of another."""
    return reader.version >= writer.oldest_able
