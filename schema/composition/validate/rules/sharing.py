"""`@shareable` stands on fields of objects, once a declaration, and never on a subscription."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Kind, Subgraph, find
from schema.composition.validate.report import problem
from schema.problems import Problem


def sharing(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report `@shareable` where it says nothing or cannot be true."""
    for owner in graph.types.values():
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            places = [applied.at for applied in find(item.directives, "shareable")]
            if not places:
                continue
            code = "INVALID_SHAREABLE_USAGE"
            if owner.kind is Kind.INTERFACE:
                why, mend = (
                    "an interface's field is resolved by nobody",
                    "write it on the implementing types' fields",
                )
            elif len(places) > 1:
                why, mend = "once is enough", "remove the others"
            elif owner.name == "Subscription":
                code = "INVALID_FIELD_SHARING"
                why, mend = (
                    "two subgraphs cannot share a stream",
                    "remove it, and the field from the other subgraphs",
                )
            else:
                continue
            yield problem(code, f"`@shareable` on `{coordinate}`: {why}", coordinate, *places, mend=mend)
