"""Introspection tells each caller of what their rights can reach, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query, print_schema

from authz.classes import DataClass
from authz.identity.subject import ANONYMOUS, Subject
from router.admission import ClientClass
from router.config import RouterConfig
from router.errors import ClientError
from router.execution.transports.in_process import InProcessTransport
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

SDL = """
type Query { hello(kind: Kind): String me: Person @authenticated found: Found node: Node }
interface Node { id: ID }
type Person implements Node { id: ID name: String chart: Chart @classified(as: "CLINICAL") @authenticated }
type Chart { notes(filter: Filter): [Note] @classified(as: "CLINICAL") }
type Note { text: String @classified(as: "CLINICAL") }
type Open { a: Int }
type Closed { b: Int @authenticated }
union Found = Open | Closed
input Filter { since: String }
enum Kind { WARM COLD }
type Mutation { write: Note @authenticated }
"""


def never_clinical(_: Subject, data_class: DataClass, __: str) -> bool:
    return data_class is not DataClass.CLINICAL


async def seen_by(subject: Subject, rights: Rights) -> str:
    config = RouterConfig(introspection=True, introspection_by_caller=True)
    router = Router(
        snapshot_of(supergraph_of(SDL), config), InProcessTransport({}), config=config, rights=rights
    )
    answer = await router.handle(GraphQLRequest(text=get_introspection_query()), subject)
    await router.close()
    assert answer.errors == ()
    introspected: Any = answer.data
    return print_schema(build_client_schema(introspected))


async def test_a_caller_with_every_right_sees_the_whole_schema() -> None:
    seen = await seen_by(Subject("doctor"), Rights(can_ever=lambda *_: True))
    assert "type Note" in seen
    assert "input Filter" in seen


async def test_what_a_caller_can_never_read_is_not_there_nor_what_only_it_leads_to() -> None:
    seen = await seen_by(Subject("anna"), Rights(can_ever=never_clinical))
    for gone in ("chart", "Chart", "Filter"):
        assert gone not in seen
    for there in ("me: Person", "name: String", "union Found = Open | Closed", "enum Kind"):
        assert there in seen
    assert "text" not in seen


async def test_an_anonymous_caller_sees_the_open_part() -> None:
    seen = await seen_by(ANONYMOUS, Rights(can_ever=never_clinical))
    for gone in (" me:", "Closed", "Mutation", "Note", "Chart"):
        assert gone not in seen
    for there in (
        "hello(kind: Kind): String",
        "union Found = Open",
        "node: Node",
        "type Person implements Node",
    ):
        assert there in seen


@pytest.mark.parametrize(
    "config",
    [
        RouterConfig(),
        RouterConfig(introspection=True, introspection_by_caller=True),
        RouterConfig(
            introspection=True,
            client_classes={"partner": ClientClass(client_ids=("acme",), introspection=False)},
        ),
    ],
    ids=["off", "by caller", "off for a class"],
)
@pytest.mark.parametrize(
    ("text", "variables", "hidden"),
    [
        ("query($k: Kind) { hello(kind: $k) }", {"k": "WARN"}, ("WARM", "COLD")),
        ("{ hello(kind: WARN) }", {}, ("Kind", "WARM", "COLD")),
        ("{ me { chart } }", {}, ("Chart",)),
        ("{ me { chartt } }", {}, ("Person",)),
    ],
    ids=["variable", "value", "type", "field"],
)
async def test_an_error_names_nothing_that_its_client_did_not_write(config, text, variables, hidden) -> None:
    router = Router(
        snapshot_of(supergraph_of(SDL), config), InProcessTransport({}), config=config, rights=Rights()
    )
    with pytest.raises(ClientError) as refused:
        await router.handle(GraphQLRequest(text=text, variables=variables), Subject("anna"))
    await router.close()
    told = str(refused.value.all_to_graphql())
    assert [name for name in hidden if name in told] == []
