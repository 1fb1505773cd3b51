"""The composition root: what it tells, what it forgets, and whom it answers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE

from appliance import service as module
from appliance.archive.catalogue import Catalogue
from appliance.archive.place import Place
from appliance.dicom.remotes import Caller, Remotes
from appliance.dicom.sop_classes import UNCOMPRESSED
from appliance.images.decoders import Proof
from appliance.images.rendering import Rendering
from appliance.service import Service
from appliance.settings.model import LocalAE, Mask, RemoteAE, Settings, Storage
from tests.unit.render import made

SETTINGS = Settings(
    revision=1,
    ae=LocalAE(port=0, address="127.0.0.1", profile="strict"),
    remotes=(RemoteAE(name="main", title="PACS", host="127.0.0.1", port=1, query=False),),
    storage=Storage(reserve=1 << 20),
)


@contextmanager
def box(folder: Path, settings: Settings = SETTINGS) -> Iterator[Service]:
    service = Service(settings, Place(folder / "data", folder / "state"))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def soon(look: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_tells_when_it_started_and_how_it_is(tmp_path: Path) -> None:
    with box(tmp_path) as service:
        texts = [event.text for event in service.catalogue.status().events]
        assert texts == [f"started, listening on port {service.port}"]
        assert service.describe() == "working, 0 associations"
        service.requests.suspend()
        assert service.describe() == "suspended"


def test_a_request_to_a_remote_that_is_not_known_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOUSEKEEPING_EVERY", 0.1)
    with box(tmp_path) as service:
        number = service.requests.ask_fetch("newcomer", patient_id="P1")
        soon(lambda: service.requests.find(number).state == "finished")
        assert service.requests.find(number).sentence == (
            "newcomer is not known to the AE that runs; restart it"
        )


def test_what_a_remote_listed_is_forgotten_when_the_settings_do_not_name_it_any_more(
    tmp_path: Path,
) -> None:
    with box(tmp_path) as service:
        service.catalogue.list_study("1.2", "main", ["1.2.3"])
        assert service.catalogue.status().outstanding == 1
    other = replace(SETTINGS, remotes=(replace(SETTINGS.remotes[0], name="other"),))
    with box(tmp_path, other) as service:
        soon(lambda: service.catalogue.status().outstanding == 0)


def test_the_same_rejection_is_an_event_once_and_counted_always(tmp_path: Path) -> None:
    with box(tmp_path) as service:
        for _ in range(5):
            service._note_rejection("association rejected", "'X' at 192.0.2.1 was rejected")
        service._note_rejection("association rejected", "'Y' at 192.0.2.1 was rejected")
        status = service.catalogue.status()
        assert status.counters["rejected associations"] == 6
        rejected = [event for event in status.events if event.subject == "association rejected"]
        assert len(rejected) == 2


def test_rejections_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REJECTIONS_REMEMBERED", 10)
    with box(tmp_path) as service:
        for number in range(35):
            service._note_rejection("association rejected", f"'X{number}'")
        assert len(service._rejections) <= 10


def test_a_mask_of_the_settings_is_on_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rendering, "start", lambda _: None)
    masks = (Mask(modality="OT", blank=((0, 0, 8, 2),)),)
    ae = replace(SETTINGS.ae, unsolicited="store")
    dataset = made.grey(np.full((8, 8), 7, np.uint8))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with box(tmp_path, replace(SETTINGS, masks=masks, ae=ae)) as service:
        sender = AE("PACS")
        sender.add_requested_context(dataset.SOPClassUID, ImplicitVRLittleEndian)
        association = sender.associate("127.0.0.1", service.port, ae_title=ae.title)
        assert association.send_c_store(dataset).Status == 0
        association.release()
    (file,) = (tmp_path / "data" / "dicom").rglob("*.dcm")
    assert dcmread(file).PixelData == bytes(16) + bytes([7]) * 48


JPEG = "1.2.840.10008.1.2.4.50"
LATE = Proof(UNCOMPRESSED[1], "Implicit VR Little Endian", "", False, "not done")


@pytest.mark.filterwarnings("ignore:Exception in thread")
@pytest.mark.parametrize("proofs", [(), None, (LATE, Proof(JPEG, "JPEG", "", False, "?"))])
def test_uncompressed_syntaxes_are_taken_even_if_nothing_was_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proofs: tuple[Proof, ...] | None
) -> None:
    def prove() -> tuple[Proof, ...]:
        if proofs is None:
            raise OSError("no process could be started")
        return proofs

    monkeypatch.setattr("appliance.images.decoders.prove_in_subprocess", prove)
    broad = replace(SETTINGS, ae=replace(SETTINGS.ae, profile="broad"))
    with box(tmp_path, broad) as service:
        assert service.proven == UNCOMPRESSED
        texts = " ".join(event.text for event in service.catalogue.status().events)
        assert ("JPEG is not accepted: ?" in texts) is bool(proofs)


def test_a_decoder_that_works_is_negotiated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "appliance.images.decoders.prove_in_subprocess", lambda: (Proof(JPEG, "JPEG", "any", True),)
    )
    broad = replace(SETTINGS, ae=replace(SETTINGS.ae, profile="broad"))
    with box(tmp_path, broad) as service:
        assert service.proven == (*UNCOMPRESSED, JPEG)


def test_it_may_call_itself_from_the_address_on_which_it_listens() -> None:
    remotes = Remotes("HAPPY_netty", (), own_address="192.0.2.5")
    assert remotes.caller("HAPPY_netty", "192.0.2.5") == Caller(None)
    assert remotes.caller("HAPPY_netty", "127.0.0.1") == Caller(None)
    assert remotes.caller("HAPPY_netty", "192.0.2.6") is None
    assert remotes.caller("OTHER", "192.0.2.5") is None
    assert Remotes("HAPPY_netty", ()).caller("HAPPY_netty", "192.0.2.5") is None


def test_what_it_leaves_behind_can_be_opened_at_once(tmp_path: Path) -> None:
    with box(tmp_path):
        pass
    Catalogue.open(tmp_path / "data/catalogue.sqlite").close()
