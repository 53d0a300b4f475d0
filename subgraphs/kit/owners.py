"""Whose an object is: by what a decision about it is asked, told by its class where that can be read as is.

A type gives `row_access`, where its owner alone is not enough, else `owner_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from authz.classes import DataClass, Purpose, Visibility
from authz.question import Question

Need: TypeAlias = tuple[str, str]
"""A data class and an action, as plain text: it is hashed for every field of every object."""
Owner: TypeAlias = "str | RowAccess | None"
Asked: TypeAlias = tuple[Owner, Need]

ROWS_KEPT_MAX = 8_192
OWNER_ID, ROW_ACCESS = "owner_id", "row_access"
_UNLABELLED: frozenset[str] = frozenset()


class RowKind:
    """All that a row says of itself but its owner; rows of one kind have one and the same."""

    __slots__ = ("_likes", "told")

    def __init__(self, told: tuple[Any, ...]) -> None:
        self.told = told
        self._likes: dict[Need, Question] = {}

    def like(self, need: Need) -> Question:
        """What is asked about any row of the kind, without its owner."""
        known = self._likes.get(need)
        if known is None:
            known = self._likes[need] = Question(None, CLASSES[need[0]], need[1], *self.told)
        return known


class RowAccess:
    """What a decision needs to know of a loaded row, where its owner alone is not enough.

    A type gives it as `row_access`; the fields mean what they mean in `authz.question.Question`. Immutable.
    Equal ones are one object, as long as it is among the last `ROWS_KEPT_MAX` that were made: a list of rows
    is told apart by identity, and who was not kept is only decided again. `kind` is all but the owner.
    """

    __slots__ = (
        "approved_by",
        "created_by",
        "kind",
        "labels",
        "metric",
        "owner_id",
        "purpose",
        "region",
        "resource_type",
        "visibility",
    )
    approved_by: str | None
    created_by: str | None
    kind: RowKind
    labels: frozenset[str]
    metric: str | None
    owner_id: str | None
    purpose: Purpose | None
    region: str | None
    resource_type: str | None
    visibility: Visibility | None

    def __new__(  # noqa: PLR0917 - the row, in the order of Question
        cls,
        owner_id: str | None,
        purpose: Purpose | None = None,
        labels: frozenset[str] = _UNLABELLED,
        visibility: Visibility | None = None,
        metric: str | None = None,
        created_by: str | None = None,
        approved_by: str | None = None,
        region: str | None = None,
        resource_type: str | None = None,
    ) -> RowAccess:
        row = (
            owner_id, purpose, labels, visibility, metric, created_by, approved_by, region, resource_type
        )  # fmt: skip
        known = _rows.get(row)
        if known is not None:
            return known
        return _made(object.__new__(cls), row)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a RowAccess does not change; make another one for another `{name}`")

    def __reduce__(self) -> tuple[Any, ...]:
        return RowAccess, (self.owner_id, *self.kind.told)

    def __repr__(self) -> str:
        given = (f"{name}={getattr(self, name)!r}" for name in ROW_FIELDS if getattr(self, name))
        return f"RowAccess({', '.join(given)})"

    def for_purpose(self, purpose: Purpose) -> RowAccess:
        """The same row, read for this purpose."""
        return RowAccess(self.owner_id, purpose, *self.kind.told[1:])

    def question(self, data_class: DataClass, action: str) -> Question:
        """The question about this row's fields of `data_class`."""
        return Question(self.owner_id, data_class, action, *self.kind.told)


ROW_FIELDS = (
    "owner_id", "purpose", "labels", "visibility", "metric",
    "created_by", "approved_by", "region", "resource_type",
)  # fmt: skip
"""What a row tells, in the order of its arguments."""
_rows: dict[tuple[Any, ...], RowAccess] = {}
_kinds: dict[tuple[Any, ...], RowKind] = {}


def _made(access: RowAccess, row: tuple[Any, ...]) -> RowAccess:
    if len(_rows) >= ROWS_KEPT_MAX:
        _rows.clear()
        _kinds.clear()
    for name, value in zip(ROW_FIELDS, row, strict=True):
        object.__setattr__(access, name, value)
    told = row[1:]
    kind = _kinds.get(told)
    if kind is None:
        kind = _kinds[told] = RowKind(told)
    object.__setattr__(access, "kind", kind)
    _rows[row] = access
    return access


def question_of(asked: Asked) -> Question:
    """What is asked of authz."""
    owner, (name, action) = asked
    data_class = CLASSES[name]
    if isinstance(owner, RowAccess):
        return owner.question(data_class, action)
    return Question(owner, data_class, action)


CLASSES = {each.value: each for each in DataClass}


def owner_id_of(owner: Owner) -> str | None:
    """The person that an owner names."""
    return owner.owner_id if isinstance(owner, RowAccess) else owner


def owner_of(source: object, need: Need) -> Owner:
    """Whose `source` is: its `row_access`, a value or a method of class and action (a row may show its parts
    to different circles), else its `owner_id`, a value or a method."""
    access = getattr(source, ROW_ACCESS, None)
    if access is not None:
        owner: Owner = access(CLASSES[need[0]], need[1]) if callable(access) else access
        return owner
    owner_id = getattr(source, OWNER_ID, None)
    return owner_id() if callable(owner_id) else owner_id


_told: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def told_by(cls: type) -> str | None:
    """The attribute that tells the owner of this class's objects, whatever is read; None: ask `owner_of`."""
    if cls not in _told:
        fields: Iterable[str] = getattr(cls, "__dataclass_fields__", ())
        if ROW_ACCESS in fields:
            _told[cls] = ROW_ACCESS
        else:
            stored = OWNER_ID in fields and not hasattr(cls, ROW_ACCESS) and not hasattr(cls, "__getattr__")
            _told[cls] = OWNER_ID if stored else None
    return _told[cls]


def owners_among(objects: Sequence[Any], attribute: str) -> set[Any] | None:
    """All that `attribute` tells of these objects, of whatever class; None where it is not there."""
    try:
        # Each written out: it is nearly all that a list costs.
        if attribute == OWNER_ID:
            return {each.owner_id for each in objects}
        return {each.row_access for each in objects}
    except (AttributeError, TypeError):
        return None


NOT_A_ROW = RowKind((None, _UNLABELLED, None, None, None, None, None, None))
"""The kind of objects that tell no more than their owner."""
