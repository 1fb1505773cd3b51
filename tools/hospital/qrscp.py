"""pynetdicom's own application `qrscp`, as it is, but without the pause of Nagle's algorithm.

    python -P tools/hospital/qrscp.py [OPTIONS OF qrscp]

DCMTK and Orthanc read TCP_NODELAY from their environment; pynetdicom does not, and each of its
messages would wait 40 ms for the acknowledgement of the one before.
"""

import runpy
import socket
from typing import Any


class PromptSocket(socket.socket):
    """A socket that sends at once. Sockets accepted from one that listens inherit it (tcp(7))."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        if self.family == socket.AF_INET and self.type == socket.SOCK_STREAM:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


if __name__ == "__main__":
    socket.socket = PromptSocket  # type: ignore[misc]
    runpy.run_module("pynetdicom.apps.qrscp.qrscp", run_name="__main__", alter_sys=True)
