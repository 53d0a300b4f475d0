"""Composed by `stadion compose`, served by `stadion router`, asked over HTTP: what clients send first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from graphql import build_client_schema, get_introspection_query

from tests.kit_adversary.command_line import composed, routing
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.serving import serving

CASES = Path(__file__).parent / "cases"
ASKED_FOR = {"__typename": "Query"}


async def post(url: str, **body: Any) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        return answer


async def get(url: str, **parameters: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as response:
        return response.status, await response.json(content_type=None)


async def assert_case_over_http(name: str, folder: Path) -> None:
    case = read_case(name, CASES)
    subgraphs = case_subgraphs(case)
    async with (
        serving(subgraphs) as urls,
        routing(await composed(folder, subgraphs, urls)) as url,
    ):
        for owed in case.tests:
            for subgraph in subgraphs:
                subgraph.calls.clear()
            answer = await post(url, query=owed.query, variables=owed.variables)
            assert answer.get("data") == owed.data, f"{owed.query}\n{answer}"
            assert bool(answer.get("errors")) == owed.errors, f"{owed.query}\n{answer}"
            if owed.calls is not None:
                assert {it.name: len(it.calls) for it in subgraphs if it.calls} == owed.calls, owed.query


async def test_the_first_requests_of_a_client(tmp_path: Path) -> None:
    subgraphs = case_subgraphs(read_case("errors_passed_on", CASES))
    async with (
        serving(subgraphs) as urls,
        routing(await composed(tmp_path, subgraphs, urls)) as url,
    ):
        assert (await post(url, query="{ __typename }"))["data"] == ASKED_FOR
        both = "query A { other } query B($k: Kind = B) { echo(kind: $k) __typename }"
        assert (await post(url, query=both, operationName="B"))["data"] == {"echo": "B", **ASKED_FOR}
        assert (await post(url, query=both, operationName="A", variables=None))["data"] == {"other": 1}
        for name in ("C", None):
            refused = await post(url, query=both, operationName=name)
            assert refused.get("data") is None
            assert len(refused["errors"]) == 1
        status, answer = await get(
            url, query="query($k: Kind) { echo(kind: $k) }", variables=json.dumps({"k": "B"})
        )
        assert (status, answer["data"]) == (200, {"echo": "B"})
        schema = (await post(url, query=get_introspection_query(), operationName="IntrospectionQuery"))[
            "data"
        ]
        kind = build_client_schema(schema).type_map["Kind"]
        assert set(getattr(kind, "values", ())) == {"A", "B"}
        mixed = await post(
            url, query='{ __schema { queryType { name } } __type(name: "Kind") { name } other }'
        )
        assert mixed["data"] == {
            "__schema": {"queryType": {"name": "Query"}},
            "__type": {"name": "Kind"},
            "other": 1,
        }
        for text in ("{ other", "{ nothing }", "{ other(a: 1) }", ""):
            refused = await post(url, query=text)
            assert refused.get("data") is None
            assert refused["errors"][0]["message"]
        broken = await post(url, query="{ other boom }")
        assert broken["data"] == {"other": 1, "boom": None}
        assert [error["path"] for error in broken["errors"]] == [["boom"]]
        assert (await post(url, query="{ other must }"))["data"] is None


async def test_a_case_from_sdl_to_answer(tmp_path: Path) -> None:
    await assert_case_over_http("requires_arguments", tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", case_names(CASES))
async def test_every_case_from_sdl_to_answer(name: str, tmp_path: Path) -> None:
    await assert_case_over_http(name, tmp_path)
