"""Weights: what each field and argument of a supergraph costs, read from `@cost` and `@listSize`.

Source: the GraphQL cost specification, with Federation's defaults: an object, interface or union costs 1,
everything else nothing, unless `@cost` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from graphql import (
    DirectiveNode,
    InputValueDefinitionNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    TypeNode,
    ValueNode,
    value_from_ast_untyped,
)

from schema.supergraph import Supergraph, TypeKind
from schema.supergraph.applied import argument_flag, argument_names, argument_text, arguments_of, named
from schema.supergraph.model import FieldDefinition

COMPOSITES: Final = frozenset({TypeKind.OBJECT, TypeKind.INTERFACE, TypeKind.UNION})
OBJECT_WEIGHT: Final = 1.0
MEANINGS: Final = ("cost", "listSize")


@dataclass(frozen=True, slots=True)
class ListSize:
    """`@listSize`: `slicing` are argument names, each a path into an input object; `sized` the fields below
    that are the lists."""

    assumed: int | None
    slicing: tuple[tuple[str, ...], ...]
    sized: frozenset[str]
    one_slicing: bool


@dataclass(frozen=True, slots=True)
class InputWeight:
    """What a value costs in the place of an argument or input field. `own` is None without `@cost`."""

    own: float | None
    type_name: str
    default: ValueNode | None


@dataclass(frozen=True, slots=True)
class FieldWeight:
    """What one value of a field costs, without what is below it."""

    weight: float
    type_name: str
    is_list: bool
    size: ListSize | None
    arguments: Mapping[str, InputWeight]


class Weights:
    """The weights of one supergraph; each is read when it is first asked for."""

    def __init__(self, supergraph: Supergraph) -> None:
        self._supergraph = supergraph
        self._names = _names(supergraph)
        self._fields: dict[tuple[str, str], FieldWeight | None] = {}
        self._inputs: dict[str, Mapping[str, InputWeight]] = {}

    def field(self, type_name: str, field_name: str) -> FieldWeight | None:
        """The weight of a field; None for one that the supergraph has not, as introspection's."""
        key = (type_name, field_name)
        if key not in self._fields:
            type_ = self._supergraph.types.get(type_name)
            definition = type_.fields.get(field_name) if type_ is not None else None
            self._fields[key] = None if definition is None else self._read(definition)
        return self._fields[key]

    def inputs(self, type_name: str) -> Mapping[str, InputWeight] | None:
        """The fields of an input type; None where it is no input type."""
        if type_name not in self._inputs:
            type_ = self._supergraph.types.get(type_name)
            if type_ is None or type_.kind is not TypeKind.INPUT_OBJECT:
                return None
            self._inputs[type_name] = {
                name: InputWeight(self._cost(field.directives, field.type.name), field.type.name, None)
                for name, field in type_.fields.items()
            }
        return self._inputs[type_name]

    def _read(self, definition: FieldDefinition) -> FieldWeight:
        type_ = self._supergraph.types.get(definition.type.name)
        weight = self._cost(definition.directives, definition.type.name)
        if weight is None:
            weight = OBJECT_WEIGHT if type_ is not None and type_.kind in COMPOSITES else 0.0
        return FieldWeight(
            weight=weight,
            type_name=definition.type.name,
            is_list=definition.type.list_depth > 0,
            size=self._list_size(definition.directives),
            arguments={one.name.value: self._argument(one) for one in definition.arguments},
        )

    def _argument(self, definition: InputValueDefinitionNode) -> InputWeight:
        type_name = _named_type(definition.type)
        return InputWeight(
            self._cost(definition.directives or (), type_name), type_name, definition.default_value
        )

    def _cost(self, directives: Iterable[DirectiveNode], type_name: str) -> float | None:
        """The field's or argument's own weight, else its type's. A negative one would make others free."""
        type_ = self._supergraph.types.get(type_name)
        for applied in (directives, type_.directives if type_ is not None else ()):
            for directive in named(applied, self._names["cost"]):
                weight = _number(arguments_of(directive).get("weight"))
                if weight is not None:
                    return max(weight, 0.0)
        return None

    def _list_size(self, directives: Iterable[DirectiveNode]) -> ListSize | None:
        for directive in named(directives, self._names["listSize"]):
            arguments = arguments_of(directive)
            assumed = _number(arguments.get("assumedSize"))
            return ListSize(
                assumed=None if assumed is None else max(int(assumed), 0),
                slicing=tuple(tuple(one.split(".")) for one in _texts(arguments.get("slicingArguments"))),
                sized=frozenset(_texts(arguments.get("sizedFields"))),
                one_slicing=argument_flag(arguments, "requireOneSlicingArgument", default=True),
            )
        return None


def _names(supergraph: Supergraph) -> dict[str, str]:
    """What the supergraph calls the two directives."""
    names = {meaning: meaning for meaning in MEANINGS}
    for node in supergraph.document.definitions:
        if isinstance(node, SchemaDefinitionNode | SchemaExtensionNode):
            for link in named(node.directives, "link"):
                names.update(_renamed(link))
    return names


def _renamed(link: DirectiveNode) -> Iterator[tuple[str, str]]:
    arguments = arguments_of(link)
    spec = (argument_text(arguments, "url") or "").rstrip("/").rpartition("/")[0].rpartition("/")[2]
    if spec == "cost" and (alias := argument_text(arguments, "as")):
        yield "cost", alias
        yield "listSize", f"{alias}__listSize"
    for name, alias in argument_names(arguments, "import"):
        meaning = name.removeprefix("@")
        if spec in {"cost", "federation"} and meaning in MEANINGS:
            yield meaning, (alias or name).removeprefix("@")


def _named_type(node: TypeNode) -> str:
    while not hasattr(node, "name"):
        node = node.type  # type: ignore[attr-defined]
    return str(node.name.value)


def _number(node: ValueNode | None) -> float | None:
    """A number, also where it is written as a text."""
    value = None if node is None else value_from_ast_untyped(node)
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


def _texts(node: ValueNode | None) -> list[str]:
    value = None if node is None else value_from_ast_untyped(node)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
