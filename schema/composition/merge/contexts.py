"""Turns `@fromContext` on arguments into what the router needs to fill them."""

from __future__ import annotations

from schema.composition.context_references import context_reference
from schema.composition.merge.model import ContextArgument
from schema.composition.subgraph import FieldDef, first
from schema.composition.validate import ValidSubgraph
from schema.federation.type_refs import nullable


def context_arguments(subgraph: ValidSubgraph, item: FieldDef) -> tuple[ContextArgument, ...]:
    """The arguments of a field that come from a context, ready for `@join__field`."""
    found = []
    for argument in item.arguments.values():
        applied = first(argument.directives, "fromContext")
        reference = context_reference(applied.text("field")) if applied else None
        if reference is not None:
            context, selection = reference
            found.append(
                ContextArgument(
                    argument.name,
                    str(nullable(argument.type)),
                    f"{subgraph.graph.name}__{context}",
                    selection,
                )
            )
    return tuple(found)
