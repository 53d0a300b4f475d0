"""Cursors of a page: signed when they are read, once, and by nobody who does not ask."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import strawberry

from authz.classes import DataClass
from authz.identity.subject import Subject
from subgraphs.kit import Connection, RequestContext, Subgraph, classified, resolved
from subgraphs.kit.loaders import batch_loader
from subgraphs.kit.pages import CursorSigner, connection, page_request

CALLER = Subject(id="caller", acr=1)


class Counting(CursorSigner):
    """Counts what it signs."""

    def __init__(self) -> None:
        super().__init__(b"k" * 32)
        self.signed: list[tuple[Any, ...]] = []

    def cursor(self, sort_key: Sequence[Any], *, bound_to: str) -> str:
        self.signed.append(tuple(sort_key))
        return super().cursor(sort_key, bound_to=bound_to)


SIGNER = Counting()


@classified(DataClass.PUBLIC)
@strawberry.type
class Leaf:
    name: str


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def leaves(self, first: int | None = None, after: str | None = None) -> Connection[Leaf] | None:
        """Five leaves."""
        request = page_request(SIGNER, bound_to="leaves", first=first, after=after)
        start = 0 if request.after is None else request.after[0] + 1
        rows = list(range(start, 5))[: request.limit]
        return connection(
            rows,
            request,
            SIGNER,
            bound_to="leaves",
            sort_key=lambda number: (number,),
            node=lambda number: Leaf(name=f"leaf {number}"),
        )


@dataclass
class Office:
    """Is asked nothing: all is public."""

    def for_request(self, subject: Subject) -> Any:
        return self


@pytest.fixture
def leaves() -> Subgraph[RequestContext]:
    SIGNER.signed.clear()
    return Subgraph[RequestContext](
        name="leaves",
        query=Query,
        types=[Leaf],
        authorizer=Office(),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
    )


@pytest.mark.parametrize(
    ("selection", "signed"),
    [
        ("nodes { name }", []),
        ("edges { node { name } } pageInfo { hasNextPage }", []),
        ("pageInfo { endCursor }", [(1,)]),
        ("pageInfo { startCursor endCursor }", [(0,), (1,)]),
        ("edges { cursor } pageInfo { startCursor endCursor }", [(0,), (1,)]),
    ],
)
async def test_a_cursor_is_signed_once_where_it_is_asked_for(
    leaves: Subgraph[RequestContext], selection: str, signed: list[tuple[int]]
) -> None:
    for _ in range(3):  # the ordinary way, and compiled
        SIGNER.signed.clear()
        answer = await leaves.execute(f"{{ leaves(first: 2) {{ {selection} }} }}", {}, None, CALLER)
        assert "errors" not in answer
        assert sorted(SIGNER.signed) == signed


async def test_late_cursors_lead_through_the_list(leaves: Subgraph[RequestContext]) -> None:
    query = (
        "query ($after: String) { leaves(first: 2, after: $after) "
        "{ edges { cursor node { name } } pageInfo { startCursor endCursor hasNextPage } } }"
    )
    names, after = [], None
    for _ in range(3):
        answer = await leaves.execute(query, {"after": after}, None, CALLER)
        page = answer["data"]["leaves"]
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert [page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"]] == [cursors[0], cursors[-1]]
        names += [edge["node"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert names == [f"leaf {number}" for number in range(5)]
    assert page["pageInfo"]["hasNextPage"] is False


def test_an_edge_is_equal_to_its_copy_and_told_with_its_cursor() -> None:
    request = page_request(SIGNER, bound_to="x", first=1)
    (edge,) = connection([3], request, SIGNER, bound_to="x", sort_key=lambda row: (row,), node=str).edges
    cursor = CursorSigner(b"k" * 32).cursor((3,), bound_to="x")
    assert edge == replace(edge)
    assert cursor in repr(edge)


async def test_a_loader_that_nobody_asks_takes_nothing_of_the_loop() -> None:
    async def load(keys: list[int]) -> dict[int, int]:
        return {key: 2 * key for key in keys if key}

    loader = batch_loader(load)
    assert vars(loader) == {"_load": load}
    assert await loader.load_many([1, 2, 0]) == [2, 4, None]
    assert loader.loop is asyncio.get_running_loop()
    with pytest.raises(AttributeError, match="a loader has no `keys`"):
        _ = loader.keys  # type: ignore[attr-defined]


async def test_a_loader_may_be_told_before_it_is_asked() -> None:
    async def load(keys: list[int]) -> dict[int, int]:
        raise AssertionError(keys)

    loader = batch_loader(load)
    loader.prime(1, 5)
    assert await loader.load(1) == 5
    loader.clear_all()
    batch_loader(load).clear(1)
