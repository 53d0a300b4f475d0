"""A decision for lists: whose rows a subject may see, as a value that a domain turns into SQL.

A row is visible when any clause takes it. What a clause cannot say about a row alone (`residual`) is decided
on the loaded row by `decide`, as for every other object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, false, or_, true

from authz.classes import DataClass, Visibility
from authz.policies.case import Case, Party, party_of
from authz.policies.conditions import Condition, Depends
from authz.policies.table import DecisionTable, OpenRule
from authz.question import Question

_LEVELS = {
    "visible:everyone": frozenset({Visibility.EVERYONE}),
    "visible:friends": frozenset({Visibility.EVERYONE, Visibility.FRIENDS}),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """Whose rows a subject could be shown at all: no decision, but a bound of every one.

    `owner_ids` have a relation to the subject or consented to something; `strangers` are the (class, action)
    pairs that the policy may open to it without any.
    """

    subject_id: str | None
    owner_ids: frozenset[str]
    strangers: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class OwnerClause:
    """Some owners' rows. `owner_ids` None: everybody's but `excluded_ids`.

    `visibilities` None: whatever level. `created_by` None: whoever acted. `residual`: each loaded row must
    still be decided, because its labels, region or metric count.
    """

    owner_ids: frozenset[str] | None
    excluded_ids: frozenset[str] = frozenset()
    visibilities: frozenset[Visibility] | None = None
    created_by: str | None = None
    mask: str | None = None
    residual: bool = False

    def takes_owner(self, owner_id: str | None) -> bool:
        """Whether the clause speaks of this owner."""
        if self.owner_ids is not None:
            return owner_id in self.owner_ids
        return owner_id not in self.excluded_ids


@dataclass(frozen=True, slots=True)
class OwnerFilter:
    """The rows of one class a subject may see; no clause means none."""

    clauses: tuple[OwnerClause, ...]

    @property
    def nothing(self) -> bool:
        """Whether no row can be visible: the list is empty without asking the store."""
        return not self.clauses

    @property
    def residual(self) -> bool:
        """Whether loaded rows must be decided one by one before they are counted or shown."""
        return any(clause.residual for clause in self.clauses)

    def takes(
        self,
        owner_id: str | None,
        *,
        visibility: Visibility | None = None,
        created_by: str | None = None,
    ) -> bool:
        """What `predicate` says, about a row in memory."""
        return any(
            clause.takes_owner(owner_id)
            and (clause.visibilities is None or visibility in clause.visibilities)
            and (clause.created_by is None or created_by == clause.created_by)
            for clause in self.clauses
        )

    def predicate(
        self,
        *,
        owner: ColumnElement[str],
        visibility: ColumnElement[str] | None = None,
        created_by: ColumnElement[str] | None = None,
    ) -> ColumnElement[bool]:
        """The filter over a table's columns. A table without a column has no row that needs it."""
        columns = (owner, visibility, created_by)
        return or_(false(), *(_clause_predicate(clause, *columns) for clause in self.clauses))


def owner_filter(
    table: DecisionTable, question: Question, *, stranger: Case, related: Mapping[str, Case]
) -> OwnerFilter:
    """The filter for a class, action and purpose. `related` has a case for each owner that facts speak of."""
    by_shape: dict[OwnerClause, set[str]] = {}
    for owner_id, case in related.items():
        party = party_of(case.subject, owner_id, case.facts)
        for shape in _shapes(table, party, case):
            by_shape.setdefault(shape, set()).add(owner_id)
    clauses = [replace(shape, owner_ids=frozenset(owners)) for shape, owners in by_shape.items()]
    # Owners that facts speak of have clauses of their own, if any.
    clauses.extend(
        replace(shape, owner_ids=None, excluded_ids=frozenset(related))
        for shape in _shapes(table, party_of(stranger.subject, None, ()), stranger)
    )
    return OwnerFilter(tuple(clauses))


def _shapes(table: DecisionTable, party: Party, case: Case) -> list[OwnerClause]:
    """A clause for each rule that can show this owner's rows, before the rows are known."""
    cell = table.cell(party, case.question)
    denies = [deny for deny in cell.denies if _conceivable(deny, case)]
    if any(not _on_rows(deny) for deny in denies) or (cell.always and not cell.always.allowed):
        return []
    by_label = case.question.data_class is DataClass.CLINICAL or any(
        consent.labels and consent.decision == "deny" for consent in case.consents
    )
    shapes = []
    for allow in cell.allows:
        if not _conceivable(allow, case):
            continue
        left = _on_rows(allow)
        shape = _shape(left, case, mask=allow.decision.mask)
        shapes.append(replace(shape, residual=shape.residual or bool(denies) or by_label))
        if not left:
            break
    return shapes


def _shape(left: Iterable[Condition], case: Case, *, mask: str | None) -> OwnerClause:
    shape = OwnerClause(owner_ids=None, mask=mask)
    for condition in left:
        if condition.text in _LEVELS:
            levels = _LEVELS[condition.text]
            known = shape.visibilities
            shape = replace(shape, visibilities=levels if known is None else levels & known)
        elif condition.text == "own_act":
            shape = replace(shape, created_by=case.subject.id or "")
        else:
            shape = replace(shape, residual=True)
    return shape


def _conceivable(open_rule: OpenRule, case: Case) -> bool:
    """Whether all that does not depend on the row holds."""
    try:
        return all(each.holds(case) for each in open_rule.rule.conditions if each.depends < Depends.ROW)
    except Exception:
        return not open_rule.rule.allows


def _on_rows(open_rule: OpenRule) -> list[Condition]:
    return [each for each in open_rule.rule.conditions if each.depends is Depends.ROW]


def _clause_predicate(
    clause: OwnerClause,
    owner: ColumnElement[str],
    visibility: ColumnElement[str] | None,
    created_by: ColumnElement[str] | None,
) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [_owners(clause, owner)]
    if clause.visibilities is not None:
        if visibility is None:
            return false()
        parts.append(visibility.in_(sorted(level.value for level in clause.visibilities)))
    if clause.created_by is not None:
        if created_by is None:
            return false()
        parts.append(created_by == clause.created_by)
    return and_(*parts)


def _owners(clause: OwnerClause, owner: ColumnElement[str]) -> ColumnElement[bool]:
    if clause.owner_ids is not None:
        return owner.in_(sorted(clause.owner_ids))
    if not clause.excluded_ids:
        return true()
    # A row that nobody owns is nobody's to exclude; SQL would not count it in by itself.
    return or_(owner.is_(None), owner.not_in(sorted(clause.excluded_ids)))
