"""What Federation's directives do to an operation, by mode: filter, reject, dry run; and who is told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from authz.classes import DataClass
from authz.identity.subject import ANONYMOUS, Subject
from router.config import ConfigError, read_config
from router.errors import ClientError, OperationUnauthorized
from router.execution import IncrementalFormat
from router.execution.transports.in_process import InProcessTransport
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

SDL = """
type Query { athlete: Athlete open: Int }
type Athlete {
  name: String
  plan: String @authenticated
  friends: [Athlete!]
  chart: String @classified(as: "CLINICAL") @authenticated
}
type Mutation { rename: String erase: String @requiresScopes(scopes: [["erase"]]) }
type Subscription { open: Int plans: String @policy(policies: [["watch"]]) }
"""
ATHLETE = {"__typename": "Athlete", "name": "Anna", "plan": "rest", "chart": "c"}
WHOLE = {
    "athlete": {**ATHLETE, "friends": [dict(ATHLETE)]},
    "open": 1,
    "rename": "renamed",
    "erase": "erased",
}
QUERY = "query Q { open athlete { name p: plan friends { plan } } }"
MUTATION = "mutation M { rename erase }"
DENIED = {
    QUERY: [("athlete.p", "Athlete.plan"), ("athlete.friends.plan", "Athlete.plan")],
    MUTATION: [("erase", "Mutation.erase")],
}
CODE = "UNAUTHORIZED_FIELD_OR_TYPE"


class Recorder:
    """A subgraph that answers with whatever was asked for, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.asked.append(query)
        answered = {**WHOLE, "athlete": {**WHOLE["athlete"], "p": "rest"}}  # type: ignore[dict-item]
        return {"data": answered}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        self.asked.append(query)
        for _ in range(2):
            yield {"data": {"plans": "rest", "open": 1}}


def classes(subject: Subject, data_class: DataClass, action: str) -> bool:
    return data_class is not DataClass.CLINICAL


def router_of(subgraph: Recorder, **directives: object) -> Router:
    config = read_config({"authorization": {"directives": directives}})
    graph = snapshot_of(supergraph_of(SDL), config)
    transport = InProcessTransport({"only": subgraph})
    return Router(graph, transport, config=config, rights=Rights(can_ever=classes))


async def ask(
    text: str, subject: Subject = ANONYMOUS, **directives: object
) -> tuple[dict[str, Any], list[str]]:
    subgraph = Recorder()
    router = router_of(subgraph, **directives)
    try:
        return (await router.handle(GraphQLRequest(text=text), subject)).body(), subgraph.asked
    finally:
        await router.close()


async def refused(
    text: str, subject: Subject = ANONYMOUS, **directives: object
) -> tuple[OperationUnauthorized, list[str], int]:
    subgraph = Recorder()
    router = router_of(subgraph, reject_unauthorized=True, **directives)
    try:
        with pytest.raises(OperationUnauthorized) as raised:
            if text.startswith("subscription"):
                graph, request = router.snapshot, GraphQLRequest(text=text)
                await router.events(request, await router.read(request, graph), subject, graph)
            else:
                await router.handle(GraphQLRequest(text=text), subject)
        return raised.value, subgraph.asked, len(router.snapshot.plans)
    finally:
        await router.close()


def paths(entries: list[dict[str, Any]]) -> list[str]:
    assert all(entry["extensions"]["code"] == CODE for entry in entries)
    return [".".join(str(step) for step in entry["path"]) for entry in entries]


@pytest.mark.parametrize("text", [QUERY, MUTATION], ids=["query", "mutation"])
async def test_by_default_what_is_denied_is_taken_out(text) -> None:
    body, asked = await ask(text)
    assert all("plan" not in query and "erase" not in query for query in asked)
    if text is QUERY:
        assert body["data"] == {"open": 1, "athlete": {"name": "Anna", "p": None, "friends": None}}
        assert paths(body["errors"]) == ["athlete.p", "athlete.friends.plan"]
    else:
        assert body["data"] == {"rename": "renamed", "erase": None}
        assert paths(body["errors"]) == ["erase"]


@pytest.mark.parametrize(
    "text", [QUERY, MUTATION, "subscription { plans }"], ids=["query", "mutation", "subscription"]
)
async def test_rejecting_plans_nothing_asks_nothing_and_names_every_path(text) -> None:
    refusal, asked, planned = await refused(text)
    expected = DENIED.get(text, [("plans", "Subscription.plans")])
    assert paths(refusal.all_to_graphql()) == [path for path, _ in expected]
    assert [entry["message"] for entry in refusal.all_to_graphql()] == [
        f"not authorised for `{coordinate}`" for _, coordinate in expected
    ]
    assert (asked, planned, refusal.http_status) == ([], 0, 403)


async def test_rejecting_leaves_those_with_all_rights_alone() -> None:
    body, _ = await ask(QUERY, Subject("anna"), reject_unauthorized=True)
    assert body["data"]["athlete"]["p"] == "rest"
    assert "errors" not in body


async def test_a_class_is_taken_out_and_never_refuses_the_rest() -> None:
    body, _ = await ask("{ athlete { name chart } }", Subject("anna"), reject_unauthorized=True)
    assert body["data"] == {"athlete": {"name": "Anna", "chart": None}}
    assert [entry["extensions"]["code"] for entry in body["errors"]] == ["FORBIDDEN_FIELD"]


async def test_a_field_with_a_class_and_a_directive_refuses_for_the_directive() -> None:
    refusal, asked, _ = await refused("{ athlete { name chart } }")
    assert paths(refusal.all_to_graphql()) == ["athlete.chart"]
    assert asked == []


@pytest.mark.parametrize("text", [QUERY, MUTATION], ids=["query", "mutation"])
async def test_a_dry_run_takes_nothing_out_and_tells_what_would_have_been(text, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="stadion.router.authorization"):
        body, _ = await ask(text, dry_run=True, reject_unauthorized=True)
    assert "errors" not in body
    assert paths(body["extensions"]["authorizationErrors"]) == [path for path, _ in DENIED[text]]
    if text is QUERY:
        assert body["data"]["athlete"] == {"name": "Anna", "p": "rest", "friends": [{"plan": "rest"}]}
    else:
        assert body["data"] == {"rename": "renamed", "erase": "erased"}
    [line] = caplog.messages
    assert "(dry_run)" in line
    assert all(path in line for path, _ in DENIED[text])


async def test_a_dry_run_tells_each_caller_of_their_own_though_they_share_a_plan() -> None:
    router = router_of(Recorder(), dry_run=True)
    request = GraphQLRequest(text=QUERY)
    for _ in range(2):
        assert "authorizationErrors" in (await router.handle(request, ANONYMOUS)).extensions
        assert (await router.handle(request, Subject("anna"))).extensions == {}
    assert len(router.snapshot.plans) == 1
    await router.close()


async def test_a_dry_run_still_takes_out_a_class_that_is_never_visible() -> None:
    body, asked = await ask("{ athlete { name chart plan } }", dry_run=True)
    assert body["data"] == {"athlete": {"name": "Anna", "chart": None, "plan": "rest"}}
    assert all("chart" not in query for query in asked)


async def test_directives_that_are_not_enforced_are_not_there() -> None:
    body, _ = await ask(QUERY, enabled=False, reject_unauthorized=True)
    assert body["data"]["athlete"]["p"] == "rest"
    assert set(body) == {"data"}


async def test_denials_are_told_in_extensions_where_that_is_wanted() -> None:
    body, _ = await ask(QUERY, errors={"response": "extensions"})
    assert body["data"]["athlete"] == {"name": "Anna", "p": None, "friends": None}
    assert "errors" not in body
    assert paths(body["extensions"]["authorizationErrors"]) == ["athlete.p", "athlete.friends.plan"]


@pytest.mark.parametrize("mode", [{}, {"dry_run": True}], ids=["filter", "dry_run"])
async def test_denials_are_told_nowhere_where_that_is_wanted(mode, caplog) -> None:
    with caplog.at_level(logging.INFO):
        body, _ = await ask(QUERY, errors={"response": "disabled", "log": False}, **mode)
    assert set(body) == {"data"}
    assert not [one for one in caplog.records if one.name == "stadion.router.authorization"]


async def test_a_class_is_told_in_errors_whatever_is_set_for_directives() -> None:
    body, _ = await ask("{ athlete { name chart } }", Subject("a"), errors={"response": "disabled"})
    assert [entry["extensions"]["code"] for entry in body["errors"]] == ["FORBIDDEN_FIELD"]


async def test_a_refusal_tells_no_paths_in_errors_where_they_are_wanted_elsewhere() -> None:
    [entry] = (await refused(QUERY, errors={"response": "extensions"}))[0].all_to_graphql()
    assert "path" not in entry
    assert paths(entry["extensions"]["authorizationErrors"]) == ["athlete.p", "athlete.friends.plan"]
    [entry] = (await refused(QUERY, errors={"response": "disabled"}))[0].all_to_graphql()
    assert entry["extensions"] == {"code": CODE}


async def test_the_log_has_one_line_with_paths_and_no_caller(caplog) -> None:
    with caplog.at_level(logging.INFO, logger="stadion.router.authorization"):
        await ask(MUTATION, Subject("anna-the-secret"))
    assert caplog.messages == ["directives deny 1 paths of operation M (taken_out): erase"]


async def test_an_event_of_a_dry_run_tells_once() -> None:
    router = router_of(Recorder(), dry_run=True)
    graph, request = router.snapshot, GraphQLRequest(text="subscription { plans }")
    stream = await router.events(request, await router.read(request, graph), ANONYMOUS, graph)
    told = [response.body() async for response in stream]
    assert [one["data"] for one in told] == [{"plans": "rest"}] * 2
    assert ["extensions" in one for one in told] == [True, False]
    await router.close()


async def test_parts_keep_to_the_same_modes() -> None:
    text = "{ open ... @defer { athlete { name p: plan } } }"
    format_ = next(iter(IncrementalFormat))
    for mode, sees in (({"errors": {"response": "disabled"}}, False), ({"dry_run": True}, True)):
        router = router_of(Recorder(), **mode)
        graph, request = router.snapshot, GraphQLRequest(text=text)
        document = await router.read(request, graph)
        stream = await router.parts(request, document, ANONYMOUS, graph, format_)
        bodies = [response.body() async for response in stream]
        assert ("rest" in str(bodies)) is sees
        assert ("authorizationErrors" in bodies[0].get("extensions", {})) is sees
        assert "not allowed" not in str(bodies)
        await router.close()
    router = router_of(Recorder(), reject_unauthorized=True)
    graph = router.snapshot
    with pytest.raises(OperationUnauthorized):
        await router.parts(request, await router.read(request, graph), ANONYMOUS, graph, format_)
    await router.close()


async def test_a_new_snapshot_is_not_warmed_for_what_is_refused() -> None:
    router = router_of(Recorder(), reject_unauthorized=True)
    request = GraphQLRequest(text=QUERY)
    with pytest.raises(ClientError):
        await router.handle(request, ANONYMOUS)
    await router.handle(request, Subject("anna"))
    new = snapshot_of(supergraph_of(SDL), router.config)
    await router.take(new)
    assert len(new.plans) == 1
    await router.close()


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"authorization\.directives\.errors\.response"):
        read_config({"authorization": {"directives": {"errors": {"response": "nowhere"}}}})
