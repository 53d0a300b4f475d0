"""Whether a connection's `totalCount` is asked for, wherever in the selection it stands."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry
from strawberry.types.info import Info

from authz.classes import DataClass
from authz.decide import Authorizer
from authz.facts import MemoryFacts
from authz.identity.subject import ANONYMOUS
from subgraphs.kit import Connection, PageInfo, RequestContext, Subgraph, classified, resolved, wants_total


@classified(DataClass.PUBLIC)
@strawberry.type
class Leaf:
    name: str


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def leaves(self, info: Info[Any, Any]) -> Connection[Leaf]:
        """None, and their number is whether it was wanted."""
        wanted = int(wants_total(info))
        info.context.wanted.append(wanted)
        page = PageInfo(has_next_page=False, has_previous_page=False, start_cursor=None, end_cursor=None)
        return Connection(edges=[], nodes=[], page_info=page, total_count=wanted)


class Noting(RequestContext):
    wanted: list[int]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("{ leaves { nodes { name } } }", [0]),
        ("{ leaves { totalCount } }", [1]),
        ("{ leaves { nodes { name } counted: totalCount } }", [1]),
        ("{ leaves { ... { totalCount } } }", [1]),
        ("{ leaves { ...Counted } } fragment Counted on LeafConnection { ... { totalCount } }", [1]),
        ("{ leaves { pageInfo { hasNextPage } } leaves { totalCount } }", [1]),
        ("{ a: leaves { totalCount } b: leaves { nodes { name } } }", [1, 0]),
        (
            "query ($no: Boolean = false) { leaves { totalCount @include(if: $no) pageInfo { endCursor } } }",
            [1],
        ),
    ],
)
async def test_it_is_counted_exactly_where_it_may_be_shown(query: str, wanted: list[int]) -> None:
    noted: list[int] = []

    def context(subject: Any, decisions: Any) -> Noting:
        made = Noting(subject=subject, decisions=decisions)
        made.wanted = noted
        return made

    subgraph = Subgraph(
        name="leaves", query=Query, types=[Leaf], authorizer=Authorizer(MemoryFacts()), context=context
    )
    answer = await subgraph.execute(query, {}, None, ANONYMOUS)
    assert "errors" not in answer
    assert noted == wanted
