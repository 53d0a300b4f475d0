"""A key-management service as `datastores/vault/kms.py` describes it, with faults that a test may order."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
from collections.abc import AsyncIterator

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class KeyService:
    """One ring of keys in memory. `asked` has every request's path in order."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(16)
        self.keys: dict[str, bytes | None] = {}
        self.disabled: set[str] = set()
        self.current: str | None = None
        self.asked: list[str] = []
        self.failing: list[int] = []
        """Statuses to answer with, one a request, before it answers as it should."""
        self.saying: list[bytes] = []
        """Bodies to answer with in place of the right ones, as a service gone wrong would."""
        self.silent = False
        self.going_on = asyncio.Event()
        self.url = ""

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._fault])
        application.router.add_get("/ring/", self._ring)
        application.router.add_post("/ring/keys", self._new_key)
        application.router.add_post("/ring/keys/{id}:{verb}", self._use)
        return application

    @web.middleware
    async def _fault(self, request: web.Request, handler) -> web.StreamResponse:  # type: ignore[no-untyped-def]
        self.asked.append(request.path)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.silent:
            await self.going_on.wait()
        if self.failing:
            return web.Response(status=self.failing.pop(0), text="internal detail")
        if self.saying:
            return web.Response(body=self.saying.pop(0))
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _ring(self, _: web.Request) -> web.Response:
        if self.current is None:
            return web.Response(status=404)
        return web.json_response({"current": self.current})

    async def _new_key(self, _: web.Request) -> web.Response:
        self.current = f"kek-{secrets.token_hex(6)}"
        self.keys[self.current] = os.urandom(32)
        return web.json_response({"id": self.current}, status=201)

    async def _use(self, request: web.Request) -> web.Response:
        kek_id, verb = request.match_info["id"], request.match_info["verb"]
        key = self.keys.get(kek_id)
        if key is None:
            return web.Response(status=410 if kek_id in self.keys else 404)
        if kek_id in self.disabled:
            return web.Response(status=409)
        told = {name: base64.b64decode(text) for name, text in (await request.json()).items()}
        if verb == "destroy":
            self.keys[kek_id] = None
            return web.json_response({})
        if verb == "encrypt":
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(key).encrypt(nonce, told["plaintext"], told["context"])
            return web.json_response({"ciphertext": base64.b64encode(sealed).decode()})
        sealed = told["ciphertext"]
        try:
            plaintext = AESGCM(key).decrypt(sealed[:12], sealed[12:], told["context"])
        except InvalidTag:
            return web.Response(status=422)
        return web.json_response({"plaintext": base64.b64encode(plaintext).decode()})


@contextlib.asynccontextmanager
async def running_key_service() -> AsyncIterator[KeyService]:
    """One service on a free port of this machine."""
    service = KeyService()
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    service.url = f"kms+http://:{service.token}@127.0.0.1:{port}/ring"
    try:
        yield service
    finally:
        service.going_on.set()
        await runner.cleanup()
