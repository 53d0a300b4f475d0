"""Field sets as values: the selections that `key`, `requires` and `provides` name, parsed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from graphql import (
    FieldNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    parse,
    print_ast,
)


@dataclass(frozen=True, slots=True)
class FieldSetArgument:
    """A literal argument; `text` is the printed value, so that equal literals are equal."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldSetField:
    """One field, with literal arguments (only `requires` may have them)."""

    name: str
    arguments: tuple[FieldSetArgument, ...] = ()
    selections: FieldSet = ()


@dataclass(frozen=True, slots=True)
class FieldSetFragment:
    """Selections for one type condition."""

    type_condition: str
    selections: FieldSet = ()


FieldSetItem: TypeAlias = FieldSetField | FieldSetFragment
FieldSet: TypeAlias = tuple[FieldSetItem, ...]


class InvalidFieldSet(ValueError):
    """The text is not a selection of fields; the message shows it."""


def parse_field_set(text: str) -> FieldSet:
    """The selections of a field set, with or without the outer braces.

    Errors: InvalidFieldSet where the text does not parse. Source: Federation, `FieldSet`.
    """
    inner = text.strip()
    try:
        document = parse(inner if inner.startswith("{") else "{" + inner + "}", no_location=True)
    except GraphQLSyntaxError as error:
        raise InvalidFieldSet(f"`{text}` is not a field set: {error.message}") from error
    definition = document.definitions[0]
    if not inner.strip("{}").strip():
        raise InvalidFieldSet(f"`{text}` is not a field set: it names no field")
    if len(document.definitions) != 1 or not isinstance(definition, OperationDefinitionNode):
        raise InvalidFieldSet(f"`{text}` is not a field set: one selection is expected")
    return _items(definition.selection_set, text)


def print_field_set(selections: FieldSet) -> str:
    """The field set as text, without outer braces; equal sets print equally."""
    return " ".join(_print_item(item) for item in selections)


def clash(left: FieldSet, right: FieldSet) -> bool:
    """Whether both name one field with different arguments, at any depth."""
    for a in left:
        for b in right:
            if getattr(a, "name", None) != getattr(b, "name", None):
                continue
            arguments_differ = getattr(a, "arguments", None) != getattr(b, "arguments", None)
            if arguments_differ or clash(a.selections, b.selections):
                return True
    return False


def _items(selection_set: SelectionSetNode | None, text: str) -> FieldSet:
    if selection_set is None:
        return ()
    items: list[FieldSetItem] = []
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            arguments = tuple(FieldSetArgument(a.name.value, _literal(a.value)) for a in node.arguments or ())
            items.append(FieldSetField(node.name.value, arguments, _items(node.selection_set, text)))
        elif isinstance(node, InlineFragmentNode) and node.type_condition is not None:
            items.append(FieldSetFragment(node.type_condition.name.value, _items(node.selection_set, text)))
        elif isinstance(node, InlineFragmentNode):
            items.extend(_items(node.selection_set, text))
        else:
            raise InvalidFieldSet(f"`{text}` is not a field set: named fragments are not allowed")
    return tuple(items)


def _literal(value: ValueNode) -> str:
    return print_ast(value)


def _print_item(item: FieldSetItem) -> str:
    inner = " { " + print_field_set(item.selections) + " }" if item.selections else ""
    if isinstance(item, FieldSetFragment):
        return f"... on {item.type_condition}{inner}"
    arguments = ", ".join(f"{argument.name}: {argument.text}" for argument in item.arguments)
    return item.name + (f"({arguments})" if arguments else "") + inner
