"""Applied directives of an SDL node: find them by name, read their literal arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    EnumValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

Arguments: TypeAlias = Mapping[str, ValueNode]


def named(directives: Iterable[DirectiveNode] | None, name: str) -> Iterator[DirectiveNode]:
    """The applications of directive `name`, in order."""
    return (directive for directive in directives or () if directive.name.value == name)


def arguments_of(directive: DirectiveNode | None) -> Arguments:
    """Argument name → value node; empty where there is no directive."""
    return {a.name.value: a.value for a in directive.arguments or ()} if directive is not None else {}


def argument_text(arguments: Arguments, name: str) -> str | None:
    """A string or enum argument's text; None where absent or null."""
    value = arguments.get(name)
    if isinstance(value, (StringValueNode, EnumValueNode)):
        return value.value
    return None


def argument_flag(arguments: Arguments, name: str, *, default: bool) -> bool:
    """A Boolean argument, or `default` where absent."""
    value = arguments.get(name)
    return value.value if isinstance(value, BooleanValueNode) else default


def argument_objects(arguments: Arguments, name: str) -> Iterator[Arguments]:
    """The input objects of a list argument, each as its own arguments."""
    value = arguments.get(name)
    for item in value.values if isinstance(value, ListValueNode) else ():
        if isinstance(item, ObjectValueNode):
            yield {field.name.value: field.value for field in item.fields}


def argument_names(arguments: Arguments, name: str) -> tuple[tuple[str, str | None], ...]:
    """The entries of an `import:` list as (name, alias or None); other entries are passed over."""
    value = arguments.get(name)
    if value is None or isinstance(value, NullValueNode) or not isinstance(value, ListValueNode):
        return ()
    entries: list[tuple[str, str | None]] = []
    for item in value.values:
        if isinstance(item, StringValueNode):
            entries.append((item.value, None))
        elif isinstance(item, ObjectValueNode):
            inner = {field.name.value: field.value for field in item.fields}
            imported = argument_text(inner, "name")
            if imported is not None:
                entries.append((imported, argument_text(inner, "as")))
    return tuple(entries)
