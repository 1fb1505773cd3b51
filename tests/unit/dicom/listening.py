"""A listener of ours on a free loopback port, before a storage that only remembers."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from appliance.dicom.inline import StoreRequest
from appliance.dicom.remotes import AddressBook, Caller, Remotes
from appliance.dicom.scp import Admission, Listener, supported_contexts
from appliance.dicom.sop_classes import UNCOMPRESSED
from appliance.dicom.statuses import SUCCESS, StoreStatus
from appliance.settings.model import LocalAE, RemoteAE

SENDER = RemoteAE(name="sender", title="SENDER", host="127.0.0.1")
OURS = LocalAE(address="127.0.0.1")
SUCCESSFUL = StoreStatus(SUCCESS)


@dataclass
class Remembered:
    """What came of one C-STORE. Implements `Reception`."""

    request: StoreRequest
    status: StoreStatus
    data: bytearray = field(default_factory=bytearray)
    outcome: str = "open"

    def feed(self, views: Sequence[memoryview]) -> None:
        assert self.outcome == "open"
        for view in views:
            self.data += view

    def finish(self) -> StoreStatus:
        assert self.outcome == "open"
        self.outcome = "finished"
        return self.status

    def abandon(self) -> None:
        assert self.outcome == "open"
        self.outcome = "abandoned"


@dataclass
class Memory:
    """Storage that keeps what it is given in a list. Implements `StorageProvider`."""

    status: StoreStatus = SUCCESSFUL
    receptions: list[Remembered] = field(default_factory=list)

    def for_caller(self, caller: Caller) -> "Memory":
        return self

    def begin(self, request: StoreRequest) -> Remembered:
        self.receptions.append(Remembered(request, self.status))
        return self.receptions[-1]

    @property
    def stored(self) -> dict[str, bytes]:
        """The datasets that came whole, by SOP instance."""
        return {
            one.request.sop_instance: bytes(one.data)
            for one in self.receptions
            if one.outcome == "finished"
        }

    @property
    def outcomes(self) -> list[str]:
        return [one.outcome for one in self.receptions]


@dataclass(slots=True)
class Noted:
    """What admission noted about rejected associations."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, subject: str, text: str) -> None:
        assert subject == "association rejected"
        self.texts.append(text)


@contextmanager
def listening(
    storage: object,
    ae: LocalAE = OURS,
    remotes: Sequence[RemoteAE] = (SENDER,),
    *,
    suspended: Callable[[], bool] = lambda: False,
    note: Callable[[str, str], None] | None = None,
    proven: Sequence[str] = UNCOMPRESSED,
    tls: ssl.SSLContext | None = None,
    book: AddressBook | None = None,
) -> Iterator[Listener]:
    """Listen until the block ends; then nothing of the listener may be left running."""
    known = Remotes(ae.title, tuple(remotes), ae.address, book or AddressBook())
    admission = Admission(ae, known, suspended, note or Noted())
    contexts = supported_contexts(ae, proven)
    listener = Listener(ae, admission, storage, known, contexts, 0, tls)
    before = set(threading.enumerate())
    serving = threading.Thread(target=listener.serve_forever, args=(0.02,))
    serving.start()
    try:
        yield listener
    finally:
        listener.shutdown()
        listener.cut_all()
        serving.join()
        until(lambda: set(threading.enumerate()) <= before, "a thread of the listener still runs")
        assert admission.running() == 0


def until(holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait until `holds`; AssertionError saying `what` if it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.002)
