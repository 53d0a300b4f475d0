"""An input of which exactly one field is given: each must be free to stay out."""

from collections.abc import Iterator

from schema.composition.post_merge.places import Merged
from schema.federation.type_refs import NonNull
from schema.problems import Problem


def one_of_inputs(merged: Merged) -> Iterator[Problem]:
    """Report `@oneOf` inputs whose merged fields are required or have defaults."""
    for owner in merged.graph.types.values():
        if not any(directive.name.value == "oneOf" for directive in owner.directives):
            continue
        for item in owner.inputs.values():
            if isinstance(item.type, NonNull) or item.default is not None:
                yield merged.report(
                    "INPUT_FIELD_MERGE_FAILED",
                    f"`{owner.name}` is `@oneOf`, and its field `{item.name}` is required or has a default",
                    owner.name,
                    item.name,
                    mend="make it nullable, without a default, in each subgraph",
                )
