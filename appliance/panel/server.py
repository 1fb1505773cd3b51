"""Serves the page over HTTP and HTTPS, and tells systemd that it does.

One loop and one process serve both. Whoever is slow is given up, and one machine cannot take all
connections: neither may keep the page from others.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import anyio.to_thread
import h11
import sdnotify
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.panel.handshakes import Handshakes
from appliance.panel.visitors import machine_of

PINGS_EVERY: Final = 50
"""Turns of uvicorn's loop, ten a second, between two signs of life."""
CONNECTIONS: Final = 1024
PER_MACHINE: Final = 256
THREADS: Final = 4
"""Each holds a connection to the catalogue, with a cache of its own."""

SENT_WITHIN: Final = 10.0
"""Seconds that a browser gets to send a whole request, and for a TLS handshake; of a bundle, to
send some more."""
TAKEN_WITHIN: Final = 30.0
"""Seconds that it gets to take what it is sent, while nothing moves."""


class Impatient(H11Protocol):
    """A connection that ends when its browser is too slow, or its machine has too many."""

    machines: Counter[str]
    _machine: str = ""
    _sending: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and begin to wait."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "wait_anew": self.wait_anew}
        self._machine = machine_of(self.client[0]) if self.client else ""
        self.machines[self._machine] += 1
        if self.machines[self._machine] > PER_MACHINE:
            transport.abort()
            return
        self._sending = self.loop.call_later(SENT_WITHIN, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.machines[self._machine] -= 1
        if not self.machines[self._machine]:
            del self.machines[self._machine]
        self._take_back()
        if self._taking is not None:
            self._taking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the whole of it must come in time."""
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._take_back()
        elif self._sending is None and not self.transport.is_closing():
            self._sending = self.loop.call_later(SENT_WITHIN, self.transport.abort)

    def wait_anew(self) -> None:
        """Give the browser the same time again: what it sends is long, and wanted."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = self.loop.call_later(SENT_WITHIN, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait for a browser that does not take what it is sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(TAKEN_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._taking is not None:
            self._taking.cancel()
        super().resume_writing()

    def _take_back(self) -> None:
        """Stop waiting for a request."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None


class Server(uvicorn.Server):
    """uvicorn that serves HTTP and HTTPS, says when it is ready, and pings while its loop turns."""

    def __init__(
        self,
        config: uvicorn.Config,
        context: ssl.SSLContext | None,
        every_second: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._context = context
        self._every_second = every_second
        self._notifier = sdnotify.SystemdNotifier()
        self._taking: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve: HTTP on the first socket, HTTPS on the second, if there is one."""
        await self.lifespan.startup()
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        loop, backlog = asyncio.get_running_loop(), self.config.backlog
        plain, *secure = sockets or []
        self.servers = [await loop.create_server(self._protocol, sock=plain, backlog=backlog)]
        for listener in secure:
            assert self._context is not None
            listener.listen(backlog)
            handshakes = Handshakes(listener, self._context, self._protocol, SENT_WITHIN)
            self._taking.append(loop.create_task(handshakes.take()))
        self.started = True
        self._notifier.notify("READY=1\nSTATUS=the page is up")

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(
            config=self.config, server_state=self.server_state, app_state={}
        )
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and end those that there are."""
        for taking in self._taking:
            taking.cancel()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Be called ten times a second; return whether to stop."""
        if counter % PINGS_EVERY == 0:
            self._notifier.notify("WATCHDOG=1")
        if counter % 10 == 0:
            self._every_second()
        return await super().on_tick(counter)


def listening(port: int) -> socket.socket:
    """A socket that is reached by IPv4, and by IPv6 where there is any. Raises OSError."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            # The kernel knows it, this network does not.
    return socket.create_server(("", port))


def configuration(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves `app`: with limits, and nothing in the log of who asked for what."""
    return uvicorn.Config(
        app,
        http=type("Connection", (Impatient,), {"machines": Counter()}),
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=16_384,
        ws="none",
        proxy_headers=False,
    )


def serve(
    app: ASGIApp,
    listeners: list[socket.socket],
    context: ssl.SSLContext | None = None,
    every_second: Callable[[], None] = lambda: None,
) -> None:
    """Serve `app` until SIGTERM: HTTP on the first listener, HTTPS on the second."""
    Server(configuration(app), context, every_second).run(listeners)
