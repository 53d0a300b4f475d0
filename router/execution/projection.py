"""Projection: from the response tree to the answer that the client asked for. Compiled once a plan.

Keys in the client's order, routing fields left out, values checked against the API schema, nulls
propagated. What was wrong is found out afterwards (`explain`), because it almost never is.
Source: `federation.md` (g) 6 and 9; GraphQL specification, ResolveFieldValue and HandleFieldError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
)

from router.errors import PlanInvariantBroken
from router.execution.generate import Answered, generate_projection, generated_piece, may_repeat
from router.execution.shape import AnswerField, AnswerSelection, Composite

Complete: TypeAlias = Callable[[Any], Any]
"""A non-null value of the tree → the value to answer, None where it must not be answered."""

_INT_MAX: Final = 2**31 - 1

HOT_AFTER_RUNS: Final = 3
"""From this run on the projection is generated code; before, compiling it would cost more than it saves."""


class Projection:
    """The compiled projection for one shape. Not for use by two threads at once: `irregular` is shared.

    With `shared`, an object that stands at many places of the tree is projected once.
    """

    __slots__ = ("_answered", "_project", "_refused", "_runs", "irregular", "parts", "shape")

    def __init__(self, shape: AnswerSelection, *, shared: bool = False) -> None:
        self.shape = shape
        known = shape.known
        self._answered: Answered | None = None if not shared else [] if known is None else known.answered
        self._refused: list[None] = [] if known is None else known.irregular
        self.irregular: Sequence[None] = ()
        """An item for each value that was refused or missing where none may be, in the last answer."""
        self._project = _by_runtime_type(shape, self._refused, self._answered)
        self._runs = 0
        self.parts: dict[Any, Any] = {}
        """Projections of what is delivered later, by their shapes: kept as long as this one."""

    def project(self, root: dict[str, Any]) -> dict[str, Any] | None:
        """The answer's `data`. `irregular` is empty afterwards if every value was as it must be."""
        self._refused.clear()
        self._forget()
        self._runs += 1
        if self._runs == HOT_AFTER_RUNS:
            self._project = generate_projection(self.shape, self._refused, self._answered)
        answer: dict[str, Any] | None = self._project(root)
        self.irregular = tuple(self._refused)
        self._forget()
        return answer

    def _forget(self) -> None:
        """Objects are known by their identity, which is nobody's when the tree is gone."""
        if self._answered:
            for known in self._answered:
                known.clear()
            self._answered.clear()


class ItemProjection:
    """The projection of one list field's items, one by one."""

    __slots__ = ("_complete", "field", "irregular", "item_type")

    def __init__(self, field: AnswerField) -> None:
        self.field = field
        self.irregular: list[None] = []
        self.item_type = item_type(field)
        self._complete = _value(self.item_type, field.selection, self.irregular, None)

    def project(self, value: Any) -> Any:
        """The item to answer; None where it must not be answered."""
        return value if value is None or self._complete is None else self._complete(value)

    @property
    def is_non_null(self) -> bool:
        """Whether a null ends the list."""
        return isinstance(self.item_type, GraphQLNonNull)


def item_type(field: AnswerField) -> GraphQLOutputType:
    """The type of a list field's items.  Errors: PlanInvariantBroken for any other field."""
    type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    if not isinstance(type_, GraphQLList):
        raise PlanInvariantBroken(f"`{field.coordinate}` is not a list")
    of_type: GraphQLOutputType = type_.of_type
    return of_type


def _by_runtime_type(
    selection: AnswerSelection, irregular: list[None], answered: Answered | None
) -> Complete:
    """Objects of one place; each runtime type's projection is compiled when its first object comes."""
    if isinstance(selection.static_type, GraphQLObjectType):
        return _object(selection, selection.static_type, irregular, answered)
    compiled: dict[str | None, Complete] = {}

    def project(it: Any) -> Any:
        if it.__class__ is not dict:
            irregular.append(None)
            return None
        typename = it.get("__typename")
        known = compiled.get(typename)
        if known is None:
            type_ = selection.runtime_type(typename)
            if type_ is None:
                # not kept: a subgraph could make up any number of names
                irregular.append(None)
                return None
            known = compiled[typename] = _object(selection, type_, irregular, answered)
        return known(it)

    return project


def _object(
    selection: AnswerSelection,
    runtime_type: Composite,
    irregular: list[None],
    answered: Answered | None,
) -> Complete:
    project = _every_object(selection, runtime_type, irregular, answered)
    if answered is None or not may_repeat(selection):
        return project
    known: dict[int, Any] = {}

    def project_once(it: Any) -> Any:
        answer = known.get(id(it))
        if answer is None:
            if not known:
                answered.append(known)
            answer = known[id(it)] = project(it)
        return answer

    return project_once


def _every_object(
    selection: AnswerSelection,
    runtime_type: Composite,
    irregular: list[None],
    answered: Answered | None,
) -> Complete:
    entries: list[tuple[str, str | None, Complete | None, bool]] | None = None

    def project(it: Any) -> Any:
        nonlocal entries
        if it.__class__ is not dict:
            irregular.append(None)
            return None
        if entries is None:
            fields = selection.fields(runtime_type)
            entries = [_entry(field, runtime_type, irregular, answered) for field in fields]
        answer: dict[str, Any] = {}
        get = it.get
        for key, constant, complete, non_null in entries:
            if constant is not None:
                answer[key] = constant
                continue
            value = get(key)
            if value is not None and complete is not None:
                value = complete(value)
            if value is None and non_null:
                irregular.append(None)
                return None
            answer[key] = value
        return answer

    return project


def _entry(
    field: AnswerField, runtime_type: Composite, irregular: list[None], answered: Answered | None
) -> tuple[str, str | None, Complete | None, bool]:
    if field.denials:
        return field.key, None, _refuse, field.non_null
    if field.is_typename:
        # only an object type is an answer; what is known as an interface alone ends as null
        concrete = isinstance(runtime_type, GraphQLObjectType)
        return field.key, runtime_type.name if concrete else None, _refuse, True
    if field.type is None:
        return field.key, None, None, field.non_null
    return field.key, None, _value(field.type, field.selection, irregular, answered), field.non_null


def _refuse(_: Any) -> None:
    return None


def _value(
    type_: GraphQLOutputType,
    selection: AnswerSelection | None,
    irregular: list[None],
    answered: Answered | None,
) -> Complete | None:
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList):
        non_null = isinstance(type_.of_type, GraphQLNonNull)
        return _list(_value(type_.of_type, selection, irregular, answered), non_null, irregular)
    if selection is not None:
        if selection.known is not None:
            return _piece(selection, irregular, answered)
        return _by_runtime_type(selection, irregular, answered)
    accepts = leaf_check(type_)
    return None if accepts is None else _leaf(accepts, irregular)


def _piece(selection: AnswerSelection, irregular: list[None], answered: Answered | None) -> Complete:
    """The projection that all answers with this selection have; generated once several have it."""
    selection.uses += 1
    if selection.uses >= HOT_AFTER_RUNS:
        return generated_piece(selection, irregular, answered)
    at = (answered is not None, False)
    found = selection.projections.get(at)
    if found is None:
        found = selection.projections[at] = _by_runtime_type(selection, irregular, answered)
    return found


def _list(complete: Complete | None, non_null: bool, irregular: list[None]) -> Complete:
    def project(values: Any) -> Any:
        if values.__class__ is not list:
            irregular.append(None)
            return None
        answer = (
            values if complete is None else [None if value is None else complete(value) for value in values]
        )
        if non_null:
            for value in answer:
                if value is None:
                    irregular.append(None)
                    return None
        return answer

    return project


def _leaf(accepts: Callable[[Any], bool], irregular: list[None]) -> Complete:
    def project(value: Any) -> Any:
        if accepts(value):
            return value
        irregular.append(None)
        return None

    return project


def leaf_check(type_: GraphQLNamedType | GraphQLOutputType) -> Callable[[Any], bool] | None:
    """Whether a value may be answered for a leaf type; None where anything may (custom scalars)."""
    if isinstance(type_, GraphQLEnumType):
        names = frozenset(type_.values)
        return lambda value: value.__class__ is str and value in names
    return _SCALARS.get(getattr(type_, "name", ""))


def _is_int(value: Any) -> bool:
    return value.__class__ is int and -_INT_MAX - 1 <= value <= _INT_MAX


def _is_float(value: Any) -> bool:
    return value.__class__ is float or value.__class__ is int


def _is_string(value: Any) -> bool:
    return value.__class__ is str


def _is_boolean(value: Any) -> bool:
    return value.__class__ is bool


def _is_id(value: Any) -> bool:
    return value.__class__ is str or value.__class__ is int


_SCALARS: Final[dict[str, Callable[[Any], bool]]] = {
    "Int": _is_int,
    "Float": _is_float,
    "String": _is_string,
    "Boolean": _is_boolean,
    "ID": _is_id,
}
