"""What a change of the policy does: who gains and who loses which right, before it is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authz.classes import DataClass
from authz.policies.case import with_implied
from authz.policies.rules import EVERY, VIEWS, Policy, Rule


@dataclass(frozen=True, slots=True)
class Right:
    """What a rule gives or shuts: for these conditions, in this view."""

    allows: bool
    conditions: frozenset[str]
    view: str

    def covers(self, other: Right) -> bool:
        """Whether whoever meets `other` has at least as much by this."""
        return (
            self.allows == other.allows
            and self.conditions <= other.conditions
            and (not self.allows or VIEWS.index(self.view) <= VIEWS.index(other.view))
        )


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
    pairs = _pairs(old, new)
    # The smallest parties first, counting what they are besides: a change for anyone is told once.
    parties = sorted(
        {rule.parties for rule in (*old.rules, *new.rules)},
        key=lambda each: (len(with_implied(each)), sorted(each)),
    )
    found: list[Change] = []
    for party in parties:
        for data_class, action in pairs:
            for change in _changes(old, new, party, data_class, action):
                if not _told_of_smaller(found, change):
                    found.append(change)
    return sorted(found, key=lambda change: (change.gains, change.data_class, change.action, str(change)))


def _changes(
    old: Policy, new: Policy, party: frozenset[str], data_class: str, action: str
) -> Iterator[Change]:
    before = _rights(old.rules, party, data_class, action)
    after = _rights(new.rules, party, data_class, action)
    for right in _uncovered(after, by=before):
        yield Change(right.allows, party, data_class, action, right)
    for right in _uncovered(before, by=after):
        yield Change(not right.allows, party, data_class, action, right)


def _rights(rules: Iterable[Rule], party: frozenset[str], data_class: str, action: str) -> set[Right]:
    return {
        Right(rule.allows, rule.condition_texts(), rule.view)
        for rule in rules
        if rule.parties <= with_implied(party) and rule.concerns(data_class, action)
    }


def _uncovered(rights: set[Right], *, by: set[Right]) -> Iterator[Right]:
    missing = [right for right in rights if not any(other.covers(right) for other in by)]
    # Of rights that include each other only the widest is worth a line.
    return (
        right
        for right in missing
        if not any(other.covers(right) and not right.covers(other) for other in missing)
    )


def _pairs(old: Policy, new: Policy) -> list[tuple[str, str]]:
    rules = (*old.rules, *new.rules)
    named = {action for rule in rules for action in rule.actions - {EVERY}}
    return [
        (data_class.value, action)
        for data_class in DataClass
        for action in sorted(named | {EVERY})
        if any(rule.concerns(data_class, action) for rule in rules)
    ]


def _told_of_smaller(found: Iterable[Change], change: Change) -> bool:
    return any(
        known.parties < with_implied(change.parties)
        and (known.gains, known.data_class, known.action, known.right)
        == (change.gains, change.data_class, change.action, change.right)
        for known in found
    )
