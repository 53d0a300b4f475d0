"""What `@inaccessible` hides may leave no hole in what clients see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import DirectiveNode, EnumValueNode, ListValueNode, ObjectValueNode, ValueNode

from schema.composition.merge.model import MergedArgument, MergedField, MergedType
from schema.composition.post_merge.places import Merged
from schema.composition.subgraph import Kind
from schema.federation.type_refs import NonNull, named
from schema.problems import Problem


def is_hidden(directives: Iterable[DirectiveNode]) -> bool:
    """Whether clients do not see the element."""
    return any(directive.name.value == "inaccessible" for directive in directives)


def inaccessible(merged: Merged) -> Iterator[Problem]:
    """Report each visible element that needs a hidden one."""
    query = merged.graph.types.get("Query")
    if query is not None and is_hidden(query.directives):
        yield merged.report(
            "QUERY_ROOT_TYPE_INACCESSIBLE",
            "`Query` is hidden, so clients could ask nothing",
            "Query",
            mend="hide single fields instead",
        )
    for owner in merged.graph.types.values():
        if not is_hidden(owner.directives):
            yield from _children(merged, owner)
            for item in owner.fields.values():
                yield from _field(merged, owner, item)
            yield from _input_fields(merged, owner)


def _children(merged: Merged, owner: MergedType) -> Iterator[Problem]:
    parts = [p for group in (owner.fields, owner.inputs, owner.values) for p in group.values()]
    hidden = [is_hidden(part.directives) for part in parts]
    members = [merged.graph.types[name] for name in owner.member_names if name in merged.graph.types]
    hidden += [is_hidden(member.directives) for member in members]
    if hidden and all(hidden):
        yield merged.report(
            "ONLY_INACCESSIBLE_CHILDREN",
            f"`{owner.name}` is visible, and everything in it is hidden",
            owner.name,
            mend=f"hide `{owner.name}` too, or show one part of it",
        )


def _field(merged: Merged, owner: MergedType, item: MergedField) -> Iterator[Problem]:
    if is_hidden(item.directives):
        yield from _implements_visible(merged, owner, item.name)
        return
    coordinate = f"{owner.name}.{item.name}"
    yield from _reference(merged, coordinate, named(item.type), owner.name, item.name)
    for argument in item.arguments.values():
        where = f"{coordinate}({argument.name}:)"
        if is_hidden(argument.directives):
            yield from _required(merged, where, argument, owner.name, item.name)
            yield from _implements_visible(merged, owner, item.name, argument.name)
        else:
            yield from _reference(merged, where, named(argument.type), owner.name, item.name)
            yield from _default(merged, where, argument, owner.name, item.name)


def _input_fields(merged: Merged, owner: MergedType) -> Iterator[Problem]:
    for argument in owner.inputs.values():
        where = f"{owner.name}.{argument.name}"
        if is_hidden(argument.directives):
            yield from _required(merged, where, argument, owner.name, argument.name)
        else:
            yield from _reference(merged, where, named(argument.type), owner.name, argument.name)
            yield from _default(merged, where, argument, owner.name, argument.name)


def _reference(merged: Merged, where: str, used: str, owner: str, member: str) -> Iterator[Problem]:
    target = merged.graph.types.get(used)
    if target is not None and is_hidden(target.directives):
        yield merged.report(
            "REFERENCED_INACCESSIBLE",
            f"`{where}` is visible, and its type `{used}` is hidden",
            owner,
            member,
            mend=f"hide `{where}` too, or show `{used}`",
        )


def _required(
    merged: Merged, where: str, argument: MergedArgument, owner: str, member: str
) -> Iterator[Problem]:
    if isinstance(argument.type, NonNull) and argument.default is None:
        yield merged.report(
            "REQUIRED_INACCESSIBLE",
            f"`{where}` is hidden, and clients must give it",
            owner,
            member,
            mend="give it a default, make it nullable, or show it",
        )


def _default(
    merged: Merged, where: str, argument: MergedArgument, owner: str, member: str
) -> Iterator[Problem]:
    if argument.default is None:
        return
    for hidden in _hidden_parts(merged, named(argument.type), argument.default):
        yield merged.report(
            "DEFAULT_VALUE_USES_INACCESSIBLE",
            f"the default of `{where}` uses `{hidden}`, which is hidden",
            owner,
            member,
            mend="choose a default that clients can see, or hide the argument",
        )


def _hidden_parts(merged: Merged, type_name: str, value: ValueNode) -> Iterator[str]:
    target = merged.graph.types.get(type_name)
    if isinstance(value, ListValueNode):
        for item in value.values:
            yield from _hidden_parts(merged, type_name, item)
    elif isinstance(value, EnumValueNode) and target is not None:
        found = target.values.get(value.value)
        if found is not None and is_hidden(found.directives):
            yield f"{type_name}.{value.value}"
    elif isinstance(value, ObjectValueNode) and target is not None:
        for entry in value.fields:
            part = target.inputs.get(entry.name.value)
            if part is None:
                continue
            if is_hidden(part.directives):
                yield f"{type_name}.{part.name}"
            yield from _hidden_parts(merged, named(part.type), entry.value)


def _implements_visible(
    merged: Merged, owner: MergedType, field: str, argument: str | None = None
) -> Iterator[Problem]:
    for name in owner.interfaces:
        interface = merged.graph.types.get(name)
        if interface is None or interface.kind is not Kind.INTERFACE or is_hidden(interface.directives):
            continue
        wanted = interface.fields.get(field)
        if wanted is None or is_hidden(wanted.directives):
            continue
        if argument is not None:
            given = wanted.arguments.get(argument)
            if given is None or is_hidden(given.directives):
                continue
        what = f"{owner.name}.{field}" if argument is None else f"{owner.name}.{field}({argument}:)"
        yield merged.report(
            "IMPLEMENTED_BY_INACCESSIBLE",
            f"`{what}` is hidden, and the interface `{name}` shows it",
            owner.name,
            field,
            mend=f"hide it in `{name}` too, or show it here",
        )
