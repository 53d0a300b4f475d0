"""What an answer does not say by itself: where fields were denied, and which values were refused.

Runs after projection, and only where something was denied or irregular.
Source: `federation.md` (g) 6, (h).
"""

from __future__ import annotations

from typing import Any, Final

from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType

from router.execution.paths import ResponsePath
from router.execution.projection import item_type, leaf_check
from router.execution.shape import AnswerField, AnswerSelection
from router.operation.model import Denial

REFUSALS_MAX: Final = 50
"""Entries in `extensions.valueCompletion`; more of the same help nobody."""

DENIALS_MAX: Final = 1_000
"""Entries for denied fields in one answer."""


class Explanation:
    """Walks a response tree by the answer's shape; collects in response order."""

    __slots__ = ("denials", "refusals")

    def __init__(self) -> None:
        self.denials: list[dict[str, Any]] = []
        """Entries for `errors`: one for each real path of a denied field."""
        self.refusals: list[dict[str, Any]] = []
        """Entries for `extensions.valueCompletion`."""

    def of_object(self, it: Any, selection: AnswerSelection, path: ResponsePath) -> bool:
        """Whether the object is answered as null."""
        if it is None:
            return True
        if it.__class__ is not dict:
            return self._refuse("is not an object", selection.static_type.name, path)
        runtime_type = selection.runtime_type(it.get("__typename"))
        if runtime_type is None:
            return self._refuse("has an unknown type", selection.static_type.name, path)
        is_null = False
        for field in selection.fields(runtime_type):
            below = (*path, field.key)
            if field.is_typename and not isinstance(runtime_type, GraphQLObjectType):
                is_null = self._refuse("has an unknown type", selection.static_type.name, path)
            elif self._of_field(it, field, below) and field.non_null:
                is_null = True
                if not field.denials and it.get(field.key) is None:
                    self._refuse("is null and may not be", field.coordinate, below)
        return is_null

    def of_item(self, value: Any, field: AnswerField, path: ResponsePath) -> bool:
        """Whether one item of a list field is answered as null."""
        type_ = item_type(field)
        is_null = self._of_value(value, type_, field, path)
        if value is None and isinstance(type_, GraphQLNonNull):
            self._refuse("is null and may not be", field.coordinate, path)
        return is_null

    def _of_field(self, it: dict[str, Any], field: AnswerField, path: ResponsePath) -> bool:
        if field.denials:
            for denial in field.denials:
                self._deny(denial, path)
            return True
        if field.is_typename or field.type is None:
            return False
        return self._of_value(it.get(field.key), field.type, field, path)

    def _of_value(self, value: Any, type_: GraphQLOutputType, field: AnswerField, path: ResponsePath) -> bool:
        if value is None:
            return True
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(type_, GraphQLList):
            if value.__class__ is not list:
                return self._refuse("is not a list", field.coordinate, path)
            return self._of_items(value, type_.of_type, field, path)
        if field.selection is not None:
            return self.of_object(value, field.selection, path)
        accepts = leaf_check(type_)
        if accepts is None or accepts(value):
            return False
        return self._refuse(f"is not a value of type `{type_}`", field.coordinate, path)

    def _of_items(
        self, values: list[Any], type_: GraphQLOutputType, field: AnswerField, path: ResponsePath
    ) -> bool:
        is_null = False
        for index, value in enumerate(values):
            if self._of_value(value, type_, field, (*path, index)) and isinstance(type_, GraphQLNonNull):
                is_null = True
                if value is None:
                    self._refuse("is null and may not be", field.coordinate, (*path, index))
        return is_null

    def _refuse(self, why: str, coordinate: str, path: ResponsePath) -> bool:
        """INVARIANT: messages name schema coordinates and never values, which may be hidden names."""
        if len(self.refusals) < REFUSALS_MAX:
            self.refusals.append(
                {
                    "message": f"the value of `{coordinate}` {why}",
                    "path": list(path),
                    "extensions": {"code": "RESPONSE_VALIDATION_FAILED"},
                }
            )
        return True

    def _deny(self, denial: Denial, path: ResponsePath) -> None:
        if denial.told and len(self.denials) < DENIALS_MAX:
            keys = sum(1 for it in path if isinstance(it, str))
            self.denials.append(
                {
                    "message": f"not allowed to read `{denial.coordinate}`",
                    "path": [*path, *denial.path[keys:]],
                    "extensions": {**denial.extensions, "code": denial.code},
                }
            )


def visible_path(selection: AnswerSelection, path: list[Any]) -> list[Any]:
    """`path` as far as the client selected it: keys fetched only for routing are not named to clients."""
    at: AnswerSelection | None = selection
    visible: list[Any] = []
    for element in path:
        if isinstance(element, str):
            known, below = at.below(element) if at is not None else (False, None)
            if not known:
                break
            at = below
        visible.append(element)
    return visible
