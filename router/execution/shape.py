"""The shape of an answer: the client's selection, resolved by runtime type, in the client's order.

Built from the original operation (denied fields included) for one assignment of the variables that
`@skip` and `@include` ask for. Projection and explanation both walk it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from graphql import (
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_object_type,
)

from router.errors import PlanInvariantBroken
from router.operation.introspect import INTROSPECTION_FIELDS
from router.operation.model import (
    AllowedOperation,
    Condition,
    Denial,
    NormalField,
    NormalFragment,
    NormalOperation,
    NormalSelection,
)

Composite: TypeAlias = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType

KNOWN_MAX: Final = 4_000
"""Selections whose shape is kept for one schema; then it begins anew."""

Keys: TypeAlias = tuple[str, ...]
_Kept: TypeAlias = frozenset[tuple[Keys, str, str]]


@dataclass(frozen=True, slots=True)
class AnswerField:
    """One key of an object in the answer. `type` is None for introspection, which is answered as it is.

    `denials` is not empty where the field was taken out before planning, or all that it selects was.
    `stream` is the increment of a list whose later items are delivered later.
    """

    key: str
    coordinate: str
    type: GraphQLOutputType | None
    non_null: bool
    selection: AnswerSelection | None
    denials: tuple[Denial, ...] = ()
    stream: int | None = None

    @property
    def is_typename(self) -> bool:
        """Whether the value is the runtime type's name."""
        return self.coordinate.endswith(".__typename")


class _FieldTypes:
    """The types of one schema's fields on runtime types, as they are met.

    INVARIANT: it does not hold the schema, with which it is to go.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[GraphQLOutputType, Composite | None]] = {}

    def of(
        self, field: NormalField, runtime_type: Composite, schema: GraphQLSchema
    ) -> tuple[GraphQLOutputType, Composite | None]:
        """The field's type, and the named type in it where that has fields itself."""
        at = (runtime_type.name, field.parent_type, field.name)
        known = self._known.get(at)
        if known is None:
            type_ = _type_of(field, runtime_type, schema)
            named = get_named_type(type_)
            known = self._known[at] = (type_, named if is_composite_type(named) else None)
        return known


class KnownShapes:
    """What operations of one schema answer alike, by what is selected: shape and projection are made once.

    While an answer is projected, `irregular` has an item for each value that was refused, and `answered` the
    answers that are known by their objects' identity.
    """

    __slots__ = ("answered", "irregular", "selections")

    def __init__(self) -> None:
        self.selections: dict[tuple[int, str, bool], AnswerSelection] = {}
        self.irregular: list[None] = []
        self.answered: list[dict[int, Any]] = []


def _known_shapes(schema: GraphQLSchema) -> KnownShapes:
    # on the schema itself, to which they lead back, so that both go together
    known: KnownShapes | None = vars(schema).get("_known_shapes")
    if known is None:
        known = vars(schema)["_known_shapes"] = KnownShapes()
    return known


_types: WeakKeyDictionary[GraphQLSchema, _FieldTypes] = WeakKeyDictionary()


def _types_of(schema: GraphQLSchema) -> _FieldTypes:
    known = _types.get(schema)
    if known is None:
        known = _types[schema] = _FieldTypes()
    return known


@dataclass(frozen=True, slots=True)
class _Context:
    """What the whole answer shares. `kept` is None where nothing was denied.

    `late` are the increments of `@defer` fragments that are left out: they are answered later.
    """

    schema: GraphQLSchema
    types: _FieldTypes
    truths: Mapping[str, bool]
    kept: _Kept | None
    denials: tuple[Denial, ...]
    late: frozenset[int] = frozenset()
    known: KnownShapes | None = None


class AnswerSelection:
    """What is answered of objects at one place. The fields depend on the object's runtime type.

    `known` is set where it is part of every answer that selects the same of objects of the same type; `keys`
    are then those of one of its places. `projections` are what was made of it, by whether objects are shared.
    """

    __slots__ = (
        "_context",
        "_fields",
        "_has_more",
        "_later",
        "_selections",
        "keys",
        "known",
        "projections",
        "static_type",
        "uses",
    )

    def __init__(
        self, static_type: Composite, selections: Sequence[NormalSelection], keys: Keys, context: _Context
    ) -> None:
        self.static_type = static_type
        self.keys = keys
        self.known = context.known
        self.projections: dict[tuple[bool, bool], Callable[[Any], Any]] = {}
        self.uses = 0
        self._selections = selections
        self._context = context
        self._fields: dict[str, tuple[AnswerField, ...]] = {}
        self._later: dict[str, tuple[tuple[int, AnswerSelection], ...]] = {}
        self._has_more: bool | None = None

    def runtime_type(self, typename: str | None) -> Composite | None:
        """The type by which an object is answered; None where a client may not see such an object.

        That is the object's own type, or the static one where only an abstract name (or none) is known.
        """
        if typename is None or is_object_type(self.static_type):
            return self.static_type
        found = self._context.schema.get_type(typename)
        if isinstance(found, GraphQLObjectType):
            return found if self._context.schema.is_sub_type(self.static_type, found) else None  # type: ignore[arg-type]
        return self.static_type if is_abstract_type(found) else None

    def fields(self, runtime_type: Composite) -> tuple[AnswerField, ...]:
        """The answer's keys for objects of this type, in the client's order."""
        known = self._fields.get(runtime_type.name)
        if known is None:
            collected: dict[str, tuple[NormalField, list[Sequence[NormalSelection]]]] = {}
            self._collect(self._selections, runtime_type, collected)
            known = tuple(self._field(field, below, runtime_type) for field, below in collected.values())
            self._fields[runtime_type.name] = known
        return known

    def below(self, key: str) -> tuple[bool, AnswerSelection | None]:
        """Whether any type's object has this key here, and what is selected under it."""
        types: list[Composite] = [self.static_type]
        if is_abstract_type(self.static_type):
            types.extend(self._context.schema.get_possible_types(self.static_type))
        for type_ in types:
            for field in self.fields(type_):
                if field.key == key:
                    return True, field.selection
        return False, None

    def _collect(
        self,
        selections: Sequence[NormalSelection],
        runtime_type: Composite,
        into: dict[str, tuple[NormalField, list[Sequence[NormalSelection]]]],
    ) -> None:
        for it in selections:
            if it.conditions and not _included(it.conditions, self._context.truths):
                continue
            if isinstance(it, NormalField):
                into.setdefault(it.response_key, (it, []))[1].append(it.selections)
            elif self._applies(it.type_condition, runtime_type) and not self._is_late(it):
                self._collect(it.selections, runtime_type, into)

    def _is_late(self, it: NormalFragment) -> bool:
        return it.deferred and it.increment in self._context.late

    @property
    def has_more(self) -> bool:
        """Whether anything here or below is delivered later."""
        if self._has_more is None:
            self._has_more = _has_more(self._selections, self._context.late)
        return self._has_more

    def later(self, runtime_type: Composite) -> tuple[tuple[int, AnswerSelection], ...]:
        """The late fragments that objects of this type have here: increment and what they select."""
        known = self._later.get(runtime_type.name)
        if known is None:
            known = self._later[runtime_type.name] = tuple(
                (it.increment, AnswerSelection(runtime_type, it.selections, self.keys, self._context))
                for it in self._deferred(self._selections, runtime_type)
            )
        return known

    def _deferred(
        self, selections: Sequence[NormalSelection], runtime_type: Composite
    ) -> Iterator[NormalFragment]:
        for it in selections:
            if isinstance(it, NormalField) or not _included(it.conditions, self._context.truths):
                continue
            if self._applies(it.type_condition, runtime_type):
                if self._is_late(it):
                    yield it
                else:
                    yield from self._deferred(it.selections, runtime_type)

    def _applies(self, type_condition: str, runtime_type: Composite) -> bool:
        if type_condition == runtime_type.name:
            return True
        condition = self._context.schema.get_type(type_condition)
        return (
            isinstance(condition, GraphQLInterfaceType | GraphQLUnionType)
            and not isinstance(runtime_type, GraphQLUnionType)
            and self._context.schema.is_sub_type(condition, runtime_type)
        )

    def _field(
        self, field: NormalField, below: Sequence[Sequence[NormalSelection]], runtime_type: Composite
    ) -> AnswerField:
        keys = (*self.keys, field.response_key)
        coordinate = f"{runtime_type.name}.{field.name}"
        denials = self._denials(field, keys)
        if field.name in INTROSPECTION_FIELDS:
            return AnswerField(field.response_key, coordinate, None, field.name == "__schema", None, denials)
        type_, named = self._context.types.of(field, runtime_type, self._context.schema)
        selection = None
        if named is not None:
            selection = self._below(named, below, keys)
        return AnswerField(
            field.response_key,
            coordinate,
            type_,
            isinstance(type_, GraphQLNonNull),
            selection,
            denials,
            field.stream.increment if field.stream is not None else None,
        )

    def _below(
        self, static_type: Composite, rows: Sequence[Sequence[NormalSelection]], keys: Keys
    ) -> AnswerSelection:
        known = self._context.known
        if known is None or len(rows) > 1:
            return AnswerSelection(static_type, [it for row in rows for it in row], keys, self._context)
        at = (id(rows[0]), static_type.name, len(keys) > 1)
        found = known.selections.get(at)
        if found is None:
            if len(known.selections) >= KNOWN_MAX:
                known.selections.clear()
            # INVARIANT: it holds the row, so no other one has its id while it is here
            found = known.selections[at] = AnswerSelection(static_type, rows[0], keys, self._context)
        return found

    def _denials(self, field: NormalField, keys: Keys) -> tuple[Denial, ...]:
        kept = self._context.kept
        if kept is None or (keys, field.parent_type, field.name) in kept:
            return ()
        denials = self._context.denials
        own = tuple(it for it in denials if it.path == keys)
        return own or tuple(it for it in denials if it.path[: len(keys)] == keys)


def answer_shape(
    allowed: AllowedOperation,
    schema: GraphQLSchema,
    truths: Mapping[str, bool],
    *,
    late: frozenset[int] = frozenset(),
) -> AnswerSelection:
    """The shape of the answer; `truths` has a value for each of `condition_variables`.

    With `late` increments it is the shape of the first part of an incremental answer.
    """
    root = schema.get_type(allowed.original.root_type)
    if not isinstance(root, GraphQLObjectType):
        raise PlanInvariantBroken(f"root type `{allowed.original.root_type}` is not an object type")
    kept = frozenset(_kept(allowed.normal.selections, ())) if allowed.denials else None
    plain = not (late or truths or allowed.denials or "@stream" in allowed.original.signature)
    known = _known_shapes(schema) if plain else None
    context = _Context(schema, _types_of(schema), truths, kept, allowed.denials, late, known)
    return AnswerSelection(root, allowed.original.selections, (), context)


def _has_more(selections: Sequence[NormalSelection], late: frozenset[int]) -> bool:
    return any(
        (it.stream is not None if isinstance(it, NormalField) else it.deferred and it.increment in late)
        or _has_more(it.selections, late)
        for it in selections
    )


def condition_variables(operation: NormalOperation) -> tuple[str, ...]:
    """The variables on which the answer's shape depends, each once."""
    if " @skip(" not in operation.signature and " @include(" not in operation.signature:
        return ()
    return tuple(dict.fromkeys(_condition_variables(operation.selections)))


def _condition_variables(selections: Sequence[NormalSelection]) -> list[str]:
    found: list[str] = []
    for it in selections:
        found.extend(condition.variable for condition in it.conditions)
        found.extend(_condition_variables(it.selections))
    return found


def _included(conditions: Sequence[Condition], truths: Mapping[str, bool]) -> bool:
    return all(truths[it.variable] is not it.negated for it in conditions)


def _kept(selections: Sequence[NormalSelection], keys: Keys) -> list[tuple[Keys, str, str]]:
    found: list[tuple[Keys, str, str]] = []
    for it in selections:
        if isinstance(it, NormalField):
            below = (*keys, it.response_key)
            found.append((below, it.parent_type, it.name))
            found.extend(_kept(it.selections, below))
        else:
            found.extend(_kept(it.selections, keys))
    return found


def _type_of(field: NormalField, runtime_type: Composite, schema: GraphQLSchema) -> GraphQLOutputType:
    """The field's type on the runtime type, whose nullability is the one that counts."""
    for type_ in (runtime_type, schema.get_type(field.parent_type)):
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
            definition = schema.get_field(type_, field.name)
            if definition is not None:
                return definition.type
    raise PlanInvariantBroken(f"`{field.parent_type}.{field.name}` is not in the API schema")
