"""Literals lifted into variables, so that texts which differ in their literals alone share one plan.

Only a second text of the same form is lifted. Lifted are texts and numbers that are the whole value of a
field's argument of type String, ID, Int or Float; everything else stays in the text. What a lifted text
says of its literals is checked as variables are; where that fails, the text is read as it stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    GraphQLNonNull,
    GraphQLSchema,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse_type,
    print_ast,
    visit,
)

LITERALS_MAX: Final = 64
"""Texts with more literals are read as they stand."""
_PREFIX: Final = "_lifted"

_TOKEN: Final = re.compile(
    r'("""(?:[^"\\]|\\.|"(?!""))*"""|#[^\n\r]*)'
    r'|("(?:[^"\\\n\r]|\\.)*")'
    r"|(?<![_0-9A-Za-z.])(-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))(?![_0-9A-Za-z.])"
    r"|(?<![_0-9A-Za-z.])(-?(?:0|[1-9]\d*))(?![_0-9A-Za-z.])",
    re.DOTALL,
)
_KINDS: Final = ("", "", "text", "float", "int")
"""By group of `_TOKEN`; block strings and comments are no literals here."""

_FITTING: Final[Mapping[str, frozenset[str]]] = {
    "String": frozenset({"text"}),
    "ID": frozenset({"text", "int"}),
    "Int": frozenset({"int"}),
    "Float": frozenset({"int", "float"}),
}


@dataclass(frozen=True, slots=True)
class Form:
    """A text without its literals: equal for texts that differ in nothing else."""

    text: str
    literals: tuple[str, ...] = field(compare=False)


@dataclass(frozen=True, slots=True)
class LiftedText:
    """The text with variables in place of literals. `slots` has for each literal its type, or None where
    it stayed in the text."""

    text: str
    slots: tuple[str | None, ...]

    def fixed(self, form: Form) -> tuple[str, ...]:
        """The literals that stayed in the text: another text shares this one only if it has them too."""
        return tuple(it for it, slot in zip(form.literals, self.slots, strict=True) if slot is None)

    def values(self, form: Form) -> dict[str, Any] | None:
        """The lifted variables' values in a text of this form; None where a literal cannot be read."""
        values: dict[str, Any] = {}
        for number, (literal, slot) in enumerate(zip(form.literals, self.slots, strict=True)):
            if slot is None:
                continue
            try:
                values[f"{_PREFIX}{number}"] = _value(literal, slot)
            except ValueError:
                return None
        return values


def form_of(text: str) -> Form | None:
    """The text's form; None where it has no literals, too many, or names like those of lifted variables."""
    if '"' not in text and "(" not in text:  # arguments alone have literals
        return None
    literals: list[str] = []

    def take(match: re.Match[str]) -> str:
        group = match.lastindex or 0
        if not _KINDS[group]:
            return match[0]
        literals.append(match[0])
        # no document has this character, so the mark can be taken for nothing else
        return f"\0{_KINDS[group]}\0"

    form = _TOKEN.sub(take, text)
    if not 0 < len(literals) <= LITERALS_MAX or "\0" in text or _PREFIX in text:
        return None
    return Form(form, tuple(literals))


def lifted(text: str, document: DocumentNode, schema: GraphQLSchema) -> LiftedText | None:
    """The text with its literals lifted; None where none can be. `document` is its tree, with locations."""
    operations = [it for it in document.definitions if isinstance(it, OperationDefinitionNode)]
    starts = [match.start() for match in _TOKEN.finditer(text) if _KINDS[match.lastindex or 0]]
    if len(operations) != 1:
        return None
    lifting = _Lifting(starts, TypeInfo(schema))
    changed = visit(document, TypeInfoVisitor(lifting.types, lifting))
    if not lifting.declared:
        return None
    slots: list[str | None] = [None] * len(starts)
    for number, (name, _) in lifting.declared.items():
        slots[number] = name
    definitions = tuple(
        VariableDefinitionNode(
            variable=_variable(number), type=parse_type(type_, no_location=True), directives=()
        )
        for number, (_, type_) in lifting.declared.items()
    )
    declared = tuple(
        replace(it, variable_definitions=(*(it.variable_definitions or ()), *definitions))
        if isinstance(it, OperationDefinitionNode)
        else it
        for it in changed.definitions
    )
    return LiftedText(print_ast(replace(changed, definitions=declared)), tuple(slots))


class _Lifting(Visitor):
    """Replaces literals by variables; `declared` has the named type and the whole type of each."""

    def __init__(self, starts: Sequence[int], types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.declared: dict[int, tuple[str, str]] = {}
        self._numbers = {start: number for number, start in enumerate(starts)}

    def enter_argument(
        self, node: ArgumentNode, _key: Any, _parent: Any, _path: Any, ancestors: Sequence[Any]
    ) -> ArgumentNode | None:
        """A field's argument whose value is one literal of a fitting kind."""
        argument, holder, value = self.types.get_argument(), ancestors[-1], node.value
        if argument is None or not isinstance(holder, FieldNode) or holder.name.value.startswith("__"):
            return None
        named = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
        name = getattr(named, "name", "")
        number = self._numbers.get(value.loc.start) if value.loc is not None else None
        if number is None or _kind_of(value) not in _FITTING.get(name, frozenset()):
            return None
        self.declared[number] = (name, str(argument.type))
        return replace(node, value=_variable(number))


def _kind_of(value: Any) -> str:
    if isinstance(value, StringValueNode):
        return "" if value.block else "text"
    return "int" if isinstance(value, IntValueNode) else "float" if isinstance(value, FloatValueNode) else ""


def _variable(number: int) -> VariableNode:
    return VariableNode(name=NameNode(value=f"{_PREFIX}{number}"))


def _value(literal: str, slot: str) -> Any:
    """The literal as the JSON value of a variable.  Errors: ValueError where it has none."""
    if literal.startswith('"'):
        return orjson.loads(literal)
    if slot == "ID":
        return literal
    if slot == "Int":
        number = int(literal)
        if not -(2**31) <= number < 2**31:
            raise ValueError("not an integer of 32 bits")
        return number
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
