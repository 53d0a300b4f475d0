"""Schemathesis over the whole endpoint: whatever fits the schema is answered; nothing is our fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from graphql import print_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deploy.endpoint import published_supergraph
from schema.supergraph import read_supergraph
from tests.kit_platform.client import Caller, log_in
from tests.kit_platform.process import stadion_up

pytestmark = pytest.mark.timeout(300)
EXAMPLES = {"nobody": 1, "mira": 2}
"""Of each operation; the nightly hunt asks for more."""
NIGHTLY_EXAMPLES = 40
HARMLESS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
for scalar in ("Date", "DateTime", "JSON", "Upload", "Duration", "Decimal", "Long", "Cursor"):
    schemathesis.graphql.scalar(scalar, HARMLESS.map(schemathesis.graphql.nodes.String))


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Caller]]:
    """Nobody, and an athlete, at a platform with the demo's people."""
    with stadion_up(tmp_path_factory.mktemp("up") / "data") as up:
        yield {"nobody": Caller(up.graphql), "mira": log_in(up.graphql, "mira")}


def operations() -> list[Any]:
    """Each root field of the published API; what ends the caller's session is left out."""
    api = read_supergraph(published_supergraph()).api_schema
    graph = schemathesis.graphql.from_file(print_schema(api))
    found = [one.ok() for one in graph.get_all_operations()]
    return [one for one in found if not any(word in one.label for word in ("logOut", "erase", "revoke"))]


def ask_all(caller: Caller, *, examples: int) -> None:
    """Ask for every root field by itself: none is left to chance. One connection serves all."""
    roots = operations()
    assert len(roots) > 40
    with httpx2.Client(headers=caller.headers, timeout=30) as http:
        for root in roots:
            assert ask(http, caller.url, root, examples=examples), root.label


def ask(http: httpx2.Client, url: str, root: Any, *, examples: int) -> list[str]:
    """Ask for one root field in ways that fit the schema; the texts."""
    asked: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(root.as_strategy())
    def check(case: Any) -> None:
        body = case.body if isinstance(case.body, str) else str(case.body)
        asked.append(body)
        judge(http.post(url, json={"query": body}), body)

    check()
    return asked


def judge(response: httpx2.Response, body: str) -> None:
    """The answer is one of GraphQL, and whatever it refuses was not the router's or a subgraph's fault."""
    assert response.status_code in {200, 400}, (response.status_code, body)
    answer = response.json()
    assert set(answer) <= {"data", "errors", "extensions"}, body
    told = [error["extensions"] for error in answer.get("errors", [])]
    assert all(one["code"] != "INTERNAL_SERVER_ERROR" for one in told), (told, body)
    # a subgraph may refuse a text as no date; the router found the document valid, as it is
    invalid = [one for one in told if one["code"] == "GRAPHQL_VALIDATION_FAILED"]
    assert all("service" in one for one in invalid), (answer["errors"], body)


@pytest.mark.parametrize("name", ["nobody", "mira"])
def test_every_operation_that_fits_the_schema_is_answered_without_a_fault(
    callers: dict[str, Caller], name: str
) -> None:
    ask_all(callers[name], examples=EXAMPLES[name])


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["nobody", "mira"])
def test_many_of_every_operation_are_answered_without_a_fault(callers: dict[str, Caller], name: str) -> None:
    ask_all(callers[name], examples=NIGHTLY_EXAMPLES)
