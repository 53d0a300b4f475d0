"""Field sets: the selections inside `@key(fields:)`, `@requires(fields:)` and `@provides(fields:)`."""

from __future__ import annotations

from functools import lru_cache

from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    ListValueNode,
    NameNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    parse,
    print_ast,
)
from graphql.language import OperationDefinitionNode

FIELD_SET_CHARACTERS_MAX = 100_000


class FieldSetSyntax(Exception):
    """The text is no selection."""


@lru_cache(maxsize=4096)
def parse_field_set(text: str) -> SelectionSetNode:
    """The selection that `text` spells, outer braces optional. Errors: FieldSetSyntax."""
    if len(text) > FIELD_SET_CHARACTERS_MAX:
        raise FieldSetSyntax(f"it has more than {FIELD_SET_CHARACTERS_MAX} characters")
    source = text if text.lstrip().startswith("{") else "{" + text + "\n}"
    try:
        document = parse(source, no_location=True)
    except GraphQLSyntaxError as error:
        raise FieldSetSyntax(error.message.removeprefix("Syntax Error: ").rstrip(".")) from None
    except RecursionError:
        raise FieldSetSyntax("it is nested too deeply") from None
    operation = document.definitions[0]
    if len(document.definitions) != 1 or not isinstance(operation, OperationDefinitionNode):
        raise FieldSetSyntax("it is not one selection")
    return operation.selection_set


def fields_text(value: ValueNode | None) -> str | None:
    """The text of a `fields` argument; Federation 1 also wrote lists and bare names. None: no text at all."""
    if isinstance(value, StringValueNode | EnumValueNode):
        return value.value
    if isinstance(value, ListValueNode):
        parts = [fields_text(item) for item in value.values]
        return None if None in parts else " ".join(part for part in parts if part is not None)
    return None


def print_field_set(selection: SelectionSetNode) -> str:
    """One line, single spaces: two spellings of one selection print the same."""
    return " ".join(_print(item) for item in selection.selections)


def _print(item: SelectionNode) -> str:
    if isinstance(item, InlineFragmentNode):
        condition = f"... on {item.type_condition.name.value}" if item.type_condition else "..."
        return f"{condition} {{ {print_field_set(item.selection_set)} }}"
    if not isinstance(item, FieldNode):
        return print_ast(item)
    arguments = ", ".join(print_ast(argument) for argument in item.arguments or ())
    text = f"{item.name.value}({arguments})" if arguments else item.name.value
    return f"{text} {{ {print_field_set(item.selection_set)} }}" if item.selection_set else text


def selection_of(names: tuple[str, ...]) -> SelectionSetNode:
    """A flat selection of the named fields."""
    return SelectionSetNode(selections=tuple(FieldNode(name=NameNode(value=name)) for name in names))
