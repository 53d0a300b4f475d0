"""Arguments of fields as text, and the variables in them."""

from __future__ import annotations

from graphql import ValueNode, VariableNode, Visitor, print_ast, visit

from router.operation.model import NormalField
from schema.supergraph.field_sets import FieldSetArgument


def printed_arguments(selection: NormalField) -> str:
    """The field's arguments with parentheses; empty without arguments."""
    arguments = ", ".join(f"{a.name}: {print_ast(a.value)}" for a in selection.arguments)
    return f"({arguments})" if arguments else ""


def variables_of(selection: NormalField) -> tuple[str, ...]:
    """The names in its arguments, then in its directives."""
    given = [*selection.arguments, *(a for directive in selection.directives for a in directive.arguments)]
    return tuple(dict.fromkeys(name for argument in given for name in _variables(argument.value)))


def _variables(value: ValueNode) -> list[str]:
    visitor = _Variables()
    visit(value, visitor)
    return visitor.names


def arguments_text(arguments: tuple[FieldSetArgument, ...]) -> str:
    """As `printed_arguments` of a client's field with the same arguments."""
    ordered = sorted(arguments, key=lambda argument: argument.name)
    return "(" + ", ".join(f"{a.name}: {a.text}" for a in ordered) + ")" if arguments else ""


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Collect in order of appearance."""
        self.names.append(node.name.value)
