"""Serving: the app on a socket, until the process is asked to stop; then requests under way finish."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette

from router.config import RouterConfig
from router.edge.accepting import Acceptor
from router.edge.backlog import emptied, refuse_new
from router.edge.connections import ClientConnection, ClientSocket, Connections
from router.edge.drain import Drain
from router.edge.listener_tls import ListenerTls

BACKLOG_CONNECTIONS_MAX = 2_048


class AddressUnusable(OSError):
    """The address cannot be listened on; the text says which and why."""


class _DrainingServer(uvicorn.Server):
    """Ends streams before it waits for what is under way, and takes what was connected before it closes."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        ready: Callable[[], None],
        tls: ListenerTls | None,
        connections: Connections,
        *,
        shared: bool,
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._shared = shared
        self._tls = tls
        self._following: asyncio.Task[None] | None = None
        self._drain = drain
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a drain; a process that has drained has ended well (exit code 0)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        if self.started:
            protocol: Any = self.config.http_protocol_class
            made = partial(
                protocol,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )
            servers: list[Any] = [Acceptor(one, made, tls=self.config.ssl) for one in sockets or ()]
            self.servers = servers
            if self._tls is not None:
                self._following = asyncio.create_task(self._tls.follow())
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._following is not None:
            self._following.cancel()
        self._drain.stop()
        self._connections.stopping = True
        listening = sockets or []
        if not self._shared:
            for one in listening:
                refuse_new(one)
        await emptied(listening)
        for server in self.servers:
            server.close()
        await self._connections.made()
        await super().shutdown(sockets)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; port 0 takes any free one. `shared` ones may listen on one port, in several
    processes: the kernel spreads connections over them. Errors: AddressUnusable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG_CONNECTIONS_MAX)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise AddressUnusable(f"cannot listen on `{host}:{port}`: {reason}; choose another port") from error
    return listening


def draining_server(
    app: Starlette,
    config: RouterConfig,
    *,
    ready: Callable[[], None] = lambda: None,
    shared: bool = False,
) -> uvicorn.Server:
    """A server for the app; `ready` is called when requests are taken.

    Asked to stop: not ready any more, streams end, no new connection but those that wait to be accepted,
    one request more on each, all within `drain_ms_max`. A `shared` socket is another process's, too: that
    one goes on with new connections, or refuses them. Errors: CertificateUnusable.
    """
    # a stream's own time is up before that, and counted
    connections = Connections(config.http, unread_wait_s=2 * config.streams.send_wait_ms_max / 1_000)
    protocol: Any = partial(ClientConnection, connections=connections)
    socket_protocol: Any = partial(ClientSocket, packed_bytes_min=config.http.compressed_bytes_min)
    tls = ListenerTls(config.tls) if config.tls.certificate_file else None
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        http=protocol,
        proxy_headers=False,  # whom to believe about a client's address is a setting of the router's
        ws=socket_protocol,
        ws_max_size=config.streams.message_bytes_max,
        # off as it comes: lengths tell of what is secret
        ws_per_message_deflate=config.streams.websocket_compression,
        ws_ping_interval=config.streams.heartbeat_ms / 1_000,
        ws_ping_timeout=config.streams.send_wait_ms_max / 1_000,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(config.drain_ms_max // 1_000, 1),
        ssl_context_factory=(lambda *_: tls.context) if tls is not None else None,
    )
    return _DrainingServer(settings, app.state.drain, ready, tls, connections, shared=shared)


def run(
    app: Starlette,
    listening: socket.socket,
    config: RouterConfig,
    *,
    ready: Callable[[], None],
    shared: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, on an event loop of its own (uvloop), then drain.

    `shared`: the socket is another process's, too.
    """
    import uvloop

    def settled() -> None:
        # what was loaded to start stays: the collector need not look at it again. Requests leave nothing in
        # circles, so that it can look seldom: at 20 000, a quarter of a large request's time was its own
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 10, 10)
        gc.enable()
        ready()

    server = draining_server(app, config, ready=settled, shared=shared)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[listening]))
