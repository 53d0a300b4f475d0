"""Once merged, a field may want arguments that a `@requires` written against an older copy does not give."""

from collections.abc import Iterator

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from schema.composition.facts import selection_on
from schema.composition.post_merge.places import Merged
from schema.federation.type_refs import NonNull, named
from schema.problems import Problem


def required_arguments(merged: Merged) -> Iterator[Problem]:
    """Report `@requires` selections that leave out a required argument, or give one that clients cannot."""
    for owner in merged.graph.types.values():
        for item in owner.fields.values():
            for join in item.joins:
                if join.requires is not None:
                    for why in _selection(merged, owner.name, selection_on(join.requires)):
                        yield merged.report(
                            "REQUIRES_INVALID_FIELDS",
                            f"`@requires` on `{owner.name}.{item.name}`: {why}",
                            owner.name,
                            item.name,
                        )


def _selection(merged: Merged, owner: str, selection: SelectionSetNode | None) -> Iterator[str]:
    found = merged.graph.types.get(owner)
    for item in selection.selections if selection else ():
        if isinstance(item, InlineFragmentNode):
            inner = item.type_condition.name.value if item.type_condition else owner
            yield from _selection(merged, inner, item.selection_set)
        elif isinstance(item, FieldNode) and found is not None:
            field = found.fields.get(item.name.value)
            if field is None:
                continue
            given = {a.name.value for a in item.arguments or ()}
            for argument in field.arguments.values():
                is_required = isinstance(argument.type, NonNull) and argument.default is None
                if is_required and argument.name not in given:
                    yield f"`{owner}.{field.name}` wants the argument `{argument.name}`"
            yield from _selection(merged, named(field.type), item.selection_set)
