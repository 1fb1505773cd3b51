"""pynetdicom's own suite of C-STORE and C-ECHO cases, against our listener in its server's place.

Their server is replaced where `AE.start_server` makes it; their handlers are called by a storage
service that collects what our reader feeds it. So their senders and their expectations meet our
sockets, our upper layer, our reader and our responses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.tests.test_assoc import TestAssociationSendCEcho as TheirEchoSenders
from pynetdicom.tests.test_assoc import TestAssociationSendCStore as TheirSenders
from pynetdicom.tests.test_service_storage import TestStorageServiceClass as TheirStorage
from pynetdicom.tests.test_service_storage import register_new_uid
from pynetdicom.tests.test_service_verification import (
    TestVerificationServiceClass as TheirVerification,
)

from appliance.dicom.inline import StoreRequest
from appliance.dicom.remotes import Caller, Remotes
from appliance.dicom.scp import AcceptedAssociation, Listener
from appliance.dicom.statuses import StoreStatus
from appliance.settings.model import LocalAE

__all__ = ["register_new_uid"]

NOT_APPLICABLE = {
    TheirStorage: {
        "test_scp_handler_return_dataset_multi": "our responses carry a status and a comment only",
        "test_scp_handler_dataset_path": "what is identifying is never written to a file",
        "test_scp_handler_dataset_path_windows_unlink": "the same, on Windows",
        "test_scp_handler_move_origin": "the Move Originator is not handed on: it proves nothing",
        "test_scp_handler_assoc": "our associations are not found by looking through threads",
        "test_scp_handler_aborts": "a storage service has no association to abort",
        "test_unrestricted": "only classes of our own table are accepted",
    },
    TheirVerification: {
        "test_scp_handler_assoc": "our associations are not found by looking through threads",
    },
    TheirEchoSenders: {
        "test_run_accept_scp_not_implemented": "a service that is not offered is refused, not cut",
        "test_network_timeout_acceptor": "how long a peer may be silent is a setting of the box",
        "test_network_timeout_release": "it looks for words in the log of their own server",
    },
}
"""Cases about what our server does not have, and why."""


class Everybody:
    """Lets every association in."""

    def judge(self, request: object, address: str) -> Caller:
        return Caller(None)

    def leave(self, caller: Caller) -> None: ...


@dataclass
class HandledStore:
    """One C-STORE for the handler that a case has bound. Implements `Reception`."""

    association: AcceptedAssociation
    request: StoreRequest
    data: bytearray = field(default_factory=bytearray)

    def feed(self, views: Sequence[memoryview]) -> None:
        for view in views:
            self.data += view

    def abandon(self) -> None: ...

    def finish(self) -> StoreStatus:
        primitive = C_STORE()
        primitive.MessageID = self.request.message_id
        primitive.AffectedSOPClassUID = self.request.sop_class
        primitive.AffectedSOPInstanceUID = self.request.sop_instance
        primitive.DataSet = BytesIO(self.data)
        context = self.association._accepted_cx[self.request.context_id]
        attributes = {"request": primitive, "context": context.as_tuple}
        try:
            outcome = evt.trigger(self.association, evt.EVT_C_STORE, attributes)
        except Exception:
            return StoreStatus(0xC211)
        return _status(outcome)


def _status(outcome: object) -> StoreStatus:
    """What a handler returned, as the documentation of `EVT_C_STORE` reads it."""
    if isinstance(outcome, Dataset):
        if "Status" not in outcome:
            return StoreStatus(0xC001)
        return StoreStatus(int(outcome.Status), str(outcome.get("ErrorComment", "")))
    return StoreStatus(outcome) if isinstance(outcome, int) else StoreStatus(0xC002)


@dataclass
class Handlers:
    """The handlers of one association as storage. Implements `StorageProvider`."""

    association: AcceptedAssociation

    def for_caller(self, caller: Caller) -> "Handlers":
        return self

    def begin(self, request: StoreRequest) -> HandledStore:
        return HandledStore(self.association, request)


class OurServer(Listener):
    """Our listener, made as `AE.start_server` makes its own."""

    def __init__(
        self, ae: Any, address: Any, title: str, contexts: Any, tls: Any, evt_handlers: Any
    ) -> None:
        self._shut = False
        ours = LocalAE(title, address="127.0.0.1", max_pdu=ae.maximum_pdu_size, stall=30)
        nobody = Remotes(title, ())
        super().__init__(ours, Everybody(), None, nobody, contexts, address[1], tls)
        for handler in evt_handlers:
            self.bind(*handler)

    def _association(self, *arguments: Any) -> AcceptedAssociation:
        association = super()._association(*arguments)
        association._storage = Handlers(association)
        for event, handlers in self._handlers.items():
            bound = [handlers] if event.is_intervention else handlers
            for handler, extra in bound:
                if handler is not None:
                    association.bind(event, handler, extra)
        return association

    def serve_forever(self, poll_interval: float = 0.01) -> None:
        super().serve_forever(0.01)

    def shutdown(self) -> None:
        """Twice is as good as once: their cases and their tear-down both do it."""
        if not self._shut:
            self._shut = True
            super().shutdown()
            self.cut_all()


@pytest.fixture(autouse=True)
def in_place_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom.ae.ThreadedAssociationServer", OurServer)


def applicable(theirs: type) -> type:
    """Their class without the cases that are about what we do not have."""
    return type("Ours", (theirs,), dict.fromkeys(NOT_APPLICABLE.get(theirs, ()), None))


class TestStorage(applicable(TheirStorage)): ...


class TestSenders(applicable(TheirSenders)): ...


class TestVerification(applicable(TheirVerification)): ...


class TestEchoSenders(applicable(TheirEchoSenders)): ...


def test_what_is_left_out_is_there() -> None:
    for theirs, cases in NOT_APPLICABLE.items():
        assert all(callable(getattr(theirs, name)) for name in cases)


def test_their_server_is_really_replaced() -> None:
    entity = AE()
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("localhost", 0), block=False)
    assert isinstance(server, OurServer)
    server.shutdown()
