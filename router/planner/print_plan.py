"""A query plan as indented text and as the JSON that Federation tools read.  Source: `federation.md` (f)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from graphql import parse, print_ast

from router.planner.plan import (
    ConditionNode,
    Defer,
    Fetch,
    Flatten,
    KeyRenamer,
    Parallel,
    PathStep,
    PlanNode,
    QueryPlan,
    RequiresField,
    RequiresSelection,
    Rewrite,
    RewritePath,
    Sequence,
    Subscription,
    ValueSetter,
)


class PlanShown(StrEnum):
    """Whether a request wants to see its plan: beside its answer, or without being run."""

    NO = ""
    BESIDE = "true"
    INSTEAD = "dry-run"


def print_plan(plan: QueryPlan) -> str:
    """The plan as a person reads it, one node a line."""
    if plan.node is None:
        return "QueryPlan {}"
    return "QueryPlan {\n" + _node(plan.node, 1) + "\n}"


def plan_to_json(plan: QueryPlan) -> dict[str, Any]:
    """The plan as JSON values, `kind` first in each node."""
    return {"kind": "QueryPlan", "node": _json(plan.node)}


def shown_plan(plan: QueryPlan) -> dict[str, Any]:
    """The plan as an answer's extensions tell it.  Source: Apollo Router's `apolloQueryPlan`."""
    return {"apolloQueryPlan": {"object": plan_to_json(plan), "text": print_plan(plan)}}


def _node(node: PlanNode, depth: int) -> str:
    pad = "  " * depth
    match node:
        case Fetch():
            return _fetch(node, depth)
        case Sequence(nodes) | Parallel(nodes):
            inner = ",\n".join(_node(one, depth + 1) for one in nodes)
            return f"{pad}{type(node).__name__} {{\n{inner}\n{pad}}}"
        case Flatten(path, inner_node):
            return f'{pad}Flatten(path: "{_path(path)}") {{\n{_node(inner_node, depth + 1)}\n{pad}}}'
        case ConditionNode(variable, if_clause, else_clause):
            parts = []
            for word, clause in (("Include", if_clause), ("Skip", else_clause)):
                if clause is not None:
                    parts.append(f"{pad}{word}(if: ${variable}) {{\n{_node(clause, depth + 1)}\n{pad}}}")
            return ",\n".join(parts)
        case Subscription(primary, rest):
            inner = _node(primary, depth + 1) + (",\n" + _node(rest, depth + 1) if rest is not None else "")
            return f"{pad}Subscription {{\n{inner}\n{pad}}}"
        case Defer():
            return _defer(node, depth)


def _defer(node: Defer, depth: int) -> str:
    pad = "  " * depth
    parts = [_node(node.primary, depth + 1)] if node.primary is not None else []
    for part in node.deferred:
        depends = ", ".join(str(one.fetch_id) for one in part.depends)
        label = f', label: "{part.label}"' if part.label else ""
        head = f'{pad}  Deferred(depends: [{depends}], path: "{".".join(part.path)}"{label})'
        body = f" {{\n{_node(part.node, depth + 2)}\n{pad}  }}" if part.node is not None else " {}"
        parts.append(head + body)
    inner = ",\n".join(parts)
    return f"{pad}Defer {{\n{inner}\n{pad}}}"


def _fetch(fetch: Fetch, depth: int) -> str:
    pad = "  " * depth
    lines = [f'{pad}Fetch(service: "{fetch.service}") {{']
    if fetch.requires:
        lines.append(f"{pad}  {{ {' '.join(_requires(one) for one in fetch.requires)} }} =>")
    printed = print_ast(parse(fetch.operation, no_location=True))
    lines.extend(f"{pad}  {line}" for line in printed.split("\n"))
    lines.extend(f"{pad}  {_rewrite_text('in', one)}" for one in fetch.input_rewrites)
    lines.extend(f"{pad}  {_rewrite_text('out', one)}" for one in fetch.output_rewrites)
    lines.extend(f"{pad}  in {'.'.join(c.path)} => ${c.variable}" for c in fetch.context_rewrites)
    lines.append(f"{pad}}}")
    return "\n".join(lines)


def _rewrite_text(side: str, rewrite: Rewrite) -> str:
    verb = f"= {rewrite.value}" if isinstance(rewrite, ValueSetter) else f"-> {rewrite.new_key}"
    return f"{side} {'.'.join(rewrite.path)} {verb}"


def _requires(selection: RequiresSelection) -> str:
    inner = " ".join(_requires(one) for one in selection.selections)
    if isinstance(selection, RequiresField):
        name = selection.name
        name += f"<-{selection.source}" if selection.source != selection.name else ""
        return f"{name} {{ {inner} }}" if inner else name
    return f"... on {selection.type_condition} {{ {inner} }}"


def _path(path: tuple[PathStep, ...]) -> str:
    return ".".join(_step(step) for step in path)


def _step(step: PathStep) -> str:
    types = "|[" + ",".join(sorted(step.types)) + "]" if step.types else ""
    return getattr(step, "key", "@") + types


def _json(node: PlanNode | None) -> dict[str, Any] | None:
    match node:
        case None:
            return None
        case Fetch():
            return _fetch_json(node)
        case Sequence(nodes) | Parallel(nodes):
            return {"kind": type(node).__name__, "nodes": [_json(one) for one in nodes]}
        case Flatten(path, inner):
            return {"kind": "Flatten", "path": [_step(step) for step in path], "node": _json(inner)}
        case ConditionNode(variable, if_clause, else_clause):
            clauses = {"ifClause": _json(if_clause), "elseClause": _json(else_clause)}
            kept = {name: clause for name, clause in clauses.items() if clause is not None}
            return {"kind": "Condition", "condition": variable, **kept}
        case Subscription(primary, rest):
            return {"kind": "Subscription", "primary": _json(primary), "rest": _json(rest)}
        case Defer(primary_node, deferred):
            return {
                "kind": "Defer",
                "primary": {"node": _json(primary_node)},
                "deferred": [
                    {
                        "depends": [{"id": str(one.fetch_id)} for one in part.depends],
                        "label": part.label,
                        "queryPath": list(part.path),
                        "node": _json(part.node),
                    }
                    for part in deferred
                ],
            }


def _fetch_json(fetch: Fetch) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "Fetch", "serviceName": fetch.service}
    if fetch.requires:
        found["requires"] = [_requires_json(one) for one in fetch.requires]
    found["variableUsages"] = list(fetch.variable_usages)
    found["operation"] = fetch.operation
    if fetch.operation_name is not None:
        found["operationName"] = fetch.operation_name
    found["operationKind"] = fetch.kind.value
    found["id"] = str(fetch.id)
    rewrites = [*fetch.input_rewrites, *_renames(fetch.requires)]
    if rewrites:
        found["inputRewrites"] = [_rewrite_json(one) for one in rewrites]
    if fetch.output_rewrites:
        found["outputRewrites"] = [_rewrite_json(one) for one in fetch.output_rewrites]
    if fetch.context_rewrites:
        found["contextRewrites"] = [
            {"kind": "KeyRenamer", "path": list(one.path), "renameKeyTo": one.variable}
            for one in fetch.context_rewrites
        ]
    return found


def _renames(requires: tuple[RequiresSelection, ...], above: RewritePath = ()) -> Iterator[KeyRenamer]:
    """Tools take an alias in `requires` for the key that is sent: these give it the field's name."""
    for selection in requires:
        if isinstance(selection, RequiresField):
            yield from _renames(selection.selections, (*above, selection.source))
            if selection.source != selection.name:
                yield KeyRenamer((*above, selection.source), selection.name)
        else:
            yield from _renames(selection.selections, (*above, f"... on {selection.type_condition}"))


def _rewrite_json(rewrite: Rewrite) -> dict[str, Any]:
    if isinstance(rewrite, KeyRenamer):
        return {"kind": "KeyRenamer", "path": list(rewrite.path), "renameKeyTo": rewrite.new_key}
    return {"kind": "ValueSetter", "path": list(rewrite.path), "setValueTo": rewrite.value}


def _requires_json(selection: RequiresSelection) -> dict[str, Any]:
    inner = [_requires_json(one) for one in selection.selections]
    if isinstance(selection, RequiresField):
        found: dict[str, Any] = {"kind": "Field", "name": selection.name}
        if selection.source != selection.name:
            found["alias"] = selection.source
        return {**found, "selections": inner} if inner else found
    return {"kind": "InlineFragment", "typeCondition": selection.type_condition, "selections": inner}
