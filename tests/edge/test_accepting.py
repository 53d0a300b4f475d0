"""Clients that come all at once are accepted in a few turns of the loop, however long a turn takes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from router.config import RouterConfig
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
