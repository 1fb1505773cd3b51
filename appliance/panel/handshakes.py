"""TLS handshakes, so many at a time: each costs memory long before there is a visitor to count."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from appliance.panel.visitors import machine_of

AT_A_TIME: Final = 128
OF_ONE_MACHINE: Final = 32
"""Handshakes that are under way; some 300 KiB each. Those of a browser take milliseconds."""

_BREATH: Final = 1.0
"""Seconds to wait where the system has no more connections to give."""


class Handshakes:
    """Takes the connections to a listener, and makes of each a TLS connection with a protocol.

    One that is too many is closed at once, before anything is done for it.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        within: float,
    ) -> None:
        """`within`: seconds that a handshake may take."""
        self._listener = listener
        self._context = context
        self._protocol = protocol
        self._within = within
        self._by_machine: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self) -> None:
        """Take connections until cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(_BREATH)
                continue
            machine = machine_of(address)
            if self._is_crowded(machine):
                connection.close()
                continue
            self._by_machine[machine] += 1
            task = loop.create_task(self._shake(connection, machine))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_crowded(self, machine: str) -> bool:
        return len(self._tasks) >= AT_A_TIME or self._by_machine[machine] >= OF_ONE_MACHINE

    async def _shake(self, connection: socket.socket, machine: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=self._context, ssl_handshake_timeout=self._within
            )
        except OSError:
            connection.close()  # It was none, took too long, or has gone.
        finally:
            self._by_machine[machine] -= 1
            if not self._by_machine[machine]:
                del self._by_machine[machine]
