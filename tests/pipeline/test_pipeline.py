"""The whole request through the pipeline: what subgraphs are asked, what is kept, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from authz.classes import DataClass
from authz.identity.subject import ANONYMOUS, Subject
from router.config import OperationLimits, RouterConfig
from router.errors import ClientError
from router.execution.transports.in_process import InProcessTransport
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

SDL = """
type Query { athlete(id: ID): Athlete open: Int must: Athlete! }
type Athlete {
  name: String @classified(as: "PUBLIC")
  chart: String @classified(as: "CLINICAL") @authenticated
  weight: Float! @classified(as: "WELLNESS")
  friends: [Athlete!] @classified(as: "SOCIAL")
}
type Mutation { rename(to: String!): Athlete erase: Athlete @classified(as: "CLINICAL") }
type Subscription { charts: String @classified(as: "CLINICAL") names: String }
"""
ATHLETE = {"__typename": "Athlete", "name": "Anna", "chart": "secret", "weight": 61.5}


class Recorder:
    """A subgraph that answers with whatever was asked for, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.asked.append(query)
        athlete = {**ATHLETE, "friends": [dict(ATHLETE)]}
        return {"data": {"athlete": athlete, "must": dict(athlete), "open": 1, "rename": dict(athlete)}}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        self.asked.append(query)
        yield {"data": {"names": "Anna"}}


def may_see(subject: Subject, data_class: DataClass, action: str) -> bool:
    return data_class not in {DataClass.CLINICAL, DataClass.WELLNESS} or subject.id == "doctor"


@pytest.fixture
def subgraph() -> Recorder:
    return Recorder()


@pytest.fixture
async def router(subgraph: Recorder):
    config = RouterConfig(operation=OperationLimits(root_fields_max=20))
    graph = snapshot_of(supergraph_of(SDL), config)
    made = Router(
        graph, InProcessTransport({"only": subgraph}), config=config, rights=Rights(can_ever=may_see)
    )
    yield made
    await made.close()


async def ask(router: Router, text: str, subject: Subject = ANONYMOUS, **variables: object) -> dict[str, Any]:
    return (await router.handle(GraphQLRequest(text=text, variables=variables), subject)).body()


def told(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (".".join(str(step) for step in error["path"]), error["extensions"]["code"])
        for error in body.get("errors", ())
    ]


async def test_a_field_that_is_never_visible_is_null_and_never_asked_for(router, subgraph) -> None:
    body = await ask(router, "{ athlete { name c: chart } }")
    assert body["data"] == {"athlete": {"name": "Anna", "c": None}}
    assert told(body) == [("athlete.c", "FORBIDDEN_FIELD")]
    [query] = subgraph.asked
    assert "chart" not in query


async def test_no_subgraph_is_asked_where_nothing_is_left(router, subgraph) -> None:
    body = await ask(router, "{ athlete { chart } }")
    assert body["data"] == {"athlete": None}
    assert told(body) == [("athlete.chart", "FORBIDDEN_FIELD")]
    assert subgraph.asked == []


async def test_a_denied_field_that_must_not_be_null_takes_its_parent(router, subgraph) -> None:
    body = await ask(router, "{ open athlete { name weight } }")
    assert body["data"] == {"open": 1, "athlete": None}
    assert told(body) == [("athlete.weight", "FORBIDDEN_FIELD")]
    assert all("weight" not in query for query in subgraph.asked)


async def test_one_denial_a_path_whatever_the_number_of_items(router, subgraph) -> None:
    body = await ask(router, "{ athlete { friends { name chart } } }")
    assert body["data"] == {"athlete": {"friends": [{"name": "Anna", "chart": None}]}}
    assert [code for _, code in told(body)] == ["FORBIDDEN_FIELD"]


async def test_the_same_text_gives_each_caller_their_own_answer(router, subgraph) -> None:
    text = "{ athlete { name chart } }"
    for _ in range(2):
        assert (await ask(router, text, Subject("doctor")))["data"]["athlete"]["chart"] == "secret"
        assert (await ask(router, text, Subject("anna")))["data"]["athlete"]["chart"] is None
    assert len(router.snapshot.documents) == 1
    assert len(router.snapshot.plans) == 2


async def test_a_mutation_that_may_not_run_does_not(router, subgraph) -> None:
    body = await ask(router, 'mutation { rename(to: "x") { name } erase { name } }')
    assert body["data"] == {"rename": {"name": "Anna"}, "erase": None}
    assert told(body) == [("erase", "FORBIDDEN_FIELD")]
    assert all("erase" not in query for query in subgraph.asked)


async def test_a_stream_of_what_is_never_visible_opens_nothing(router, subgraph) -> None:
    request = GraphQLRequest(text="subscription { charts }")
    document = await router.read(request, router.snapshot)
    events = await router.events(request, document, ANONYMOUS, router.snapshot)
    [event] = [one.body() async for one in events]
    assert event["data"] == {"charts": None}
    assert told(event) == [("charts", "FORBIDDEN_FIELD")]
    assert subgraph.asked == []


async def test_variables_that_do_not_fit_are_refused_before_a_subgraph_is_asked(router, subgraph) -> None:
    with pytest.raises(ClientError) as raised:
        await ask(router, "query($id: ID) { athlete(id: $id) { name } }", id=[1])
    assert raised.value.code == "VALIDATION_INVALID_TYPE_VARIABLE"
    assert subgraph.asked == []
