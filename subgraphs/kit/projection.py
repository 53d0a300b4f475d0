"""Selection sets compiled: the plain attributes that a document reads of one type, as one generated function.

A projection gives exactly what Strawberry's own execution would give, or it declines: whatever it does not
know (a denied or masked field, a value of another class, a leaf that does not serialise) makes it raise, and
the object takes the ordinary way from its start. Attributes are only read, so nothing happens twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from graphql import (
    GraphQLAbstractType,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
    is_union_type,
)
from strawberry.types.cast import get_strawberry_type_cast
from strawberry.types.field import StrawberryField

from authz.trail import AUDITED
from subgraphs.kit.classification import definition_of
from subgraphs.kit.fence import Fence
from subgraphs.kit.leaves import BUILT_IN, declined, members, serialiser
from subgraphs.kit.owners import ROW_ACCESS, Need, owner_of, told_by
from subgraphs.kit.settled import flat

Opened: TypeAlias = Sequence[AbstractSet[Any]]
"""By the place of a need: the owners whose objects may be read whole."""
Seen: TypeAlias = Sequence[Mapping[Any, set[str]]]
"""The same where reading leaves a record: with the record's fields."""
Notes: TypeAlias = list[tuple[set[str], frozenset[str]]]
"""Fields of audited classes that were read, for the record that they belong to."""
Reader: TypeAlias = Callable[..., Any]
Grouped: TypeAlias = Mapping[str, Sequence[Any]]
"""Response name → the details of its field nodes, as graphql-core collects them."""
Subfields: TypeAlias = Callable[[GraphQLObjectType, Sequence[Any]], "Grouped | None"]

LEVELS_MAX = 12


class Supposed(NamedTuple):
    """A guess about all objects of a list, as the line that declines whom it is wrong about, by what `k`
    tells."""

    arguments: str
    by_owner: str
    by_row: str


# One owner's rows name that owner by one object or by equal ones.
_ONE_OWNER = "if k is not w and k != w: declined()"
_SAME = Supposed("w", _ONE_OWNER, _ONE_OWNER)
_AMONG = Supposed(
    "kind, w", "if k not in w: declined()", "if k.kind is not kind or k.owner_id not in w: declined()"
)


class Compiled:
    """A function of lines that were written down; compiled when it is first called."""

    __slots__ = ("_names", "_text", "_type", "function")

    def __init__(self, arguments: str, body: Sequence[str], of: str, names: dict[str, Any]) -> None:
        self._text = f"def read({arguments}):\n" + "".join(f"    {line}\n" for line in body)
        self._type, self._names = of, names
        self.function: Reader | None = None

    def compiled(self) -> Reader:
        """The function itself."""
        if self.function is None:
            names = dict(self._names)
            exec(compile(self._text, f"<projection of {self._type}>", "exec"), names)  # noqa: S102 - our own text: names of attributes and numbers
            self.function = names["read"]
        return self.function


@dataclass(frozen=True, slots=True)
class Inner:
    """An attribute under which owned objects lie, with their projections by class."""

    attribute: str
    by_class: Mapping[type, Projection]


@dataclass(frozen=True, slots=True)
class Projection:
    """How one selection set, these fields of one object type, is read.

    `read(object, opened, seen, notes)` gives the answer's object, with None at the names of `rest`, which
    stay with the ordinary execution; `notes` hold once it is not declined. `read_all` is `read` for a list of
    objects whose `needs` are proven: they are not looked at, and reading is noted by `audited` (need →
    coordinates). `read_same(objects, opened, seen, notes, cls, owner)` is `read_all` where they are proven
    for this owner, `read_among(…, cls, kind, owners)` for these, and declines anything else. Errors: any
    exception declines.
    """

    type_name: str
    fields: tuple[str, ...]
    read: Compiled
    read_all: Compiled
    read_same: Compiled
    read_among: Compiled
    rest: tuple[str, ...]
    needs: frozenset[Need]
    audited: Mapping[Need, frozenset[str]]
    inner: tuple[Inner, ...]


def owned_below(
    objects: Sequence[Any], projection: Projection
) -> Iterator[tuple[list[Any], frozenset[Need]]]:
    """The owned objects that `read` will reach below `objects`, with what it needs to read of them."""
    for inner in projection.inner:
        groups: dict[int, tuple[Projection, list[Any]]] = {}
        values = flat([getattr(each, inner.attribute, None) for each in objects])
        for cls in {value.__class__ for value in values}:
            found = inner.by_class.get(cls)
            if found is not None:
                own = [value for value in values if value.__class__ is cls]
                groups.setdefault(id(found), (found, []))[1].extend(own)
        for found, below in groups.values():
            if found.needs:
                yield below, found.needs
            yield from owned_below(below, found)


class Projector:
    """Makes the projections of one schema. `subfields` collects a selection set, None where it may not."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    def object_type(self, named: GraphQLObjectType | GraphQLAbstractType, cls: type) -> Any:
        """The object type whose plain instances `cls` makes where `named` is expected; None if unsure."""
        if is_object_type(named):
            return named if cls in _classes(named) else None
        if not is_abstract_type(named):
            return None
        possible = [
            each for each in self._fence.schema.get_possible_types(named) if definition_of(each).origin is cls
        ]
        if len(possible) != 1 or definition_of(possible[0]).is_type_of is not None:
            return None
        definition = named.extensions.get("strawberry-definition")
        return None if getattr(definition, "resolve_type", None) is not None else possible[0]

    def projection(
        self, graphql_type: GraphQLObjectType, grouped: Grouped, subfields: Subfields, *, level: int = 0
    ) -> Projection | None:
        """The projection of `grouped` on `graphql_type`; None where nothing in it is plain."""
        writer = _Writer(self._fence, graphql_type)
        rest: list[str] = []
        for response_name, details in grouped.items():
            if not self._plain(writer, response_name, details, subfields, level):
                rest.append(response_name)
                writer.later(response_name)
        if rest and len(rest) == len(grouped):
            return None
        return Projection(
            graphql_type.name,
            tuple(details[0].node.name.value for details in grouped.values()),
            writer.reader(),
            writer.list_reader(),
            writer.list_reader(_SAME),
            writer.list_reader(_AMONG),
            tuple(rest),
            frozenset(writer.needs),
            {need: frozenset(names) for need, names in writer.audited.items()},
            tuple(writer.inner),
        )

    def _plain(
        self, writer: _Writer, response_name: str, details: Sequence[Any], subfields: Subfields, level: int
    ) -> bool:
        """Writes the field down, if it is one that shows an attribute as it is."""
        name = details[0].node.name.value
        if name == "__typename":
            writer.constant(response_name, writer.type.name)
            return True
        field = writer.type.fields.get(name)
        attribute = None if field is None else _attribute(field)
        if field is None or attribute is None or not writer.admits(name):
            return False
        target = get_named_type(field.type)
        if is_leaf_type(target):
            writer.leaf(response_name, name, attribute, field.type)
            return True
        below = self._below(target, details, subfields, level + 1) if level < LEVELS_MAX else None
        if below is None:
            return False
        writer.composite(response_name, name, attribute, field.type, below)
        return True

    def _below(
        self, target: Any, details: Sequence[Any], subfields: Subfields, level: int
    ) -> dict[type, Projection] | None:
        """Class → projection for all that `target` may be; None unless each can be read whole."""
        found: dict[type, Projection] = {}
        possible = [target] if is_object_type(target) else self._fence.schema.get_possible_types(target)
        for each in possible:
            grouped = subfields(each, details)
            below = None if grouped is None else self.projection(each, grouped, subfields, level=level)
            if below is None or below.rest:
                return None
            for cls in _classes(each):
                if self.object_type(target, cls) is each:
                    found[cls] = below
        return found


def _classes(graphql_type: GraphQLObjectType) -> tuple[type, ...]:
    """The classes whose instances are of the type, whatever is asked of them."""
    definition = definition_of(graphql_type)
    if definition.is_type_of is not None:
        return ()
    generic = definition.concrete_of
    return (definition.origin,) if generic is None else (definition.origin, generic.origin)


def _attribute(field: GraphQLField) -> str | None:
    """The attribute that a field without a resolver of its own shows."""
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field or field.args:
        return None
    name = definition.python_name
    plain = definition.default_resolver is getattr and name.isidentifier()
    return name if plain else None


class _Writer:
    """The text of one `read`, line by line, and the values that it refers to."""

    def __init__(self, fence: Fence, graphql_type: GraphQLObjectType) -> None:
        self.type = graphql_type
        self.needs: set[Need] = set()
        self.audited: dict[Need, set[str]] = {}
        self.inner: list[Inner] = []
        self._fence = fence
        self._owned = graphql_type.name in fence.owned
        self._names: dict[str, Any] = {
            "declined": declined,
            "isfinite": math.isfinite,
            "cast": get_strawberry_type_cast,
            "owner_of": owner_of,
        }
        self._lines: list[str] = []
        self._items: list[str] = []

    def admits(self, field_name: str) -> bool:
        """Whether the field's decision can be looked up; what only asks for a log-in is left alone."""
        rule = self._fence.rules.get((self.type.name, field_name))
        return rule is None or rule.protected or not rule.authenticated

    def constant(self, response_name: str, value: str) -> None:
        """The same for all objects."""
        self._items.append(f"{response_name!r}: {value!r}")

    def later(self, response_name: str) -> None:
        """A place that the ordinary execution fills."""
        self._items.append(f"{response_name!r}: None")

    def leaf(self, response_name: str, field_name: str, attribute: str, of: GraphQLOutputType) -> None:
        """A scalar, an enum, or lists of them."""
        self._field(response_name, field_name, attribute, self._value(of, self._variable(), self._leaf))

    def composite(
        self,
        response_name: str,
        field_name: str,
        attribute: str,
        of: GraphQLOutputType,
        below: Mapping[type, Projection],
    ) -> None:
        """Objects that are read whole."""
        readers = self._named("readers", {cls: each.read.compiled() for cls, each in below.items()})

        def read(_: Any, variable: str) -> str:
            return f"{readers}[{variable}.__class__]({variable}, opened, seen, notes)"

        self._field(response_name, field_name, attribute, self._value(of, self._variable(), read))
        if any(each.needs or each.inner for each in below.values()):
            self.inner.append(Inner(attribute, below))

    def reader(self) -> Compiled:
        """The function of one object."""
        body = [*self._identified(), *self._admission(), *self._lines, f"return {{{', '.join(self._items)}}}"]
        return Compiled("o, opened, seen, notes", body, self.type.name, self._names)

    def list_reader(self, supposed: Supposed | None = None) -> Compiled:
        """The function of a list, which looks at each whether it is as `supposed`."""
        looked = [] if supposed is None else ["if o.__class__ is not c: declined()"]
        told = self._told()
        if supposed is not None and told is None:
            looked.append("declined()")
        elif supposed is not None:
            looked += [f"k = o.{told}", supposed.by_row if told == ROW_ACCESS else supposed.by_owner]
        each = [*looked, *self._identified(), *self._lines, f"add({{{', '.join(self._items)}}})"]
        loop = ["found = []", "add = found.append", "for o in objects:", *(f"    {line}" for line in each)]
        arguments = "objects, opened, seen, notes" + (f", c, {supposed.arguments}" if supposed else "")
        return Compiled(arguments, [*loop, "return found"], self.type.name, self._names)

    def _identified(self) -> list[str]:
        """It is no object of another type."""
        return ["if cast(o) is not None: declined()"] if self._may_be_cast() else []

    def _admission(self) -> list[str]:
        """What must hold before anything is read: its owner's needs are open."""
        lines: list[str] = []
        told = self._told()
        if self.needs and told is not None:
            # An object of another class has another projection, or none.
            lines.append(f"k = o.{told}")
        for need in sorted(self.needs):
            place = self._fence.places[need]
            asked = f"owner_of(o, {need!r})"
            lines.append(f"k = {asked}" if told is None else f"if k is None: k = {asked}")
            if need not in self.audited:
                lines.append(f"if k not in opened[{place}]: declined()")
                continue
            names = self._named("coordinates", frozenset(self.audited[need]))
            lines += [
                f"if k not in opened[{place}]:",
                f"    s = seen[{place}].get(k)",
                "    if s is None: declined()",
                f"    notes.append((s, {names}))",
            ]
        return lines

    def _told(self) -> str | None:
        """The attribute that tells whose an object is, whichever of its classes it has."""
        told = {told_by(cls) for cls in _classes(self.type)}
        return told.pop() if len(told) == 1 else None

    def _may_be_cast(self) -> bool:
        """Whether `strawberry.cast` has a say: only where the type must be told apart from others."""
        unions = (each for each in self._fence.schema.type_map.values() if is_union_type(each))
        return bool(self.type.interfaces) or any(self.type in union.types for union in unions)

    def _field(self, response_name: str, field_name: str, attribute: str, expression: str) -> None:
        self._lines.append(f"v{len(self._lines)} = o.{attribute}")
        self._items.append(f"{response_name!r}: {expression}")
        rule = self._fence.rules.get((self.type.name, field_name))
        if rule is None or not rule.protected or not self._owned:
            return
        need: Need = (rule.data_class.value, rule.action)
        self.needs.add(need)
        if rule.data_class in AUDITED:
            self.audited.setdefault(need, set()).add(rule.coordinate)

    def _variable(self) -> str:
        return f"v{len(self._lines)}"

    def _value(
        self, of: GraphQLOutputType, variable: str, innermost: Callable[[Any, str], str], depth: int = 0
    ) -> str:
        """The expression for the value of `variable`, which is of the type `of`."""
        if isinstance(of, GraphQLNonNull):
            inside = self._value_of(of.of_type, variable, innermost, depth)
            return f"({inside} if {variable} is not None else declined())"
        return f"(None if {variable} is None else {self._value_of(of, variable, innermost, depth)})"

    def _value_of(self, of: Any, variable: str, innermost: Callable[[Any, str], str], depth: int) -> str:
        if not isinstance(of, GraphQLList):
            return innermost(of, variable)
        item = f"{variable}_{depth}"
        inside = self._value(of.of_type, item, innermost, depth + 1)
        is_list = f"{variable}.__class__ is list or {variable}.__class__ is tuple"
        return f"([{inside} for {item} in {variable}] if {is_list} else declined())"

    def _leaf(self, leaf: GraphQLLeafType, variable: str) -> str:
        serialise = self._named("leaf", serialiser(leaf))
        known = BUILT_IN.get(leaf.name)
        if known is not None and leaf.coerce_output_value is known[0].coerce_output_value:
            return f"({variable} if {known[1].format(v=variable)} else {serialise}({variable}))"
        known_members = members(leaf)
        if known_members is None:
            return f"{serialise}({variable})"
        cls, names = self._named("enum", known_members[0]), self._named("names", known_members[1])
        return f"({names}[{variable}] if {variable}.__class__ is {cls} else {serialise}({variable}))"

    def _named(self, kind: str, value: Any) -> str:
        name = f"{kind}{len(self._names)}"
        self._names[name] = value
        return name
