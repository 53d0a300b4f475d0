"""NormalOperation → AllowedOperation: takes out, before planning, what this caller can never see.

Decided by schema coordinate, never by response key, so that aliases and fragments change nothing. What
depends on the row (owner, consent, purpose) is decided in the subgraph that loads it.
Source: Federation specification, @authenticated, @requiresScopes, @policy; `architecture.md` §4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from graphql import ListValueNode, ObjectValueNode, ValueNode, VariableNode

from authz.classes import DataClass
from authz.identity.subject import Subject
from router.operation.model import (
    AllowedOperation,
    Denial,
    NormalField,
    NormalFragment,
    NormalOperation,
    NormalSelection,
)
from router.operation.requirements import (
    Authenticated,
    Classified,
    Policies,
    Requirement,
    Requirements,
    Scopes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Who answers what the token alone does not.

    `can_ever`: could any relation, consent or attribute let this caller read this class? Without it, data
    classes are left to the subgraphs. `grants`: does this caller hold the named policy? Without it, nobody
    does. `forbids`: is it denied to this caller, whoever grants it?
    """

    can_ever: Callable[[Subject, DataClass, str], bool] | None = None
    grants: Callable[[Subject, str], bool] | None = None
    forbids: Callable[[Subject, str], bool] | None = None

    def holds(self, subject: Subject, policy: str) -> bool:
        """Whether somebody grants the policy, and nobody forbids it: one deny beats every grant."""
        if self.grants is None or not self.grants(subject, policy):
            return False
        return self.forbids is None or not self.forbids(subject, policy)


NO_RIGHTS = Rights()


def authorize(
    normal: NormalOperation, subject: Subject, requirements: Requirements, rights: Rights = NO_RIGHTS
) -> AllowedOperation:
    """What `subject` may ask of `normal`, with one Denial for each response path taken out."""
    return without(normal, denied_to(subject, needed_by(normal, requirements), rights), requirements)


def needed_by(normal: NormalOperation, requirements: Requirements) -> frozenset[Requirement]:
    """Every requirement that some field of the operation has: the same for all callers."""
    fields = _fields(normal.selections)
    return frozenset(one for field in fields for one in requirements.of(field.parent_type, field.name))


def denied_to(
    subject: Subject, needed: Iterable[Requirement], rights: Rights = NO_RIGHTS
) -> frozenset[Requirement]:
    """Those of `needed` that the caller does not meet. Callers with equal answers share plans."""
    return frozenset(one for one in needed if not _met(one, subject, rights))


def without(
    normal: NormalOperation, denied: frozenset[Requirement], requirements: Requirements
) -> AllowedOperation:
    """The operation less every field that has a requirement in `denied`, less the variables left unused."""
    if not denied:
        return AllowedOperation(normal=normal, original=normal)
    cut = _Cut(denied, requirements, {})
    selections = cut.selections(normal.selections, ())
    if not cut.denials:
        return AllowedOperation(normal=normal, original=normal)
    used = frozenset(_variables(selections))
    kept = replace(
        normal,
        selections=selections,
        variables=tuple(one for one in normal.variables if one.variable.name.value in used),
        signature=_signature(normal, cut.denials.values()),
    )
    return AllowedOperation(normal=kept, original=normal, denials=tuple(cut.denials.values()))


def _signature(normal: NormalOperation, denials: Iterable[Denial]) -> str:
    """INVARIANT: the same text and the same cut give the same rest, so both together name the plan."""
    return "\n".join(
        [normal.signature, *(f"# without {one.coordinate} at {'.'.join(one.path)}" for one in denials)]
    )


def _met(requirement: Requirement, subject: Subject, rights: Rights) -> bool:
    match requirement:
        case Authenticated():
            return subject.authenticated
        case Scopes(alternatives):
            return any(subject.scopes >= scopes for scopes in alternatives)
        case Policies(alternatives):
            return any(all(rights.holds(subject, name) for name in names) for names in alternatives)
        case Classified(data_class, action):
            return rights.can_ever is None or rights.can_ever(subject, data_class, action)


@dataclass(frozen=True, slots=True)
class _Cut:
    """One walk through an operation; `denials` collects what was taken out, by response path."""

    denied: frozenset[Requirement]
    requirements: Requirements
    denials: dict[tuple[str, ...], Denial]

    def selections(
        self, selections: tuple[NormalSelection, ...], path: tuple[str, ...]
    ) -> tuple[NormalSelection, ...]:
        kept = (
            self._field(one, path) if isinstance(one, NormalField) else self._fragment(one, path)
            for one in selections
        )
        return tuple(one for one in kept if one is not None)

    def _field(self, field: NormalField, path: tuple[str, ...]) -> NormalField | None:
        path = (*path, field.response_key)
        broken = [one for one in self.requirements.of(field.parent_type, field.name) if one in self.denied]
        if broken:
            self.denials.setdefault(path, _denial(field, path, broken))
            return None
        if not field.selections:
            return field
        selections = self.selections(field.selections, path)
        # an object of which nothing may be seen is not asked for: it is answered as null without an error
        return replace(field, selections=selections) if selections else None

    def _fragment(self, fragment: NormalFragment, path: tuple[str, ...]) -> NormalFragment | None:
        if not fragment.selections:
            return fragment
        selections = self.selections(fragment.selections, path)
        return replace(fragment, selections=selections) if selections else None


def _denial(field: NormalField, path: tuple[str, ...], broken: list[Requirement]) -> Denial:
    classified = any(isinstance(one, Classified) for one in broken)
    return Denial(
        path=path,
        coordinate=f"{field.parent_type}.{field.name}",
        code="FORBIDDEN_FIELD" if classified else "UNAUTHORIZED_FIELD_OR_TYPE",
        extensions={},
    )


def _fields(selections: tuple[NormalSelection, ...]) -> Iterator[NormalField]:
    for one in selections:
        if isinstance(one, NormalField):
            yield one
        yield from _fields(one.selections)


def _variables(selections: tuple[NormalSelection, ...]) -> Iterator[str]:
    for one in selections:
        yield from (condition.variable for condition in one.conditions)
        if isinstance(one, NormalField):
            for argument in one.arguments:
                yield from _variables_of(argument.value)
        yield from _variables(one.selections)


def _variables_of(value: ValueNode) -> Iterator[str]:
    if isinstance(value, VariableNode):
        yield value.name.value
    elif isinstance(value, ListValueNode):
        for item in value.values:
            yield from _variables_of(item)
    elif isinstance(value, ObjectValueNode):
        for entry in value.fields:
            yield from _variables_of(entry.value)
