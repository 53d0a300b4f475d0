"""Clients that come all at once are accepted in a few turns of the loop, however long a turn takes."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable

import pytest
import uvloop

from router.config import RouterConfig
from router.edge.accepting import Acceptor
from router.edge.app import build_app
from router.edge.serve import draining_server, listen
from tests.kit_edge.running import router_of
from tests.kit_edge.subgraph import Hall

CLIENTS = 64


@pytest.mark.parametrize(
    "loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
def test_those_who_come_at_once_are_accepted_together(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(turns_to_accept()) <= 8


async def turns_to_accept() -> int:
    """Turns of the loop between many connections and the last of them being served."""
    config, ready = RouterConfig(), asyncio.Event()
    listening = listen("127.0.0.1", 0)
    server = draining_server(build_app(router_of(Hall(), config)), config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    # the kernel makes the connections while this turn of the loop lasts
    clients = [socket.create_connection(listening.getsockname()) for _ in range(CLIENTS)]
    turns = 0
    while len(server.server_state.connections) < CLIENTS:
        turns += 1
        await asyncio.sleep(0)
    for client in clients:
        client.close()
    server.should_exit = True
    await serving
    assert listening.fileno() == -1
    return turns


@pytest.mark.parametrize(
    "loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
def test_a_client_whose_connection_is_never_made_is_let_go(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def cancelled_while_made(turns: int) -> socket.socket:
        listening = listen("127.0.0.1", 0)
        acceptor = Acceptor(listening, asyncio.Protocol, tls=None)
        client = socket.create_connection(listening.getsockname())
        own = asyncio.all_tasks()
        while asyncio.all_tasks() == own:
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        for each in asyncio.all_tasks() - own:
            each.cancel()
        await acceptor.wait_closed()
        acceptor.close()
        return client

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for turns in range(3):
            with runner.run(cancelled_while_made(turns)) as client:
                if turns == 0:
                    client.settimeout(10)
                    assert client.recv(1) == b""
    gc.collect()
