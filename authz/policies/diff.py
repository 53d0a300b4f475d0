"""What a change of the policy does: who gains and who loses which right, before it is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from authz.classes import DataClass
from authz.policies.case import with_implied
from authz.policies.reach import within
from authz.policies.rules import EVERY, VIEWS, Policy


@dataclass(frozen=True, slots=True)
class Right:
    """What a rule gives or shuts: for these conditions, in this view."""

    allows: bool
    conditions: frozenset[str]
    view: str


@dataclass(frozen=True, slots=True)
class Change:
    """One party's right that is there in one policy and not in the other."""

    gains: bool
    parties: frozenset[str]
    data_class: str
    action: str
    right: Right

    def __str__(self) -> str:
        who = "+".join(sorted(self.parties))
        verb = "gain" if self.gains else "lose"
        what = f"`{self.action}` on {self.data_class}"
        when = " & ".join(sorted(self.right.conditions)) or "always"
        if not self.right.allows:
            reason = "is no longer denied" if self.gains else "is now denied"
            return f"{verb}  {who}: {what} {reason} ({when})"
        return f"{verb}  {who}: {what}, {self.right.view} ({when})"


def differences(old: Policy, new: Policy) -> list[Change]:
    """All changes, told once, of the smallest party that they concern; none where both mean the same."""
    before, after = _Rights(old), _Rights(new)
    pairs = _pairs(old, new)
    # The smallest parties first, counting what they are besides: a change for anyone is told once.
    parties = sorted(
        {rule.parties for rule in (*old.rules, *new.rules)},
        key=lambda each: (len(with_implied(each)), sorted(each)),
    )
    found: list[Change] = []
    told: dict[tuple[object, ...], list[frozenset[str]]] = {}
    for data_class, action in pairs:
        had, has = before.of(data_class, action), after.of(data_class, action)
        changed = [each for each in had.keys() | has.keys() if had.get(each) != has.get(each)]
        for party in parties:
            if not any(each <= with_implied(party) for each in changed):
                continue
            for change in _changes(_rights(had, party), _rights(has, party), party, (data_class, action)):
                smaller = told.setdefault((change.gains, data_class, action, change.right), [])
                implied = with_implied(change.parties)
                if not any(known < implied for known in smaller):
                    smaller.append(change.parties)
                    found.append(change)
    return sorted(found, key=lambda change: (change.gains, change.data_class, change.action, str(change)))


class _Rights:
    """A policy's rights by class and action, then by whom they are about."""

    def __init__(self, policy: Policy) -> None:
        self._rights: dict[tuple[str, str], dict[frozenset[str], set[Right]]] = {}
        for rule in policy.rules:
            right = Right(rule.allows, rule.condition_texts(), rule.view)
            for key in product(rule.classes, rule.actions):
                self._rights.setdefault(key, {}).setdefault(rule.parties, set()).add(right)

    def of(self, data_class: str, action: str) -> dict[frozenset[str], set[Right]]:
        """Parties → what they may, or may not; also what rules about every class or action say."""
        found: dict[frozenset[str], set[Right]] = {}
        for key in product({data_class, EVERY}, {action, EVERY}):
            for parties, rights in self._rights.get(key, {}).items():
                found.setdefault(parties, set()).update(rights)
        return found


def _changes(
    before: set[Right], after: set[Right], party: frozenset[str], pair: tuple[str, str]
) -> Iterator[Change]:
    for right in _uncovered(after, by=before):
        yield Change(right.allows, party, *pair, right)
    for right in _uncovered(before, by=after):
        yield Change(not right.allows, party, *pair, right)


def _rights(known: Mapping[frozenset[str], set[Right]], party: frozenset[str]) -> set[Right]:
    implied = with_implied(party)
    return set().union(*(rights for parties, rights in known.items() if parties <= implied))


def _uncovered(rights: set[Right], *, by: set[Right]) -> Iterator[Right]:
    others = _Widest(by)
    missing = [right for right in rights - by if not others.cover(right)]
    widest = _Widest(missing)
    # Of rights that include each other only the widest is worth a line.
    return (right for right in missing if not widest.cover(right, strictly=True))


class _Widest:
    """Rights by what they demand, with the most open view of each."""

    def __init__(self, rights: Iterable[Right]) -> None:
        self._views: dict[bool, dict[frozenset[str], int]] = {True: {}, False: {}}
        for right in rights:
            views = self._views[right.allows]
            views[right.conditions] = min(views.get(right.conditions, len(VIEWS)), _openness(right))

    def cover(self, right: Right, *, strictly: bool = False) -> bool:
        """Whether one of them includes this right; `strictly`: and is not included by it."""
        views, openness = self._views[right.allows], _openness(right)
        for conditions in within(right.conditions, views):
            known = views.get(conditions)
            narrower = not strictly or conditions != right.conditions
            if known is not None and (known < openness or (known == openness and narrower)):
                return True
        return False


def _openness(right: Right) -> int:
    return VIEWS.index(right.view) if right.allows else 0


def _pairs(old: Policy, new: Policy) -> list[tuple[str, str]]:
    rules = (*old.rules, *new.rules)
    named = {action for rule in rules for action in rule.actions - {EVERY}}
    spoken = {pair for rule in rules for pair in product(rule.classes, rule.actions)}
    return [
        (data_class.value, action)
        for data_class in DataClass
        for action in sorted(named | {EVERY})
        if not spoken.isdisjoint(product((data_class.value, EVERY), (action, EVERY)))
    ]
