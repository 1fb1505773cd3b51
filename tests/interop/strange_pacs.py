"""A PACS that does what it is told to do wrong, on loopback.

It holds instances and answers C-FIND, C-MOVE and C-GET as the standard says, until a test gives
it a script for one of them. A script is a function that gets the `Call` and answers it, or does
not, with what `Call` offers. Below DIMSE, pynetdicom speaks for it.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import build_context

from tools.hospital.sender import at_once

IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{service}" for service in (1, 2, 3))
CT = "1.2.840.10008.5.1.4.1.1.2"

SUCCESS, PENDING = 0x0000, 0xFF00
UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
RETURNED = {
    "STUDY": ("PatientID", "AccessionNumber", "StudyDate", "StudyTime", "StudyInstanceUID"),
    "SERIES": ("Modality", "StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("InstanceNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
MATCHED = ("PatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID")

Counters = tuple[int | None, int | None, int | None, int | None]
"""Remaining, completed, failed and warning sub-operations; None leaves one out."""

NO_COUNTERS: Counters = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the PACS got it, and what it can do about it."""

    pacs: "StrangePacs"
    association: Association
    request: Any
    context_id: int

    @property
    def keys(self) -> Dataset:
        """The identifier of the request."""
        return decode(BytesIO(self.request.Identifier.getvalue()), True, True)

    @property
    def level(self) -> str:
        """The Query/Retrieve Level of the request."""
        return str(self.keys.QueryRetrieveLevel)

    def matches(self) -> list[Dataset]:
        """What an honest PACS finds: one identifier for each entity of the level."""
        keys, found = self.keys, {}
        for instance in self.pacs.instances:
            if all(instance.get(key) == keys.get(key) for key in MATCHED if keys.get(key)):
                found.setdefault(instance.get(UNIQUE[self.level]), self.identifier(instance))
        return list(found.values())

    def identifier(self, instance: Dataset) -> Dataset:
        """What is returned of `instance` at the level of the request."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = self.level
        for key in RETURNED[self.level]:
            setattr(identifier, key, instance.get(key))
        return identifier

    def wanted(self) -> list[Dataset]:
        """The instances of the study that a C-MOVE or C-GET asks for."""
        study = self.keys.StudyInstanceUID
        return [one for one in self.pacs.instances if one.StudyInstanceUID == study]

    def answer(
        self,
        status: int,
        identifier: Dataset | bytes | None = None,
        counters: Counters = NO_COUNTERS,
        comment: str = "",
    ) -> None:
        """Send a response."""
        response = type(self.request)()
        response.MessageIDBeingRespondedTo = self.request.MessageID
        response.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        response.Status = status
        if comment:
            response.ErrorComment = comment
        if isinstance(identifier, Dataset):
            identifier = encode(identifier, True, True)
        if identifier is not None:
            response.Identifier = BytesIO(identifier)
        if not isinstance(response, C_FIND | C_ECHO):
            remaining, completed, failed, warning = counters
            response.NumberOfRemainingSuboperations = remaining
            response.NumberOfCompletedSuboperations = completed
            response.NumberOfFailedSuboperations = failed
            response.NumberOfWarningSuboperations = warning
        self.association.dimse.send_msg(response, self.context_id)

    def store(
        self,
        instances: Iterable[Dataset | Path],
        calling: str | None = None,
        address: str = "127.0.0.1",
        originator: str | None = None,
    ) -> list[int]:
        """Send `instances` to the destination of the C-MOVE; the status of each, -1 for none."""
        return self.pacs.store(
            instances, calling, address, originator or str(self.association.requestor.ae_title)
        )

    def abort(self) -> None:
        """Abort the association."""
        self.association.abort()

    def hang_up(self) -> None:
        """Close the connection without a word."""
        connection: Any = self.association.dul.socket
        connection.socket.shutdown(socket.SHUT_RDWR)

    def linger(self, seconds: float) -> Iterator[None]:
        """Go on for `seconds`, a tenth of one at a time, while the association lasts."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.association.dul.is_alive():
            yield
            time.sleep(0.1)


Script = Callable[[Call], None]


def honest_find(call: Call) -> None:
    """Answer a C-FIND as the standard says."""
    for match in call.matches():
        call.answer(PENDING, match)
    call.answer(SUCCESS)


def honest_move(call: Call) -> None:
    """Answer a C-MOVE as the standard says."""
    wanted = call.wanted()
    stored = [status for status in call.store(wanted) if status == SUCCESS]
    failed = len(wanted) - len(stored)
    call.answer(0xB000 if failed else SUCCESS, counters=(None, len(stored), failed, 0))


def no_get(call: Call) -> None:
    """Refuse a C-GET, so that only the C-MOVE counts."""
    call.answer(0xA702, counters=(0, 0, len(call.wanted()), 0))


def honest_get(call: Call) -> None:
    """Answer a C-GET as the standard says, on the association on which it came."""
    wanted = call.wanted()
    for instance in wanted:
        call.association.send_c_store(instance)
    call.answer(SUCCESS, counters=(None, len(wanted), 0, 0))


@dataclass(eq=False)
class StrangePacs:
    """A PACS with its instances, and the scripts that it follows.

    `name` is what the box calls it, `box` where it finds the box; `calls` are the requests that
    came, by service and level, in order; `faults` are what scripts raised.
    """

    title: str
    instances: Sequence[Dataset] = ()
    find: Script = honest_find
    move: Script = honest_move
    get: Script = no_get
    greet: Callable[[evt.Event], None] | None = None
    contexts: tuple[str, ...] = (FIND, MOVE)
    box: tuple[str, int] = ("HAPPY_netty", 0)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    port: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or self.title

    @contextmanager
    def listening(self) -> Iterator["StrangePacs"]:
        """Listen on a free port until the block ends."""
        entity = AE(self.title)
        entity.maximum_associations = 64
        entity.supported_contexts = [
            build_context(uid, IMPLICIT) for uid in (VERIFICATION, *self.contexts)
        ]
        if GET in self.contexts:
            entity.add_supported_context(CT, IMPLICIT, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_ACCEPTED, self._accepted)]
        if self.greet is not None:
            handlers.append((evt.EVT_REQUESTED, self.greet))
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            # It looks twice a second whether it shall end.
            threading.Thread(target=server.shutdown, daemon=True).start()

    def store(
        self,
        instances: Iterable[Dataset | Path],
        calling: str | None = None,
        address: str = "127.0.0.1",
        originator: str | None = None,
    ) -> list[int]:
        """Send `instances` to the box; the status of each, -1 where there was none.

        A file is sent as it is, whatever is in it.
        """
        title, port = self.box
        association = AE(calling or self.title).associate(
            "127.0.0.1",
            port,
            [build_context(CT, IMPLICIT)],
            ae_title=title,
            bind_address=(address, 0),
            evt_handlers=[(evt.EVT_CONN_OPEN, at_once)],
        )
        if not association.is_established:
            return [-1 for _ in instances]
        try:
            return [
                association.send_c_store(one, originator_aet=originator, originator_id=1).get(
                    "Status", -1
                )
                for one in instances
            ]
        finally:
            association.release()

    def _accepted(self, event: evt.Event) -> None:
        association: Any = event.assoc
        connection: Any = association.dul.socket
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association._serve_request = partial(self._serve, association)

    def _serve(self, association: Association, request: Any, context_id: int) -> None:
        call = Call(self, association, request, context_id)
        if isinstance(request, C_ECHO):
            call.answer(SUCCESS)
            return
        scripts = {C_FIND: self.find, C_MOVE: self.move, C_GET: self.get}
        service = type(request).__name__.replace("_", "-")
        self.calls.append(f"{service} {call.level}")
        paused: Any = association
        paused._is_paused = True  # so that a script may send on this association
        try:
            scripts[type(request)](call)
        except Exception as error:
            self.faults.append(repr(error))
            raise
        finally:
            paused._is_paused = False


@contextmanager
def raw_server(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that knows no DICOM: `converse` gets each connection. Its port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    ended = threading.Event()
    connections: list[socket.socket] = []

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        ended.set()
        thread.join()
        for connection in (server, *connections):
            connection.close()


def reject(result: int, source: int, reason: int) -> Callable[[evt.Event], None]:
    """Greet an association request with an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    def greet(event: evt.Event) -> None:
        association: Any = event.assoc
        association.acse.send_reject(result, source, reason)
        association.kill()

    return greet
