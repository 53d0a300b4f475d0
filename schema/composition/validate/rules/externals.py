"""`@external` stands on fields of objects, next to nothing that would resolve them, and is there for a
use."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Kind, Subgraph, TypeDef, find, has
from schema.composition.validate.report import problem
from schema.problems import Problem

_MERGED = ("tag", "inaccessible", "authenticated", "requiresScopes", "policy", "cost", "listSize")


def externals(graph: Subgraph, facts: FieldFacts) -> Iterator[Problem]:
    """Report external fields in the wrong place, of no use, or with directives that say they are resolved."""
    for owner in graph.types.values():
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            if owner.kind is Kind.INTERFACE:
                for applied in find(item.directives, "external"):
                    yield problem(
                        "EXTERNAL_ON_INTERFACE",
                        f"`{coordinate}` is a field of an interface, which nobody resolves",
                        coordinate,
                        applied.at,
                        mend="write `@external` on the fields of the implementing types",
                    )
            elif facts.is_external((owner.name, item.name)):
                yield from _collisions(owner, item.name)
                if (owner.name, item.name) not in facts.used and "external" not in item.inherited:
                    yield _unused(coordinate, graph, owner, item.name)


def _collisions(owner: TypeDef, name: str) -> Iterator[Problem]:
    item = owner.fields[name]
    coordinate = f"{owner.name}.{name}"
    if has(item.directives, "provides") and "external" not in item.inherited:
        yield problem(
            "EXTERNAL_COLLISION_WITH_ANOTHER_DIRECTIVE",
            f"`{coordinate}` is `@external`, so `@provides` on it provides nothing",
            coordinate,
            item.at,
            mend="remove one of them",
        )
    for applied in item.directives:
        if applied.spec and applied.name in _MERGED:
            yield problem(
                "MERGED_DIRECTIVE_APPLICATION_ON_EXTERNAL",
                f"`@{applied.name}` on `{coordinate}` would be lost: the field is external here",
                coordinate,
                applied.at,
                mend=f"write `@{applied.name}` where the field is resolved",
            )


def _unused(coordinate: str, graph: Subgraph, owner: TypeDef, name: str) -> Problem:
    return problem(
        "EXTERNAL_UNUSED",
        f"`{coordinate}` is `@external` in `{graph.name}`, and no `@key`,"
        " `@requires`, `@provides` or interface uses it",
        coordinate,
        owner.fields[name].at,
        mend="remove the field, or `@external` if this subgraph resolves it",
    )
