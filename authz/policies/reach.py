"""Which rights include which: rules that can never decide, found without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Final, TypeAlias

from authz.classes import Relation
from authz.policies.case import ANYONE, with_implied
from authz.policies.rules import ALONE, EVERY, RELATIONS, VIEWS, Policy, Rule

Conditions: TypeAlias = frozenset[str]
SUBSETS_OF_MAX: Final = 8
"""Of more conditions than these, what is known is tried one by one, in place of every choice of them."""


def within(conditions: Conditions, known: Iterable[Conditions]) -> Iterator[Conditions]:
    """Sets of conditions, all of which are among `conditions`, that may be among `known`."""
    if len(conditions) > SUBSETS_OF_MAX:
        yield from (each for each in known if each <= conditions)
        return
    for size in range(len(conditions) + 1):
        yield from map(frozenset, combinations(conditions, size))


def unreachable(policy: Policy) -> list[str]:
    """One sentence for each rule that can never decide anything."""
    found = [
        f"line {rule.line}: `{rule.name}` {_impossible(rule)}" for rule in policy.rules if _impossible(rule)
    ]
    known = _Rules(policy.rules)
    for rule in policy.rules:
        covering = known.covering(rule)
        if covering is not None:
            found.append(
                f"line {rule.line}: `{rule.name}` never decides, because `{covering.name}`"
                f" (line {covering.line}) says the same with less asked"
            )
    return found


class _Rules:
    """Rules by whom they are about and by what they demand; of equal ones the first."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_demand: dict[Conditions, dict[frozenset[str], dict[tuple[object, ...], Rule]]] = {}
        self._implied: dict[frozenset[str], frozenset[str]] = {}
        for rule in rules:
            self._implied.setdefault(rule.parties, with_implied(rule.parties))
            by_parties = self._by_demand.setdefault(rule.condition_texts(), {})
            said = (rule.allows, rule.classes, rule.actions, rule.view)
            by_parties.setdefault(rule.parties, {}).setdefault(said, rule)

    def covering(self, rule: Rule) -> Rule | None:
        """The first rule that leaves this one nothing to decide."""
        implied = self._implied[rule.parties]
        found = [
            other
            for conditions in within(rule.condition_texts(), self._by_demand)
            for parties, said in self._by_demand.get(conditions, {}).items()
            if parties <= implied
            for other in said.values()
            if self._covers(other, rule)
        ]
        return min(found, key=lambda other: other.line, default=None)

    def _covers(self, other: Rule, rule: Rule) -> bool:
        """Whether what `other` says includes `rule`, of which its parties and conditions are known to."""
        if other is rule or other.allows != rule.allows:
            return False
        wider = (
            (EVERY in other.classes or rule.classes <= other.classes)
            and (EVERY in other.actions or rule.actions <= other.actions)
            and (not rule.allows or VIEWS.index(other.view) <= VIEWS.index(rule.view))
        )
        # Of two equal rules only the later one is too many.
        return wider and (not self._same_reach(other, rule) or other.line < rule.line)

    def _same_reach(self, one: Rule, other: Rule) -> bool:
        return (
            self._implied[one.parties] == self._implied[other.parties]
            and (one.classes, one.actions, one.view) == (other.classes, other.actions, other.view)
            and one.condition_texts() == other.condition_texts()
        )


def _impossible(rule: Rule) -> str | None:
    relations = rule.parties & RELATIONS
    if Relation.SELF in relations and len(relations) > 1:
        return "asks for `self` and another relation, which nobody has to himself"
    alone = rule.parties & ALONE
    if alone and rule.parties - alone - {ANYONE, Relation.BLOCKED}:
        return f"asks for `{min(alone)}` and more, but a partner or service has no other role or relation"
    return None
