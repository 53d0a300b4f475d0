"""A field that requires others must itself demand what they demand, or it would leak them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import DirectiveNode, FieldNode, InlineFragmentNode, SelectionSetNode

from schema.composition.facts import selection_on
from schema.composition.merge.combine import simplest
from schema.composition.merge.model import MergedField, MergedType
from schema.composition.post_merge.places import Merged
from schema.federation.alternatives import alternatives_of
from schema.federation.type_refs import named
from schema.problems import Problem

_ARGUMENTS = {"requiresScopes": "scopes", "policy": "policies"}


def transitive_requirements(merged: Merged) -> Iterator[Problem]:
    """Report fields with `@requires` that demand less than what they read."""
    for owner in merged.graph.types.values():
        for item in owner.fields.values():
            for text in {join.requires for join in item.joins if join.requires}:
                yield from _check(merged, owner, item, text)


def _check(merged: Merged, owner: MergedType, item: MergedField, text: str) -> Iterator[Problem]:
    demanded = _demands(merged, owner, item)
    selection = selection_on(text)
    for coordinate, needed in _read(merged, owner.name, selection):
        for name, alternatives in needed.items():
            if not _implies(demanded.get(name, []), alternatives):
                yield merged.report(
                    "MISSING_TRANSITIVE_AUTH_REQUIREMENTS",
                    f"`{owner.name}.{item.name}` requires `{coordinate}`, and does not demand its `@{name}`",
                    owner.name,
                    item.name,
                    mend=f"write the same `@{name}` on `{owner.name}.{item.name}`",
                )


def _read(
    merged: Merged, owner: str, selection: SelectionSetNode | None
) -> Iterator[tuple[str, dict[str, list[frozenset[str]]]]]:
    found = merged.graph.types.get(owner)
    for item in selection.selections if selection else ():
        if isinstance(item, InlineFragmentNode):
            inner = item.type_condition.name.value if item.type_condition else owner
            yield from _read(merged, inner, item.selection_set)
        elif isinstance(item, FieldNode) and found is not None:
            field = found.fields.get(item.name.value)
            if field is not None:
                yield f"{owner}.{field.name}", _demands(merged, None, field)
                yield from _read(merged, named(field.type), item.selection_set)


def _demands(merged: Merged, owner: MergedType | None, item: MergedField) -> dict[str, list[frozenset[str]]]:
    """What reading the field demands, by directive, as alternatives."""
    returned = merged.graph.types.get(named(item.type))
    groups: list[Iterable[DirectiveNode]] = [item.directives]
    groups += [t.directives for t in (owner, returned) if t is not None]
    found: dict[str, list[frozenset[str]]] = {}
    for directive in (d for group in groups for d in group):
        name = directive.name.value
        if name == "authenticated":
            found[name] = [frozenset({"yes"})]
        elif name in _ARGUMENTS:
            values = [a.value for a in directive.arguments or () if a.name.value == _ARGUMENTS[name]]
            mine = [a for value in values for a in alternatives_of(value)]
            found[name] = _both(found.get(name, []), mine)
    return found


def _both(one: list[frozenset[str]], other: list[frozenset[str]]) -> list[frozenset[str]]:
    if not one or not other:
        return one or other
    return simplest([a | b for a in one for b in other])


def _implies(demanded: list[frozenset[str]], needed: list[frozenset[str]]) -> bool:
    """Whether whoever meets the demand meets the need: each alternative holds one of the needed ones."""
    if not needed:
        return True
    return bool(demanded) and all(any(n <= d for n in needed) for d in demanded)
