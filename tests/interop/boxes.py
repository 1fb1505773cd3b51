"""The box in this process, as `appliance run` composes it, for as long as a test needs it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pydicom
from pydicom.dataset import Dataset

from appliance.archive.place import Place
from appliance.images.decoders import Proof, prove_in_subprocess
from appliance.images.deidentify import Deidentifier
from appliance.service import Service
from appliance.settings.model import Images, LocalAE, Query, RemoteAE, Settings, Storage, Timeouts

TITLE = "HAPPY_netty"
SENDER = RemoteAE(name="sender", title="SENDER", host="127.0.0.1", query=False)
PROMPT = Query(
    every=1,
    settle=1,
    retry_first=1,
    retry_longest=2,
    timeouts=Timeouts(association=30, response=30),
)
"""Asks every second, so that a test sees several rounds."""


def settings(
    port: int, *remotes: RemoteAE, ae: dict[str, Any] | None = None, **others: Any
) -> Settings:
    """Settings for a test: loopback only, one render worker, a reserve that every disk has."""
    return Settings(
        revision=1,
        ae=LocalAE(**{"title": TITLE, "port": port, "address": "127.0.0.1", **(ae or {})}),
        remotes=remotes,
        images=others.pop("images", Images(workers=1)),
        storage=Storage(reserve=1 << 20),
        query=others.pop("query", PROMPT),
        **others,
    )


@dataclass(frozen=True, slots=True)
class Box:
    """A box that runs."""

    service: Service
    place: Place
    settings: Settings

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def files(self) -> list[Path]:
        """Every file below the DICOM folder, temporary ones too."""
        return sorted(path for path in self.place.folders.dicom.rglob("*") if path.is_file())

    def file(self, instance: str) -> Path | None:
        """The DICOM file of an instance, by the SOP Instance UID that its sender gave it."""
        name = f"{self.deidentifier.uid(instance)}.dcm"
        return next(self.place.folders.dicom.glob(f"*/*/{name}"), None)

    def dataset(self, instance: str) -> Dataset:
        """What is kept of an instance, by the SOP Instance UID that its sender gave it."""
        file = self.file(instance)
        assert file is not None, f"{instance} is not kept"
        return pydicom.dcmread(file)

    @property
    def held(self) -> int:
        """Instances with a row."""
        return self.service.catalogue.status().instances

    @property
    def deidentifier(self) -> Deidentifier:
        """What maps a UID as the box does."""
        return Deidentifier(self.settings.images.deidentify, self.place.key)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 90) -> None:
        """Wait until `holds`; AssertionError with what the box says if it does not."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                status = self.service.catalogue.status()
                raise AssertionError(f"{what} in {seconds:g} s; the box says: {status}")
            time.sleep(0.05)


@cache
def _proofs() -> tuple[Proof, ...]:
    """What this machine decodes: the same for every box of a test run."""
    return prove_in_subprocess()


@contextmanager
def box(folder: Path, wanted: Settings, *, scheduled: bool = True) -> Iterator[Box]:
    """Run a box on `folder` until the block ends."""
    place = Place(folder / "data", folder / "state")
    for each in (place.data, place.state):
        each.mkdir(parents=True, exist_ok=True)
    with patch("appliance.images.decoders.prove_in_subprocess", _proofs):
        service = Service(wanted, place, scheduled)
    service.start()
    try:
        yield Box(service, place, wanted)
    finally:
        service.stop()
