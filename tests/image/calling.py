"""Who calls the box from this machine: somebody who greets it, and a modality that never stops."""

import hashlib
import threading
from collections.abc import Sequence
from math import inf
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from tools.hospital.peers import VERIFICATION
from tools.hospital.sender import Node, at_once, presentation

TITLE = "MODALITY"
"""Under which both call."""


def echoes(node: Node, within: float = 8.0) -> bool:
    """Whether `node` answers a C-ECHO with success; each step of it gets so many seconds."""
    caller = AE(TITLE)
    caller.acse_timeout = caller.dimse_timeout = caller.network_timeout = within
    caller.connection_timeout = within
    association = caller.associate(
        node.host, node.port, [build_context(VERIFICATION)], ae_title=node.title
    )
    if not association.is_established:
        return False
    try:
        return bool(association.send_c_echo().get("Status") == 0x0000)
    except (RuntimeError, ValueError):  # The association ended under the request.
        return False
    finally:
        association.release()


def digest(dataset: Dataset) -> str:
    """What tells the pixels of one slice from those of another."""
    return hashlib.sha256(dataset.PixelData).hexdigest()


class Modality:
    """Sends the slices in `files` over and over, each time under a new SOP Instance UID.

    It does so on one association, which ends when the box does.
    """

    def __init__(self, node: Node, files: Sequence[Path], root: str) -> None:
        self._node = node
        self._slices = [pydicom.dcmread(file) for file in files]
        self._digests = [digest(slice_) for slice_ in self._slices]
        self._presentation = presentation(files[0])
        self._root = root
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.offered: dict[str, str] = {}
        """Digests of the pixels of all that was sent, by SOP Instance UID."""
        self.acknowledged: dict[str, str] = {}
        """Of these, what the box answered with success."""
        self.refused: list[object] = []
        """Other statuses that it answered with."""

    def start(self) -> None:
        """Begin to send, in a thread of its own."""
        self._thread = threading.Thread(
            target=self._send, args=(self._associate(),), name=f"modality {self._root}", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Wait until the thread has noticed that nobody takes anything any more, or stop it."""
        self._ended.set()
        assert self._thread is not None
        self._thread.join(90)
        assert not self._thread.is_alive(), "the modality hangs in a C-STORE"

    def send(self, most: float) -> None:
        """Send so many, or as many as the association lasts."""
        self._send(self._associate(), most)

    def _send(self, association: Association, most: float = inf) -> None:
        number = 0
        while number < most and association.is_established and not self._ended.is_set():
            slice_ = self._slices[number % len(self._slices)]
            uid, pixels = f"{self._root}.3.{number}", self._digests[number % len(self._slices)]
            number += 1
            slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = uid
            slice_.StudyInstanceUID, slice_.SeriesInstanceUID = f"{self._root}.1", f"{self._root}.2"
            self.offered[uid] = pixels
            try:
                status = association.send_c_store(slice_).get("Status")
            except (RuntimeError, ValueError):  # The association ended meanwhile.
                break
            if status == 0x0000:
                self.acknowledged[uid] = pixels
            elif status is not None:
                self.refused.append(status)
        association.release()

    def _associate(self) -> Association:
        caller = AE(TITLE)
        caller.dimse_timeout = caller.network_timeout = 60
        sop_class, syntax = self._presentation
        association = caller.associate(
            self._node.host,
            self._node.port,
            [build_context(sop_class, syntax)],
            ae_title=self._node.title,
            evt_handlers=[(evt.EVT_CONN_OPEN, at_once)],
        )
        assert association.is_established, "the box takes no slices of the modality"
        return association
