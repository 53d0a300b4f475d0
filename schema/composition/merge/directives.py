"""Merges the directives that several subgraphs put on one element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from graphql import (
    ArgumentNode,
    DirectiveNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    print_ast,
)

from schema.composition.merge.context import MergeContext
from schema.composition.merge.features import CACHE_TAG_DIRECTIVE, FEATURES
from schema.composition.merge.model import JoinDirective, MergedDirectives
from schema.composition.merge.values import meaning
from schema.composition.subgraph import Applied, Directives, find
from schema.federation.directives import CARRIED_BUILT_INS
from schema.problems import Severity

_BUILT_IN_ORDER = tuple(sorted(CARRIED_BUILT_INS))


def merge_directives(
    ctx: MergeContext, coordinate: str, sources: Mapping[int, Directives]
) -> MergedDirectives:
    """The directives of the merged element, in one order. Sources: whichever subgraphs declare it."""
    if not any(sources.values()):
        return ()
    merged: list[DirectiveNode] = []
    for name, applied in _by_name(ctx, sources).items():
        feature = FEATURES.get(name)
        if feature is not None and feature.combine:
            merged.append(_combined(ctx, coordinate, name, applied))
        elif _is_repeatable(ctx, name):
            merged.extend(_distinct(ctx, name, applied))
        else:
            merged.append(_most_frequent(ctx, coordinate, name, applied))
    return tuple(merged)


def join_directives(sources: Mapping[int, Directives]) -> tuple[JoinDirective, ...]:
    """The directives that the router reads per subgraph: @cacheTag."""
    found: dict[object, tuple[list[int], ObjectValueNode]] = {}
    for index, directives in sources.items():
        for applied in find(directives, "cacheTag"):
            value = _object(applied.arguments)
            found.setdefault(meaning(value), ([], value))[0].append(index)
    return tuple(JoinDirective(tuple(graphs), CACHE_TAG_DIRECTIVE, value) for graphs, value in found.values())


def directive_node(name: str, arguments: Mapping[str, ValueNode]) -> DirectiveNode:
    """A directive application as syntax."""
    nodes = tuple(ArgumentNode(name=NameNode(value=key), value=value) for key, value in arguments.items())
    return DirectiveNode(name=NameNode(value=name), arguments=nodes)


def _by_name(ctx: MergeContext, sources: Mapping[int, Directives]) -> dict[str, list[tuple[int, Applied]]]:
    """The applications that stay, under the name that the supergraph gives them: built-in ones first."""
    found: dict[str, list[tuple[int, Applied]]] = {}
    for index, directives in sources.items():
        for applied in directives:
            name = _supergraph_name(ctx, index, applied)
            if name is not None:
                found.setdefault(name, []).append((index, applied))
    order = {name: place for place, name in enumerate((*_BUILT_IN_ORDER, *FEATURES))}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def _supergraph_name(ctx: MergeContext, index: int, applied: Applied) -> str | None:
    if applied.spec:
        return applied.name if applied.name in FEATURES or applied.name in CARRIED_BUILT_INS else None
    return ctx.composed.get((index, applied.name))


def _is_repeatable(ctx: MergeContext, name: str) -> bool:
    feature = FEATURES.get(name)
    if feature is not None:
        return feature.is_repeatable
    return name in ctx.repeatable


def _distinct(ctx: MergeContext, name: str, applied: list[tuple[int, Applied]]) -> Iterator[DirectiveNode]:
    seen = set()
    for index, one in applied:
        arguments = dict(one.arguments)
        if name == "context":
            arguments["name"] = _context_name(ctx, index, one)
        node = directive_node(name, arguments)
        key = meaning(_object(arguments))
        if key not in seen:
            seen.add(key)
            yield node


def _context_name(ctx: MergeContext, index: int, one: Applied) -> ValueNode:
    return StringValueNode(value=f"{ctx.name(index)}__{one.text('name')}")


def _combined(
    ctx: MergeContext, coordinate: str, name: str, applied: list[tuple[int, Applied]]
) -> DirectiveNode:
    arguments: dict[str, ValueNode] = {}
    for argument, combine in FEATURES[name].combine.items():
        values = [one.arguments[argument] for _, one in applied if argument in one.arguments]
        value = combine(values) if values else None
        if value is not None:
            arguments[argument] = value
    node = directive_node(name, arguments)
    if len({meaning(_object(one.arguments)) for _, one in applied}) > 1:
        ctx.hint(
            "MERGED_NON_REPEATABLE_DIRECTIVE_ARGUMENTS",
            f"`@{name}` on `{coordinate}` differs between subgraphs; together they make `{print_ast(node)}`",
            coordinate,
            (one.at for _, one in applied),
        )
    return node


def _most_frequent(
    ctx: MergeContext, coordinate: str, name: str, applied: list[tuple[int, Applied]]
) -> DirectiveNode:
    counts = Counter(meaning(_object(one.arguments)) for _, one in applied)
    chosen, _ = counts.most_common(1)[0]
    node = next(
        directive_node(name, one.arguments) for _, one in applied if meaning(_object(one.arguments)) == chosen
    )
    if len(counts) > 1:
        ctx.hint(
            "INCONSISTENT_NON_REPEATABLE_DIRECTIVE_ARGUMENTS",
            f"`@{name}` on `{coordinate}` differs between subgraphs;"
            f" `{print_ast(node)}` is kept, as the most frequent",
            coordinate,
            (one.at for _, one in applied),
            severity=Severity.WARN,
        )
    return node


def _object(arguments: Mapping[str, ValueNode]) -> ObjectValueNode:
    fields = tuple(ObjectFieldNode(name=NameNode(value=key), value=value) for key, value in arguments.items())
    return ObjectValueNode(fields=fields)
