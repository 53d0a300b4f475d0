"""Compiled selection sets against Strawberry's own execution: equal data and order, errors and records."""

import asyncio
import datetime as dt
import json
from typing import Any

import pytest
import strawberry
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.identity.subject import Subject
from authz.trail import Outcome
from tests.kit_subgraphs.gallery import Frame, Kind, Ordinary, Piece, Plain, Wall, gallery

CALLER = Subject(id="open-caller", acr=1)
OWNERS = ("open-caller", "open-other", "masked-other", "closed")
ODD = st.one_of(
    st.builds(ValueError, st.just("broken")),
    st.sampled_from([object(), float("nan"), 2**40, "3", True, b"x", (), {}]),
)
"""What an attribute should not hold: mostly it serialises wrongly, sometimes it is a fault itself."""


def either(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, st.none(), ODD)


texts = st.sampled_from(["", "a", "Über", "long text"])
frames = st.builds(
    Frame,
    name=either(texts),
    width=either(st.floats(0, 5)),
    wood=either(texts),
)
walls = st.builds(Wall, number=either(st.integers(0, 5)), frames=st.lists(either(frames), max_size=2))


def pieces_of(depth: int) -> st.SearchStrategy[Any]:
    below = either(pieces_of(depth - 1)) if depth else st.none()
    around = st.lists(either(st.one_of(frames, walls)), max_size=3)
    if depth:
        around = st.one_of(around, st.lists(pieces_of(depth - 1), max_size=2))
    return st.builds(
        Piece,
        id=st.sampled_from(["p0", "p1", "p2"]),
        owner_id=st.sampled_from(OWNERS),
        row_access=st.none(),
        title=either(texts),
        kind=either(st.sampled_from(Kind)),
        weight=either(st.floats(0, 5)),
        price=either(st.integers(-5, 5)),
        diagnosis=either(texts),
        place=either(texts),
        sold=either(st.booleans()),
        grid=either(st.lists(either(st.lists(either(st.integers(0, 3)), max_size=2)), max_size=2)),
        made=either(st.just(dt.datetime(2026, 1, 2, tzinfo=dt.UTC))),
        tags=either(st.lists(either(texts), max_size=2)),
        frame=either(frames),
        backing=either(frames),
        twin=below,
        around=either(around),
    )


LEAVES = {
    "Piece": (
        *("id", "title", "kind", "weight", "price", "diagnosis", "place", "sold", "grid", "made", "tags"),
        *("label", "note", "note(length: 5)", "__typename"),
    ),
    "Frame": ("name", "width", "wood", "__typename"),
    "Wall": ("number", "__typename"),
    "Named": ("name", "__typename"),
    "Thing": ("__typename",),
}
LINKS = {
    "Piece": {"frame": "Frame", "backing": "Frame", "twin": "Piece", "around": "Thing"},
    "Wall": {"frames": "Frame"},
}
NARROWER = {"Thing": ("Piece", "Frame", "Wall"), "Named": ("Frame",)}
CONDITIONS = ("", "", "", " @skip(if: $a)", " @include(if: $b)", " @include(if: true)")


@st.composite
def selection_of(draw: st.DrawFn, of: str, depth: int) -> str:
    parts = []
    for number in range(draw(st.integers(1, 4))):
        condition = draw(st.sampled_from(CONDITIONS))
        kinds = ["leaf", "leaf"]
        if depth and of in LINKS:
            kinds.append("link")
        if of in NARROWER or depth:
            kinds.append("fragment")
        match draw(st.sampled_from(kinds)):
            case "leaf":
                name = draw(st.sampled_from(LEAVES[of]))
                # An alias that tells the field, so that no two selections conflict.
                alias = f"{name.partition('(')[0].strip('_')}{len(name)}{number}: "
                parts.append(
                    f"{draw(st.sampled_from(['', alias])) if '(' not in name else alias}{name}{condition}"
                )
            case "link":
                name, target = draw(st.sampled_from(sorted(LINKS[of].items())))
                parts.append(f"{name}{condition} {{ {draw(selection_of(target, depth - 1))} }}")
            case _:
                target = draw(st.sampled_from(NARROWER.get(of, (of,))))
                parts.append(
                    f"... on {target}{condition} {{ {draw(selection_of(target, max(0, depth - 1)))} }}"
                )
    return " ".join(parts)


ROOTS = (
    ("pieces", "Piece"),
    ("first", "Piece"),
    ("frames", "Named"),
    (
        '_entities(representations: [{__typename: "Piece", id: "p0"}, {__typename: "Piece", id: "p9"}, 7])',
        "Piece",
    ),
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    root, of = draw(st.sampled_from(ROOTS))
    selection = draw(selection_of(of, 3))
    if root.startswith("_entities"):
        selection = f"... on Piece {{ {selection} }}"
    used = "used: __typename @skip(if: $a) @include(if: $b)"
    return f"query ($a: Boolean!, $b: Boolean!) {{ {root} {{ {selection} }} {used} }}"


def told(answer: dict[str, Any], touched: list[str]) -> tuple[str, list[str], list[str]]:
    """The data in its order, the errors without their trace ids, and what was recorded.

    Where a null has taken an object with it, what else was begun in that object may be finished or not
    (GraphQL, section 6.4.4): of such errors the place of the null alone counts, and no records of refusals
    do. What is recorded as shown counts always.
    """
    errors, lost = [], set()
    for error in answer.get("errors", []):
        place = null_above(answer["data"], error["path"])
        if place == error["path"]:
            known = {name: value for name, value in error["extensions"].items() if name != "traceId"}
            errors.append(json.dumps({**error, "extensions": known}))
        else:
            lost.add(json.dumps({"lost": place}))
    return (
        json.dumps(answer["data"]),
        sorted(errors) + sorted(lost),
        sorted(each for each in touched if not lost or Outcome.SHOWN.name in each),
    )


def null_above(data: Any, path: list[str | int]) -> list[str | int]:
    """The part of an error's path that leads to the null which the error has left."""
    for length, step in enumerate(path):
        if data is None:
            return path[:length]
        data = data[step]
    assert data is None
    return path


cases = given(documents(), st.lists(pieces_of(2), max_size=4), st.booleans(), st.booleans())


UNBEGUN = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
"""graphql-core cancels what would have awaited a coroutine before that has begun, where a null takes both."""


@UNBEGUN
@settings(deadline=None, max_examples=60)
@cases
def test_compiled_selections_answer_as_strawberry_does(
    document: str, objects: list[Any], a: bool, b: bool
) -> None:
    compare(document, objects, a=a, b=b)


@UNBEGUN
@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=3_000)
@cases
def test_compiled_selections_answer_as_strawberry_does_for_long(
    document: str, objects: list[Any], a: bool, b: bool
) -> None:
    compare(document, objects, a=a, b=b)


def compare(document: str, objects: list[Any], *, a: bool, b: bool) -> None:
    """Three runs each, the first before anything is compiled, the second with other conditions."""
    rows = {f"p{number}": each for number, each in enumerate(objects)}
    variables = {"a": a, "b": b}

    async def run(kind: Any) -> list[Any]:
        subgraph, kept = gallery(kind, rows)
        found = []
        for given_variables in (variables, {"a": b, "b": a}, variables):
            answer = await subgraph.execute(document, given_variables, None, CALLER)
            touched = [repr(each) for access in kept.accesses for each in access.touched]
            kept.accesses.clear()
            found.append(told(answer, touched))
        return found

    measure, compiled = asyncio.run(run(Ordinary)), asyncio.run(run(Plain))
    assert compiled == measure
    assert not any(
        "Syntax" in error or "Cannot query" in error for _, errors, _ in measure for error in errors
    )


async def test_a_document_is_compiled_from_its_second_run_on() -> None:
    frame = Frame(name="oak", width=1.0, wood=None)
    rows = {
        f"p{number}": piece(id=strawberry.ID(f"p{number}"), frame=frame, around=[frame])
        for number in range(3)
    }
    subgraph, _ = gallery(Plain, rows)
    query = "{ pieces { id kind title frame { width } around { ... on Frame { name } } } }"
    answers = [await subgraph.execute(query, {}, None, CALLER) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["data"]["pieces"][0] == {
        "id": "p0",
        "kind": "INK",
        "title": "A",
        "frame": {"width": 1.0},
        "around": [{"name": "oak"}],
    }
    selections = subgraph._prepare(query).selections
    assert selections is not None
    assert {each and each.rest for each in selections._projections.values()} == {()}


def piece(**changed: Any) -> Piece:
    """One whose fields are all right, but for these."""
    right: dict[str, Any] = {
        "id": strawberry.ID("p0"),
        "owner_id": "open-other",
        "row_access": None,
        "title": "A",
        "kind": Kind.INK,
        "weight": 1.5,
        "price": 3,
        "diagnosis": "d",
        "place": "here",
        "sold": False,
        "grid": [[1]],
        "made": None,
        "tags": [],
        "frame": None,
        "backing": None,
        "twin": None,
        "around": [],
    }
    return Piece(**{**right, **changed})


TAKEN = {
    "a list read below": ("{ pieces { around { ... on Piece { price } } tags } }", {"around": [piece()]}),
    "an object below": ("{ pieces { twin { price } tags } }", {"twin": piece()}),
    "an odd object below": ("{ pieces { twin { weight price } tags } }", {"twin": piece(weight="x")}),
    "one of several": ("{ first { twin { price } tags } frames { name } }", {"twin": piece()}),
    "its own fields": ("{ pieces { price diagnosis tags } }", {}),
    "fields beside a resolver": ("{ pieces { price label tags } }", {}),
    "an entity": (
        '{ _entities(representations: [{__typename: "Piece", id: "p0"}]) '
        "{ ... on Piece { twin { price } tags } } }",
        {"twin": piece()},
    ),
}


@pytest.mark.parametrize("kind", [Plain, Ordinary])
@pytest.mark.parametrize("case", TAKEN)
async def test_what_a_null_took_is_not_recorded_as_shown(kind: Any, case: str) -> None:
    document, changed = TAKEN[case]
    broken = piece(owner_id="open-caller" if changed else "open-other", tags=None, **changed)
    subgraph, kept = gallery(kind, {"p0": broken})
    for _ in range(3):
        answer = await subgraph.execute(document, {}, None, CALLER)
        assert [each["path"][-1] for each in answer["errors"] if each["path"][-1] == "tags"] == ["tags"]
        assert kept.accesses == []


@pytest.mark.parametrize("kind", [Plain, Ordinary])
async def test_what_stands_beside_a_null_is_recorded_as_shown(kind: Any) -> None:
    rows = {"p0": piece(tags=None), "p1": piece(owner_id="open-third", twin=piece(sold=None))}
    subgraph, kept = gallery(kind, rows)
    for _ in range(3):
        answer = await subgraph.execute("{ pieces { price tags twin { price sold } } }", {}, None, CALLER)
        assert answer["data"] == {"pieces": [None, {"price": 3, "tags": [], "twin": None}]}
        assert [
            (each.target_id, each.fields, each.outcome) for access in kept.accesses for each in access.touched
        ] == [("open-third", ("Piece.price",), Outcome.SHOWN)]
        kept.accesses.clear()


@pytest.mark.parametrize("kind", [Plain, Ordinary])
async def test_errors_in_what_a_null_took_leave_the_null_where_it_is(kind: Any) -> None:
    broken = piece(owner_id="open-caller", twin=piece(made=ValueError("broken")), sold=None)
    subgraph, kept = gallery(kind, {"p0": broken, "p1": piece(owner_id="closed", sold=None)})
    for _ in range(3):
        answer = await subgraph.execute("{ pieces { id twin { made } sold } }", {}, None, CALLER)
        assert answer["data"] == {"pieces": [None, None]}
        paths = [tuple(error["path"]) for error in answer["errors"]]
        assert paths.count(("pieces", 0, "sold")) == paths.count(("pieces", 1, "sold")) == 1
        assert all(error["extensions"]["code"] != "BROKEN" for error in answer["errors"])
        assert kept.accesses == []
