"""Which region is asked for what, and what becomes of the answers: over recorders in place of platforms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema

from authz.identity.subject import ANONYMOUS, Subject
from authz.trail import Access, Outcome, Touched
from datastores.errors import Unavailable
from datastores.regions.directory import RegionDirectory
from datastores.relational.opening import open_relational
from deploy.endpoint import published_supergraph
from deploy.regional.calls import REGION_UNAVAILABLE, Served
from deploy.regional.homes import Homes
from deploy.regional.ledger import RegionalLedger
from deploy.regional.routes import ROUTES, unrouted
from deploy.regional.subgraph import RegionalSubgraph
from router.errors import SubgraphCallFailed
from schema.supergraph import read_supergraph

Answering = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Recorder:
    """A subgraph that answers each representation with its key, and remembers its calls."""

    def __init__(self, answering: Answering | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.subjects: list[Subject] = []
        self.answering = answering

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.calls.append((query, variables))
        self.subjects.append(subject)
        if self.answering is not None:
            return self.answering(query, variables)
        names = [name for name in ("a", "b") if name in variables]
        found = {name: [{"id": each["id"]} for each in variables[name]] for name in names}
        errors = [{"message": "x", "path": [name, at]} for name in names for at in range(len(found[name]))]
        return {"data": {"x": 1, **found}, "errors": errors}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        self.calls.append((query, variables))
        yield {"data": {"x": 1}}


@pytest.fixture
async def homes(tmp_path: Path) -> AsyncIterator[Homes]:
    directory = RegionDirectory(open_relational(f"sqlite:///{tmp_path}/directory.db"), b"k" * 32)
    await directory.open()
    await directory.settle("eu", ["mira", "lind", "@mira"])
    await directory.settle("us", ["tomas", "@tomas"])
    await directory.settle("ap", ["aiko"])
    yield Homes(directory, "eu")
    await directory.close()


async def ready() -> None:
    """Its store serves."""


async def down() -> None:
    raise Unavailable("gone")


def over(homes: Homes, far_timeout_s: float = 10.0, **recorders: Recorder) -> RegionalSubgraph:
    served = {name: Served(each, ready) for name, each in recorders.items()}
    return RegionalSubgraph(served, homes, far_timeout_s=far_timeout_s)


MIRA = Subject(id="mira")
ENTITIES = """query($a: [_Any!]!, $b: [_Any!]!) {
  a: _entities(representations: $a) { id } b: _entities(representations: $b) { id } x
}"""


def people(*keys: str) -> list[dict[str, str]]:
    return [{"__typename": "User", "id": key} for key in keys]


async def test_entities_go_home_one_call_a_region_and_come_back_in_order(homes: Homes) -> None:
    near, far = Recorder(), Recorder()
    subgraph = over(homes, eu=near, us=far)
    asked = {"a": people("tomas", "mira", "unknown", "tomas"), "b": people("lind")}
    answer = await subgraph.execute(ENTITIES, asked, None, MIRA)
    assert answer["data"] == {
        "a": [{"id": "tomas"}, {"id": "mira"}, {"id": "unknown"}, {"id": "tomas"}],
        "b": [{"id": "lind"}],
        "x": 1,
    }
    assert sorted(map(str, (e["path"] for e in answer["errors"]))) == [
        "['a', 0]", "['a', 1]", "['a', 2]", "['a', 3]", "['b', 0]",
    ]  # fmt: skip
    assert [variables for _, variables in far.calls] == [{"a": people("tomas", "tomas")}]
    assert [v for _, v in near.calls if "a" in v] == [{"a": people("mira", "unknown")}]
    assert [v for _, v in near.calls if "b" in v] == [{"b": people("lind")}]
    assert all("b:" not in query and "x" not in query.split() for query, _ in far.calls)
    assert asked["a"][0]["id"] == "tomas"  # what was given is left as it is


async def test_what_goes_to_another_region_names_the_callers_home_for_the_policy(homes: Homes) -> None:
    far = Recorder()
    subgraph = over(homes, eu=Recorder(), us=far)
    await subgraph.execute(ENTITIES, {"a": people("tomas"), "b": []}, None, MIRA)
    assert [subject.region for subject in far.subjects] == ["eu"]


@pytest.mark.parametrize("failing", ["raises", "refuses", "hangs", "masked"])
async def test_a_region_that_fails_leaves_only_its_own_places_null_with_a_typed_error(
    homes: Homes, failing: str
) -> None:
    def fail(query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        if failing == "raises":
            raise SubgraphCallFailed("accounts", "timed out")
        if failing == "refuses":
            raise Unavailable("no connection")
        if failing == "hangs":
            raise TimeoutError
        masked = {
            "message": "internal error",
            "path": ["a", 0],
            "extensions": {"code": "INTERNAL_SERVER_ERROR"},
        }
        return {"data": {"a": [None, {"id": "tomas"}]}, "errors": [masked]}

    served = {"eu": Served(Recorder(), ready), "us": Served(Recorder(fail), down)}
    subgraph = RegionalSubgraph(served, homes)
    answer = await subgraph.execute(
        "query($a: [_Any!]!) { a: _entities(representations: $a) { id } }",
        {"a": people("tomas", "mira", "tomas")}, None, MIRA,
    )  # fmt: skip
    assert answer["data"]["a"][0] is None
    assert answer["data"]["a"][1] == {"id": "mira"}
    typed = [e for e in answer["errors"] if e.get("extensions", {}).get("code") == REGION_UNAVAILABLE]
    assert [e["path"] for e in typed] == ([["a", 0]] if failing == "masked" else [["a", 0], ["a", 2]])
    assert "us" not in str(typed)


async def test_a_region_that_answers_late_is_not_waited_for(homes: Homes) -> None:
    import asyncio

    class Late(Recorder):
        async def execute(self, *asked: Any) -> Mapping[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    subgraph = over(homes, far_timeout_s=0.01, eu=Recorder(), us=Late())
    answer = await subgraph.execute(ENTITIES, {"a": people("tomas"), "b": people("mira")}, None, MIRA)
    assert answer["data"]["b"] == [{"id": "mira"}]
    codes = [e["extensions"]["code"] for e in answer["errors"] if "extensions" in e]
    assert codes == [REGION_UNAVAILABLE]


async def test_objects_are_asked_for_at_home_first_then_wherever_they_may_be(homes: Homes) -> None:
    def holding(*ids: str) -> Answering:
        def answer(query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"data": {"a": [each if each["id"] in ids else None for each in variables["a"]]}}

        return answer

    near, far, other = Recorder(holding("n1")), Recorder(holding("f1")), Recorder(holding("f2"))
    subgraph = over(homes, eu=near, us=far, ap=other)
    query = "query($a: [_Any!]!) { a: _entities(representations: $a) { id } }"
    asked = [{"__typename": "Activity", "id": each} for each in ("f1", "n1", "f2", "none")]
    for _ in range(2):
        answer = await subgraph.execute(query, {"a": asked}, None, MIRA)
        assert [each and each["id"] for each in answer["data"]["a"]] == ["f1", "n1", "f2", None]
        assert answer.get("errors", []) == []
    first, again = near.calls[0][1]["a"], near.calls[1][1]["a"]
    assert [each["id"] for each in first] == ["f1", "n1", "f2", "none"]
    assert [each["id"] for each in again] == ["n1", "none"]  # where the others are is known by now


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query($id: ID!) { user(id: $id) { id } }", {"id": "tomas"}),
        ('{ user(id: "tomas") { id } }', {}),
        ('{ user(id: """tomas""") { id } }', {}),
        ('{ user(id: "t\\u006fmas") { id } }', {}),
        ("mutation($i: I!) { breakGlass(input: $i) { x } }", {"i": {"userId": "tomas"}}),
        ("mutation($i: I!) { addToCareTeam(input: $i) { x } }",
         {"i": {"userId": "tomas", "practitionerId": "mira"}}),
        ("query($id: ID!) { auditLog(filter: {targetId: $id}) { x } }", {"id": "tomas"}),
    ],
)  # fmt: skip
async def test_a_root_goes_where_the_owner_is_at_home(
    homes: Homes, query: str, variables: dict[str, Any]
) -> None:
    near, far = Recorder(), Recorder(lambda *_: {"data": {}})
    answer = await over(homes, eu=near, us=far).execute(query, variables, None, MIRA)
    assert "errors" not in answer
    assert (len(near.calls), far.calls) == (0, [(query, variables)])


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("mutation($i: I!) { updateProfile(input: $i) { x } }", {"i": {"deep": [{"x": "tomas"}]}}),
        ('mutation { updateProfile(input: {displayName: "tomas"}) { x } }', {}),
        ("mutation($i: I!) { setClearance(input: $i) { x } }", {"i": {"userId": "tomas", "note": "aiko"}}),
        ("mutation($id: ID!) { suspendUser(id: $id) { x } }", {"id": "tomas"}),
        ("query($p: String) { me { x(y: $p) } }", {"p": "tomas"}),
    ],
)
async def test_a_call_that_names_somebody_elsewhere_in_any_other_place_reaches_no_region(
    homes: Homes, query: str, variables: dict[str, Any]
) -> None:
    near, far, other = Recorder(), Recorder(), Recorder()
    answer = await over(homes, eu=near, us=far, ap=other).execute(query, variables, None, MIRA)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]
    assert set(answer["data"].values()) == {None}
    assert near.calls == far.calls == other.calls == []


async def test_a_mention_stays_with_whose_it_is(homes: Homes) -> None:
    near, far = Recorder(lambda *_: {"data": {}}), Recorder()
    subgraph = over(homes, eu=near, us=far)
    for query in (
        'mutation { inviteCoach(input: {coachId: "tomas"}) { x } }',
        'mutation { grantConsent(input: {actorId: "tomas"}) { x } }',
    ):
        assert "errors" not in await subgraph.execute(query, {}, None, MIRA)
    assert (len(near.calls), far.calls) == (2, [])


async def test_roots_of_several_regions_are_one_call_a_region_and_one_answer_in_order(homes: Homes) -> None:
    def answer(query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        keys = [key for key in ("one", "two", "three", "own") if key in query]
        return {"data": {key: {"key": key} for key in keys}}

    near, far = Recorder(answer), Recorder(answer)
    subgraph = over(homes, eu=near, us=far)
    query = """query($t: ID!, $m: ID!, $n: Boolean!) {
      one: user(id: $t) { id } own: me { id } two: user(id: $m) { id }
      ... @include(if: $n) { three: user(id: $t) { id } } }"""
    given = {"t": "tomas", "m": "mira", "n": True}
    answered = await subgraph.execute(query, given, None, MIRA)
    assert list(answered["data"]) == ["one", "own", "two", "three"]
    assert [variables for _, variables in far.calls] == [{"t": "tomas", "n": True}]
    assert [variables for _, variables in near.calls] == [{"m": "mira"}]
    assert "@include(if: $n)" in far.calls[0][0]


async def test_a_mutation_is_tried_elsewhere_only_where_the_object_is_not_here(homes: Homes) -> None:
    def telling(code: str | None) -> Answering:
        codes = [] if code is None else [{"code": code}]
        return lambda *_: {"data": {"acceptCoach": {"x": code, "stadionErrors": codes}}}

    query = "mutation($id: ID!) { acceptCoach(id: $id) { x } }"
    for near_code, far_code, shown, calls in (
        ("NOT_FOUND", None, None, (1, 1)),
        ("WRONG_STATE", None, "WRONG_STATE", (1, 0)),
        (None, None, None, (1, 0)),
        ("NOT_FOUND", "NOT_FOUND", "NOT_FOUND", (1, 1)),
    ):
        near, far = Recorder(telling(near_code)), Recorder(telling(far_code))
        answer = await over(homes, eu=near, us=far).execute(query, {"id": "link"}, None, MIRA)
        assert answer["data"] == {"acceptCoach": {"x": shown}}
        assert (len(near.calls), len(far.calls)) == calls


async def test_an_object_that_may_be_in_a_silent_region_is_not_said_to_be_missing(homes: Homes) -> None:
    missing = {"message": "not found", "path": ["activity"], "extensions": {"code": "NOT_FOUND"}}

    def gone(*_: Any) -> Mapping[str, Any]:
        raise Unavailable("gone")

    near, far = Recorder(lambda *_: {"data": {"activity": None}, "errors": [missing]}), Recorder(gone)
    answer = await over(homes, eu=near, us=far).execute('{ activity(id: "x") { id } }', {}, None, MIRA)
    assert [(e["path"], e["extensions"]["code"]) for e in answer["errors"]] == [
        (["activity"], REGION_UNAVAILABLE)
    ]


async def test_a_refresh_token_is_good_at_every_door(homes: Homes) -> None:
    def telling(code: str | None) -> Answering:
        codes = [] if code is None else [{"code": code}]
        return lambda *_: {"data": {"refresh": {"x": code, "stadionErrors": codes}}}

    near, far = Recorder(telling("BAD_REFRESH_TOKEN")), Recorder(telling(None))
    query = 'mutation { refresh(input: {refreshToken: "t"}) { x } }'
    answer = await over(homes, eu=near, us=far).execute(query, {}, None, ANONYMOUS)
    assert answer["data"] == {"refresh": {"x": None}}


async def test_who_has_no_name_is_served_at_home_or_where_the_one_is_whom_they_name(homes: Homes) -> None:
    near, far = Recorder(), Recorder()
    subgraph = over(homes, eu=near, us=far)
    await subgraph.execute("{ x }", {}, None, ANONYMOUS)
    assert (len(near.calls), len(far.calls)) == (1, 0)
    log_in = "mutation($l: L!) { logIn(input: $l) { x } }"
    await subgraph.execute(log_in, {"l": {"login": "Tomas"}}, None, ANONYMOUS)
    assert (len(near.calls), len(far.calls)) == (1, 1)


async def test_a_stream_comes_from_the_region_of_whom_it_is_about(homes: Homes) -> None:
    near, far = Recorder(), Recorder()
    subgraph = over(homes, eu=near, us=far)
    about = 'subscription { activityAdded(athleteId: "tomas") { id } }'
    assert [e async for e in subgraph.subscribe(about, {}, None, MIRA)] == [{"data": {"x": 1}}]
    own = "subscription { breakGlassUsed { id } }"
    assert [e async for e in subgraph.subscribe(own, {}, None, MIRA)] == [{"data": {"x": 1}}]
    strange = 'subscription { breakGlassUsed { id(x: "tomas") } }'
    [refused] = [e async for e in subgraph.subscribe(strange, {}, None, MIRA)]
    assert refused["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert (len(near.calls), len(far.calls)) == (1, 1)


async def test_whose_home_is_not_known_yet_is_asked_to_try_again(homes: Homes) -> None:
    subgraph = over(homes, eu=Recorder(), us=Recorder())
    answer = await subgraph.execute("{ x }", {}, None, Subject(id="newcomer"))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TRY_AGAIN"]
    await homes.directory.settle("eu", ["newcomer"])
    assert (await subgraph.execute("{ x }", {}, None, Subject(id="newcomer")))["data"] == {"x": 1}


async def test_what_is_no_graphql_is_told_so(homes: Homes) -> None:
    subgraph = over(homes, eu=Recorder(), us=Recorder())
    for text, name in (("{ x", None), ("query A { x }", "B")):
        answer = await subgraph.execute(text, {}, name, MIRA)
        assert (answer["data"], len(answer["errors"])) == (None, 1)
        assert [e async for e in subgraph.subscribe(text, {}, name, MIRA)] == [answer]


async def test_a_refusal_is_recorded_at_the_home_of_whom_it_is_about(homes: Homes) -> None:
    class Kept:
        def __init__(self) -> None:
            self.accesses: list[Access] = []

        async def keep(self, accesses: Any) -> None:
            self.accesses += accesses

    eu, us = Kept(), Kept()
    touched = tuple(
        Touched(target, "read", "CLINICAL", ("X.y",), False, "none", Outcome.REFUSED)
        for target in ("mira", "tomas", None)
    )
    access = Access(datetime(2026, 1, 1, tzinfo=UTC), "router", "tomas", None, None, None, "0", touched)
    await RegionalLedger({"eu": eu, "us": us}, homes).keep([access])
    assert [[each.target_id for each in one.touched] for one in eu.accesses] == [["mira"]]
    assert [[each.target_id for each in one.touched] for one in us.accesses] == [["tomas", None]]


def test_every_root_field_of_the_published_schema_has_a_route() -> None:
    schema = read_supergraph(published_supergraph()).api_schema
    assert unrouted(schema) == []
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    paths = {f"{root.name}.{name}": field for root in roots if root for name, field in root.fields.items()}
    for coordinate, route in ROUTES.items():
        if coordinate not in paths:
            continue
        for path in {*route.mentions, *filter(None, [route.by])}:
            argument, _, inner = path.partition(".")
            given = paths[coordinate].args[argument].type
            named: Any = getattr(given, "of_type", given)
            assert not inner or inner in named.fields, (coordinate, path)
    assert unrouted(build_schema("type Query { stray: Int }")) == ["Query.stray"]
