"""A place of its own on a server that tests share: a database, a bucket."""

from __future__ import annotations

import asyncio
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""

    async def run() -> None:
        engine = create_async_engine(make_url(url), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(sa.text(statement))
        await engine.dispose()

    asyncio.run(run())


@contextmanager
def new_databases(server_url: str, *, count: int = 4, extension: str = "") -> Iterator[list[str]]:
    """URLs of databases that were not there, dropped afterwards."""
    names = [f"d{secrets.token_hex(6)}" for _ in range(count)]
    execute(server_url, *(f"CREATE DATABASE {name}" for name in names))
    urls = [make_url(server_url).set(database=n).render_as_string(hide_password=False) for n in names]
    if extension:
        for url in urls:
            execute(url, f"CREATE EXTENSION {extension}")
    try:
        yield urls
    finally:
        execute(server_url, *(f"DROP DATABASE {name} WITH (FORCE)" for name in names))


def new_bucket(s3_url: str) -> str:
    """The URL of a bucket that was not there."""
    parts, name = urlsplit(s3_url), f"b{secrets.token_hex(6)}"
    making = urllib.request.Request(f"http://{parts.hostname}:{parts.port}/{name}", method="PUT")
    making.add_header("authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request")
    with urllib.request.urlopen(making, timeout=10):
        return parts._replace(path=f"/{name}").geturl()
