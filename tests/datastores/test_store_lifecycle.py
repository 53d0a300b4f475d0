"""Stores open in order, close in reverse, and say why they are not ready; URLs choose them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from datastores.blobs.opening import open_blobs
from datastores.config import StoreUrlProblem, parse_store_url
from datastores.errors import SchemaTooNew, Unavailable
from datastores.lifecycle import opened, unready
from datastores.relational.opening import open_relational
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.sqlite import SqliteRelational


class Noted:
    """A store that writes down what happens to it."""

    def __init__(self, name: str, book: list[str], *, fails: str = "") -> None:
        self._name, self._book, self._fails = name, book, fails

    async def _do(self, verb: str) -> None:
        if self._fails == verb:
            raise SchemaTooNew("too new") if verb == "open" else Unavailable("gone")
        self._book.append(f"{verb} {self._name}")

    async def open(self) -> None:
        await self._do("open")

    async def ready(self) -> None:
        if self._fails == "hang":
            await asyncio.Event().wait()
        await self._do("ready")

    async def close(self) -> None:
        await self._do("close")


async def test_stores_open_in_order_and_close_in_reverse() -> None:
    book: list[str] = []
    async with opened({"a": Noted("a", book), "b": Noted("b", book)}):
        book.append("serving")
    assert book == ["open a", "open b", "serving", "close b", "close a"]


async def test_where_one_does_not_open_its_name_is_told_and_those_before_it_close() -> None:
    book: list[str] = []
    stores = {"a": Noted("a", book), "b": Noted("b", book, fails="open"), "c": Noted("c", book)}
    with pytest.raises(SchemaTooNew, match="b: too new"):
        async with opened(stores):
            book.append("never")
    assert book == ["open a", "close a"]


async def test_one_that_fails_to_close_does_not_keep_the_others_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book: list[str] = []
    async with opened({"a": Noted("a", book), "b": Noted("b", book, fails="close")}):
        pass
    assert book == ["open a", "open b", "close a"]
    assert "b did not close cleanly" in caplog.text


async def test_unready_names_each_store_that_cannot_serve() -> None:
    book: list[str] = []
    stores = {
        "a": Noted("a", book),
        "b": Noted("b", book, fails="ready"),
        "c": Noted("c", book, fails="hang"),
    }
    assert await unready(stores, timeout_s=0.01) == {"b": "gone", "c": "no answer within 0.01 s"}


def test_the_url_chooses_the_adapter() -> None:
    relative = open_relational("sqlite:///a/b.db")
    absolute = open_relational("sqlite:////a/b.db")
    assert isinstance(relative, SqliteRelational)
    assert isinstance(absolute, SqliteRelational)
    assert (relative.path, absolute.path) == (Path("a/b.db"), Path("/a/b.db"))
    for url in ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"):
        assert isinstance(open_relational(url), PostgresqlRelational)


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "/a/b", "sqlite+x:///a"]
)
def test_another_url_is_refused_with_what_to_write_and_without_the_password(url: str) -> None:
    with pytest.raises(StoreUrlProblem, match="sqlite:///") as caught:
        open_relational(url)
    assert "hunter2" not in str(caught.value)


def test_file_urls_name_a_path() -> None:
    assert parse_store_url("file:///data/blobs", schemes=("file",)).path == Path("data/blobs")
    assert parse_store_url("file:////data/a%20b", schemes=("file",)).path == Path("/data/a b")
    for wrong in ("file://host/x", "file:///", "s3://bucket"):
        with pytest.raises(StoreUrlProblem):
            parse_store_url(wrong, schemes=("file",))


async def test_blobs_are_opened_by_url(tmp_path: Path) -> None:
    blobs = open_blobs(f"file:///{tmp_path}/blobs")
    await blobs.open()
    await blobs.ready()
    assert (tmp_path / "blobs" / "kept").is_dir()
    with pytest.raises(StoreUrlProblem, match="use one of `file://`"):
        open_blobs("ftp://host/blobs")
