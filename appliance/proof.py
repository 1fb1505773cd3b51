"""The proof that this version does its work on this box: an image in, a picture out.

It is done in an archive of its own beside the box's, with an AE of its own on loopback: the image
comes over the network, is de-identified, kept and rendered, all by the code that does so for a
PACS. What the box holds is not touched.
"""

from __future__ import annotations

import logging
import shutil
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_context

from appliance.archive.place import Place
from appliance.service import Service
from appliance.settings.model import Images, LocalAE, RemoteAE, Settings, Storage
from appliance.settings.units import MIB

LOGGER = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
WITHIN = 300.0
"""Seconds that storing and rendering get; a busy machine takes its time."""

_PREFIX = ".proof-"
_OURS, _SENDER = "NETTY-PROOF", "NETTY-SENDER"
_SIDE = 64


class NotProved(Exception):
    """This version does not do its work here; the text says what it did not do."""


def prove(folder: Path, within: float = WITHIN) -> None:
    """Take one image and make a picture of it, below `folder`. Raises NotProved, or OSError."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left)
    with TemporaryDirectory(dir=folder, prefix=_PREFIX) as scratch:
        place = Place(Path(scratch), Path(scratch) / "state")
        settings = _settings(_free_port())
        service = Service(settings, place, scheduled=False)
        service.start()
        try:
            _store(settings.ae, within)
            _wait_for_picture(service, within)
        finally:
            service.stop()
        if not list(place.folders.data.rglob("*.jpg")):
            raise NotProved("a picture is registered, and not on the disk")


def _settings(port: int) -> Settings:
    return Settings(
        revision=1,
        ae=LocalAE(title=_OURS, port=port, address=LOOPBACK, unsolicited="store"),
        remotes=(RemoteAE("proof", _SENDER, LOOPBACK, query=False),),
        images=Images(workers=1),
        storage=Storage(reserve=MIB),
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _store(ours: LocalAE, within: float) -> None:
    sender = AE(_SENDER)
    sender.acse_timeout = sender.dimse_timeout = sender.network_timeout = within
    sender.connection_timeout = within
    context = build_context(SecondaryCaptureImageStorage, ImplicitVRLittleEndian)
    association = sender.associate(LOOPBACK, ours.port, [context], ae_title=ours.title)
    if not association.is_established:
        raise NotProved("the AE takes no association")
    try:
        status = association.send_c_store(_image()).get("Status")
    finally:
        association.release()
    if status != 0x0000:
        answer = "not at all" if status is None else f"{status:04X}"
        raise NotProved(f"a C-STORE is answered {answer}")


def _image() -> Dataset:
    """A grey wedge."""
    image = Dataset()
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID, image.StudyInstanceUID = generate_uid(None), generate_uid(None)
    image.SeriesInstanceUID = generate_uid(None)
    image.PatientID = image.PatientName = "PROOF"
    image.Modality, image.ConversionType = "OT", "SYN"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = _SIDE
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = bytes(4 * column for _ in range(_SIDE) for column in range(_SIDE))
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return image


def _wait_for_picture(service: Service, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        status = service.catalogue.status()
        if status.rendered:
            return
        if status.failed or time.monotonic() > deadline:
            why = service.report().obstacle
            raise NotProved(f"no picture is made of an image{f': {why}' if why else ''}")
        time.sleep(0.2)
