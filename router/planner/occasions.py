"""When a request is made at all: on any of several occasions, each a set of conditions that must all hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from router.operation.model import Condition
from router.planner.plan import ConditionNode, PlanNode
from router.planner.selections import Conditions

Occasions: TypeAlias = frozenset[Conditions]

COPIES_MAX: Final = 3
"""How often one request may stand in the branches of its decision."""
COPIES_OF_SELECTED_MAX: Final = 8
"""The same where the request would otherwise be made even where nothing of it is selected."""


def simplest(occasions: Iterable[Conditions]) -> Occasions:
    """The occasions without those that another one includes."""
    every = frozenset(occasions)
    return frozenset(one for one in every if not any(set(other) < set(one) for other in every))


def decidable(occasions: Iterable[Conditions]) -> bool:
    """Whether the decision has few enough branches to be written into a plan."""
    return _copies(simplest(occasions)) <= COPIES_MAX


def asked_on(selected: Iterable[Conditions]) -> Occasions:
    """The occasions on which anything of a request is selected; none where that is always, or past the bound
    in COPIES_OF_SELECTED_MAX."""
    found = simplest(selected)
    return found if () not in found and _copies(found) <= COPIES_OF_SELECTED_MAX else frozenset()


def decision(occasions: Iterable[Conditions], node: PlanNode) -> PlanNode | None:
    """The node, made on each of the occasions and on no other; None where there is none."""
    left = simplest(occasions)
    if not left:
        return None
    if () in left:
        return node
    variable = _first(left)
    yes, no = _knowing(left, variable, value=True), _knowing(left, variable, value=False)
    if yes == no:
        return decision(yes, node)
    return ConditionNode(variable, decision(yes, node), decision(no, node))


def _copies(occasions: Occasions) -> int:
    if not occasions or () in occasions:
        return len(occasions)
    variable = _first(occasions)
    yes, no = _knowing(occasions, variable, value=True), _knowing(occasions, variable, value=False)
    return _copies(yes) if yes == no else _copies(yes) + _copies(no)


def _first(occasions: Occasions) -> str:
    """The variable to ask first: one of the shortest occasion, the same one every time."""
    return min((len(one), one[0].variable) for one in occasions)[1]


def _knowing(occasions: Occasions, variable: str, *, value: bool) -> Occasions:
    """What is left of the occasions once the variable's value is known."""
    refuted = Condition(variable, negated=value)
    possible = (one for one in occasions if refuted not in one)
    return simplest(tuple(c for c in one if c.variable != variable) for one in possible)
