"""The table of six people × every field that can be asked about an athlete, generated from schema and policy.

Each cell is one operation: a field is null with one error at its path exactly where the policy engine says
no. The expectation comes from Casbin itself, not from the compiled table that answers requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from authz.classes import Purpose
from authz.question import Question
from router.operation.requirements import Classified
from tests.platform.conftest import Seeded, subject_of

OWNER = "demo-athlete"
PEOPLE = ("mira", "tomas", "lind", "okafor", "noor", "ada")
DEPTH_MAX = 4
# Fields that lead to other people, whose rows are not the athlete's.
LEADS_ELSEWHERE = {"CoachLink.coach", "CoachLink.athlete", "Activity.athlete", "CoachLinkEdge.node"}
ARGUMENTS = {
    "DateRange": '{from: "2025-10-20", to: "2025-10-21"}',
    "PurposeOfUse": "TREAT",
    "StreamType": "DISTANCE",
    "Int": "2",
}


@dataclass(frozen=True)
class Place:
    """A field that can be asked: the selections that lead to it, outermost first."""

    coordinate: str
    steps: tuple[str, ...]
    chain: tuple[tuple[str, str], ...]


def written_argument(name: str, argument: GraphQLArgument) -> str:
    """`name: literal` for a required argument, a list of one where a list is wanted."""
    literal = ARGUMENTS[get_named_type(argument.type).name]
    return f"{name}: [{literal}]" if "[" in str(argument.type) else f"{name}: {literal}"


def written(name: str, field: GraphQLField) -> str:
    """The field with what it cannot be asked without, and a stated purpose where it takes one."""
    given = [
        written_argument(argument, what)
        for argument, what in field.args.items()
        if is_required_argument(what) or argument == "purpose"
    ]
    return f"{name}({', '.join(given)})" if given else name


def places(
    kind: GraphQLObjectType, steps: tuple[str, ...], chain: tuple[tuple[str, str], ...]
) -> Iterator[Place]:
    """Every field below `kind`, each type once a path."""
    for name, field in kind.fields.items():
        coordinate = f"{kind.name}.{name}"
        if coordinate in LEADS_ELSEWHERE:
            continue
        here, path = (*steps, written(name, field)), (*chain, (kind.name, name))
        yield Place(coordinate, here, path)
        below = get_named_type(field.type)
        seen = {parent for parent, _ in path}
        if isinstance(below, GraphQLObjectType) and below.name not in seen and len(here) < DEPTH_MAX:
            yield from places(below, here, path)


def operation(place: Place, field_type: Any) -> str:
    """One operation that asks this field alone."""
    leaf = "" if is_leaf_type(get_named_type(field_type)) else " { __typename }"
    text = place.steps[-1] + leaf
    for step in reversed(place.steps[:-1]):
        text = f"{step} {{ {text} }}"
    return f'{{ user(id: "{OWNER}") {{ {text} }} }}'


def allowed(seeded: Seeded, handle: str, place: Place) -> list[bool]:
    """What the policy says of each field on the way, outermost first."""
    router = seeded.routers["in-process"]
    purpose: Purpose | None = None
    questions = []
    for (parent, name), step in zip(place.chain, place.steps, strict=True):
        if "purpose: TREAT" in step:
            purpose = Purpose.TREATMENT
        wanted = [one for one in router.snapshot.requirements.of(parent, name) if isinstance(one, Classified)]
        questions.append([Question(OWNER, one.data_class, one.action, purpose=purpose) for one in wanted])
    subject = subject_of(handle)
    decisions = seeded.platform.authorizer.for_request(subject)
    answers = []
    for asked in questions:
        results = seeded.run(decisions.decide(asked))
        answers.append(all(each.allowed for each in results))
    return answers


@pytest.mark.parametrize("handle", PEOPLE)
def test_every_field_is_answered_or_denied_as_the_policy_says(seeded: Seeded, handle: str) -> None:
    schema = seeded.routers["in-process"].snapshot.api_schema
    user = schema.type_map["User"]
    assert isinstance(user, GraphQLObjectType)
    checked, wrong = 0, []
    for place in places(user, (), ()):
        parent, name = place.chain[-1]
        kind = schema.type_map[parent]
        assert isinstance(kind, GraphQLObjectType)
        answer = seeded.ask(operation(place, kind.fields[name].type), subject_of(handle))
        expected = allowed(seeded, handle, place)
        checked += 1
        codes = [error["extensions"]["code"] for error in answer["errors"]]
        if set(codes) - {"FORBIDDEN_FIELD"}:
            wrong.append((place.coordinate, place.steps, codes))
        elif all(expected) and codes:
            wrong.append((place.coordinate, place.steps, "denied though allowed"))
        elif not all(expected):
            # The router takes out what the roles can never see where it stands; a row denies its outermost.
            refused = {depth for depth, fine in enumerate(expected, start=1) if not fine}
            found = {denied_at(error["path"]) for error in answer["errors"]}
            if not found <= refused or not (found or reaches_nothing(answer, min(refused) - 1)):
                wrong.append((place.coordinate, place.steps, f"denied at {found}, policy says {refused}"))
    assert wrong == []
    assert checked > 150


def denied_at(path: list[Any]) -> int:
    """How many fields below the user an error is, list indices not counted."""
    return len([key for key in path if isinstance(key, str)]) - 1


def reaches_nothing(answer: dict[str, Any], steps: int) -> bool:
    """Whether a null or an empty list on the way leaves no object that the field could be denied on."""
    values = [answer["data"]["user"]]
    for _ in range(steps):
        values = [
            item
            for value in values
            for child in value.values()
            for item in (child if isinstance(child, list) else [child])
            if isinstance(item, dict)
        ]
    return not values and not answer["errors"]
