"""A Storage SCU for filling a PACS: every instance as it is, in the syntax that it has."""

import socket
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

Presentation = tuple[str, str]
"""(SOP Class UID, Transfer Syntax UID)."""

MAXIMUM_CONTEXTS = 128
"""Presentation contexts of one association (PS3.8 Section 9.3.2.2: odd identifiers, 1 to 255)."""


class NotStored(RuntimeError):
    """The peer refused the association, the presentation context or the instance."""


@dataclass(frozen=True, slots=True)
class Node:
    """An application entity on the network."""

    title: str
    port: int
    host: str = "127.0.0.1"


def presentation(file: Path) -> Presentation:
    """What a Storage SCU must propose to send `file`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        return str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID)


def _batches(files: Iterable[Path]) -> Iterator[tuple[list[Presentation], list[Path]]]:
    by_presentation: dict[Presentation, list[Path]] = {}
    for file in files:
        by_presentation.setdefault(presentation(file), []).append(file)
    remaining = iter(by_presentation)
    while proposed := list(islice(remaining, MAXIMUM_CONTEXTS)):
        yield proposed, [file for key in proposed for file in by_presentation[key]]


def at_once(event: evt.Event) -> None:
    """Make a fresh association of pynetdicom's fit for an SCU; a handler of `evt.EVT_CONN_OPEN`.

    Without Nagle's algorithm, for which each message would wait 40 ms. And with answers for the
    caller alone: the association's own reactor pauses too late now and then, takes an answer
    that came quickly for a request of the peer's and drops it, so that the caller's `send_c_…`
    waits in vain. An SCU has no requests to take.
    """
    association = event.assoc
    connection: Any = association.dul.socket
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    dimse: Any = association.dimse
    answer = dimse.get_msg
    dimse.get_msg = lambda block=False: answer(block=True) if block else (None, None)


def _associate(node: Node, proposed: list[Presentation], calling: str) -> Association:
    entity = AE(calling)
    association = entity.associate(
        node.host,
        node.port,
        [build_context(sop_class, syntax) for sop_class, syntax in proposed],
        ae_title=node.title,
        max_pdu=0,
        evt_handlers=[(evt.EVT_CONN_OPEN, at_once)],
    )
    if not association.is_established:
        raise NotStored(f"{node.title} at port {node.port} does not accept an association")
    return association


def send(node: Node, files: Iterable[Path], calling: str = "MODALITY") -> None:
    """Store `files` at `node`. Raises NotStored at the first that is not taken."""
    for proposed, batch in _batches(files):
        association = _associate(node, proposed, calling)
        try:
            for file in batch:
                _store(association, file)
        finally:
            association.release()


def _store(association: Association, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            status = association.send_c_store(pydicom.dcmread(file))
        except ValueError as error:
            raise NotStored(f"{file}: {error}") from error
    if status.get("Status") != 0x0000:
        raise NotStored(f"{file}: status {status.get('Status', 'missing')}")
