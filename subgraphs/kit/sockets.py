"""A router's WebSocket to a subgraph: operations of one subject, until either side closes.

Source: graphql-transport-ws.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from authz.identity.subject import Subject
from subgraphs.kit.calls import AppLimits, Call
from subgraphs.kit.subgraph import Subgraph

PROTOCOL = "graphql-transport-ws"


class _Closed(Exception):
    """The protocol was broken: close with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Socket:
    """One accepted connection and its running operations."""

    def __init__(
        self, subgraph: Subgraph[Any], subject: Subject, websocket: WebSocket, limits: AppLimits
    ) -> None:
        self._subgraph = subgraph
        self._subject = subject
        self._websocket = websocket
        self._limits = limits
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._acknowledged = False

    async def serve(self) -> None:
        """Answer messages until either side closes; running operations end with the connection."""
        try:
            while True:
                timeout = None if self._acknowledged else self._limits.init_timeout_s
                async with asyncio.timeout(timeout):
                    text = await self._websocket.receive_text()
                await self._answer(self._message(text))
        except WebSocketDisconnect:
            pass
        except TimeoutError:
            await self._websocket.close(4408, "Connection initialisation timeout")
        except _Closed as closed:
            await self._websocket.close(closed.code, closed.reason)
        finally:
            running = list(self._operations.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _message(self, text: str) -> Mapping[str, Any]:
        if len(text) > self._limits.socket_message_bytes_max:
            raise _Closed(4400, "the message is too long")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise _Closed(4400, "not a message of graphql-transport-ws")
        return message

    async def _answer(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "connection_init":
            if self._acknowledged:
                raise _Closed(4429, "Too many initialisation requests")
            self._acknowledged = True
            await self._send({"type": "connection_ack"})
        elif kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "subscribe":
            self._start(message)
        elif kind == "complete":
            task = self._operations.pop(str(message.get("id")), None)
            if task is not None:
                task.cancel()
        elif kind != "pong":
            raise _Closed(4400, "not a message of graphql-transport-ws")

    def _start(self, message: Mapping[str, Any]) -> None:
        if not self._acknowledged:
            raise _Closed(4401, "Unauthorized")
        id_ = message.get("id")
        if not isinstance(id_, str) or not id_:
            raise _Closed(4400, "an operation needs an id")
        if id_ in self._operations:
            raise _Closed(4409, f"Subscriber for {id_} already exists")
        if len(self._operations) >= self._limits.socket_operations_max:
            raise _Closed(4400, "too many operations on one connection")
        try:
            call = msgspec.convert(message.get("payload"), Call)
        except msgspec.ValidationError:
            raise _Closed(4400, "an operation needs a query") from None
        self._operations[id_] = asyncio.create_task(self._run(id_, call))

    async def _run(self, id_: str, call: Call) -> None:
        responses = self._subgraph.subscribe(call.query, call.variables, call.operation_name, self._subject)
        try:
            async for response in responses:
                await self._send({"id": id_, "type": "next", "payload": response})
            await self._send({"id": id_, "type": "complete"})
        except (WebSocketDisconnect, RuntimeError):
            return  # the router has gone; nobody is there to be told
        finally:
            await cast(Any, responses).aclose()
            if self._operations.get(id_) is asyncio.current_task():
                del self._operations[id_]

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._websocket.send_text(orjson.dumps(message).decode())
