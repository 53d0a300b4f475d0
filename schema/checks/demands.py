"""Changes that no type shows: who may read an element, what it costs, which directives it carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLSchema,
    TypeDefinitionNode,
    print_ast,
)

from schema.checks.model import Change, Impact
from schema.federation.alternatives import alternatives_of

Applied = Mapping[str, tuple[DirectiveNode, ...]]
_Alternatives = list[frozenset[str]]

_DEMANDS = {"requiresScopes": ("scopes", "SCOPES"), "policy": ("policies", "POLICY")}
_COSTS = {"cost": "COST", "listSize": "LIST_SIZE"}
# What the comparison of types already tells, or what only routers read.
_TOLD = frozenset({"deprecated", "specifiedBy", "oneOf", "inaccessible", "context"})
_JUDGED = _TOLD | _DEMANDS.keys() | _COSTS.keys() | {"authenticated", "tag"}


def applied_directives(document: DocumentNode, api: GraphQLSchema) -> Applied:
    """The directives of every element that clients see, by coordinate."""
    found: dict[str, tuple[DirectiveNode, ...]] = {}
    for node in document.definitions:
        if isinstance(node, TypeDefinitionNode) and node.name.value in api.type_map:
            found.update(_of_type(node, api.type_map[node.name.value]))
    return found


def _of_type(node: Any, shown: Any) -> Iterator[tuple[str, tuple[DirectiveNode, ...]]]:
    name = node.name.value
    yield name, tuple(node.directives or ())
    for item in (*(getattr(node, "fields", None) or ()), *(getattr(node, "values", None) or ())):
        members = getattr(shown, "fields", None) or getattr(shown, "values", None) or {}
        visible = members.get(item.name.value)
        if visible is None:
            continue
        yield f"{name}.{item.name.value}", tuple(item.directives or ())
        for argument in getattr(item, "arguments", None) or ():
            if argument.name.value in visible.args:
                where = f"{name}.{item.name.value}({argument.name.value}:)"
                yield where, tuple(argument.directives or ())


def demand_changes(old: Applied, new: Applied) -> Iterator[Change]:
    """What changed on the elements that both have, by coordinate."""
    for coordinate in sorted(old.keys() & new.keys()):
        before, after = old[coordinate], new[coordinate]
        if before or after:
            yield from _authentication(coordinate, before, after)
            for directive in _DEMANDS:
                yield from _alternatives(coordinate, directive, before, after)
            yield from _tags(coordinate, before, after)
            yield from _others(coordinate, before, after)


def _named(directives: Iterable[DirectiveNode], name: str) -> list[DirectiveNode]:
    return [directive for directive in directives if directive.name.value == name]


def _authentication(
    coordinate: str, before: tuple[DirectiveNode, ...], after: tuple[DirectiveNode, ...]
) -> Iterator[Change]:
    was, is_now = (bool(_named(directives, "authenticated")) for directives in (before, after))
    if is_now and not was:
        message = f"{coordinate} is now only for clients that are signed in."
        yield Change(Impact.BREAKING, "AUTHENTICATION_ADDED", message)
    elif was and not is_now:
        message = f"{coordinate} is now for clients that are not signed in as well."
        yield Change(Impact.DANGEROUS, "AUTHENTICATION_REMOVED", message)


def _alternatives(
    coordinate: str, directive: str, before: tuple[DirectiveNode, ...], after: tuple[DirectiveNode, ...]
) -> Iterator[Change]:
    argument, kind = _DEMANDS[directive]
    old, new = (_demanded(directives, directive, argument) for directives in (before, after))
    loosens, tightens = not _implies(new, old), not _implies(old, new)
    if tightens:
        message = f"{coordinate} now demands the {argument} {_shown(new)}; before {_shown(old)}."
        yield Change(Impact.BREAKING, f"{kind}_{'ADDED' if old is None else 'CHANGED'}", message)
    elif loosens:
        message = f"{coordinate} demanded the {argument} {_shown(old)}; now {_shown(new)}."
        yield Change(Impact.DANGEROUS, f"{kind}_{'REMOVED' if new is None else 'LOOSENED'}", message)


def _demanded(directives: tuple[DirectiveNode, ...], directive: str, argument: str) -> _Alternatives | None:
    for found in _named(directives, directive):
        for given in found.arguments or ():
            if given.name.value == argument:
                return alternatives_of(given.value)
    return None


def _implies(demanded: _Alternatives | None, needed: _Alternatives | None) -> bool:
    """Whether whoever meets the one demand meets the other."""
    if needed is None:
        return True
    return demanded is not None and all(any(n <= d for n in needed) for d in demanded)


def _shown(alternatives: _Alternatives | None) -> str:
    if alternatives is None:
        return "none"
    return " or ".join(" and ".join(sorted(one)) or "none" for one in alternatives) or "that nobody has"


def _tags(
    coordinate: str, before: tuple[DirectiveNode, ...], after: tuple[DirectiveNode, ...]
) -> Iterator[Change]:
    old, new = ({print_ast(tag) for tag in _named(directives, "tag")} for directives in (before, after))
    for kind, tags, verb in (("TAG_ADDED", new - old, "now has"), ("TAG_REMOVED", old - new, "lost")):
        for tag in sorted(tags):
            message = f"{coordinate} {verb} {tag}: a contract that chooses by it may show or hide it."
            yield Change(Impact.DANGEROUS, kind, message)


def _others(
    coordinate: str, before: tuple[DirectiveNode, ...], after: tuple[DirectiveNode, ...]
) -> Iterator[Change]:
    """Costs, which decide what is refused as too expensive, and directives of one's own."""
    names = {d.name.value for d in (*before, *after) if not d.name.value.startswith("join__")}
    for name in sorted(names - (_JUDGED - _COSTS.keys())):
        old, new = (sorted(map(print_ast, _named(directives, name))) for directives in (before, after))
        if old != new:
            was, is_now = (" ".join(texts) or "none" for texts in (old, new))
            kind = f"{_COSTS.get(name, 'DIRECTIVE')}_CHANGED"
            message = f"@{name} of {coordinate} was {was} and is now {is_now}."
            yield Change(Impact.DANGEROUS, kind, message)
