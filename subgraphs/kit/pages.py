"""Relay connections: pages of at most 100, cursors that are signed and bound to their viewer and filter."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, cast

import strawberry
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)
from strawberry.types.info import Info

from authz.classes import DataClass
from subgraphs.kit.classification import classified
from subgraphs.kit.errors import PublicError

T = TypeVar("T")
Row = TypeVar("Row")

PAGE_ITEMS_MAX = 100
PAGE_ITEMS_DEFAULT = 20
CURSOR_CHARACTERS_MAX = 1_000
_SIGNATURE_BYTES = 16
_BINDING = json.JSONEncoder(sort_keys=True, default=str)


@classified(DataClass.PUBLIC)
@strawberry.federation.type(shareable=True, description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@classified(DataClass.PUBLIC)
@strawberry.federation.type(shareable=True, description="An object and its place in a list.")
class Edge(Generic[T]):
    """Relay's Edge; the node guards itself."""

    cursor: str
    node: T


@classified(DataClass.PUBLIC)
@strawberry.federation.type(shareable=True, description="One page of a list.")
class Connection(Generic[T]):
    """Relay's Connection."""

    __page_items__: ClassVar[int] = PAGE_ITEMS_DEFAULT
    """What the fields that give it tell the router by `@listSize`."""
    edges: list[Edge[T]]
    nodes: list[T]
    page_info: PageInfo
    total_count: int | None = strawberry.field(
        default=None, description="How many objects of the list the caller may see."
    )


class _Late:
    """An attribute that may be given as a `partial`, which tells the value when it is first read: signing a
    cursor costs more than reading its row, and most pages are asked for none."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name]
        if value.__class__ is partial:
            value = instance.__dict__[self._name] = value()
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value


for _type, _name in ((Edge, "cursor"), (PageInfo, "start_cursor"), (PageInfo, "end_cursor")):
    setattr(_type, _name, _Late(_name))


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What the store needs: up to `limit` rows (one more than shown) after or before a sort key.

    `after` and `before` are the decoded sort keys, lists of JSON values. `backward` asks for the last rows.
    """

    limit: int
    after: tuple[Any, ...] | None
    before: tuple[Any, ...] | None
    backward: bool

    @property
    def shown_max(self) -> int:
        """How many rows the page shows at most."""
        return self.limit - 1


class CursorSigner:
    """Makes and reads cursors. A cursor of another viewer, list or filter does not open.

    `key` is at least 32 bytes. The sort key inside is readable, so it holds nothing that its row hides.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a cursor key has at least 32 bytes")
        self._key = key

    def cursor(self, sort_key: Sequence[Any], *, bound_to: str) -> str:
        """The cursor of a row by its sort key (JSON values)."""
        body = json.dumps(list(sort_key), separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._signature(body, bound_to) + body).rstrip(b"=").decode()

    def sort_key(self, cursor: str, *, bound_to: str) -> tuple[Any, ...]:
        """The sort key inside. Errors: PublicError BAD_CURSOR."""
        try:
            if len(cursor) > CURSOR_CHARACTERS_MAX:
                raise ValueError
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._signature(body, bound_to)):
                raise ValueError
            return tuple(json.loads(body))
        except (ValueError, TypeError):
            message = "the cursor is not one of this list; start again without it"
            raise PublicError("BAD_CURSOR", message) from None

    def _signature(self, body: bytes, bound_to: str) -> bytes:
        signed = bound_to.encode() + b"\0" + body
        return hmac.new(self._key, signed, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def binding(viewer_id: str | None, coordinate: str, filters: Mapping[str, Any] | None = None) -> str:
    """What a cursor is bound to: the viewer, the list (`User.activities`) and its filter (JSON values)."""
    return _BINDING.encode([viewer_id, coordinate, filters or {}])


def page_request(
    signer: CursorSigner,
    *,
    bound_to: str,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> PageRequest:
    """Relay's four arguments, checked. Errors: PublicError BAD_PAGE, BAD_CURSOR."""
    if first is not None and last is not None:
        raise PublicError("BAD_PAGE", "give `first` or `last`, not both")
    name, asked = ("last", last) if last is not None else ("first", first)
    count = PAGE_ITEMS_DEFAULT if asked is None else asked
    if not 0 <= count <= PAGE_ITEMS_MAX:
        raise PublicError("BAD_PAGE", f"`{name}` is from 0 to {PAGE_ITEMS_MAX}")
    return PageRequest(
        limit=count + 1,
        after=None if after is None else signer.sort_key(after, bound_to=bound_to),
        before=None if before is None else signer.sort_key(before, bound_to=bound_to),
        backward=last is not None,
    )


def listed(
    nodes: Sequence[T],
    signer: CursorSigner,
    *,
    bound_to: str,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Connection[T]:
    """A page of a list that is made anew for each request; cursors are places in it.

    Errors: PublicError BAD_PAGE, BAD_CURSOR.
    """
    request = page_request(signer, bound_to=bound_to, first=first, after=after, last=last, before=before)
    start = 0 if request.after is None else _place(request.after) + 1
    placed = list(enumerate(nodes))[start : None if request.before is None else _place(request.before)]
    return connection(
        placed[-request.limit :] if request.backward else placed[: request.limit],
        request,
        signer,
        bound_to=bound_to,
        sort_key=lambda each: (each[0],),
        node=lambda each: each[1],
        total_count=len(nodes),
    )


def _place(sort_key: tuple[Any, ...]) -> int:
    if len(sort_key) != 1 or not isinstance(sort_key[0], int):
        raise PublicError("BAD_CURSOR", "the cursor is not one of this list; start again without it")
    return sort_key[0]


def connection(
    rows: Sequence[Row],
    request: PageRequest,
    signer: CursorSigner,
    *,
    bound_to: str,
    sort_key: Callable[[Row], Sequence[Any]],
    node: Callable[[Row], T],
    total_count: int | None = None,
) -> Connection[T]:
    """The page of `rows`, which are in list order and up to `request.limit` many (the surplus row only
    tells that there is more; going backward it is the first)."""
    more = len(rows) > request.shown_max
    if more:
        rows = rows[1:] if request.backward else rows[: request.shown_max]

    def signed(row: Row) -> str:
        return signer.cursor(sort_key(row), bound_to=bound_to)

    edges = [Edge(cursor=cast(str, partial(signed, row)), node=node(row)) for row in rows]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=request.before is not None if request.backward else more,
            has_previous_page=more if request.backward else request.after is not None,
            start_cursor=_cursor_of(edges[0]) if edges else None,
            end_cursor=_cursor_of(edges[-1]) if edges else None,
        ),
        total_count=total_count,
    )


def _cursor_of(edge: Edge[Any]) -> str:
    return cast(str, partial(getattr, edge, "cursor"))


def wants_total(info: Info[Any, Any]) -> bool:
    """Whether the connection that this field gives is asked for its `totalCount`: counting a list may cost
    more than a page of it. Conditions are not looked at: what may be asked for counts as asked for."""
    raw = info._raw_info
    return any(_names_total(node.selection_set, raw.fragments) for node in raw.field_nodes)


def _names_total(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode]
) -> bool:
    for selection in selections.selections if selections is not None else ():
        if isinstance(selection, FieldNode):
            found = selection.name.value == "totalCount"
        elif isinstance(selection, FragmentSpreadNode):
            found = _names_total(fragments[selection.name.value].selection_set, fragments)
        else:
            found = _names_total(cast(InlineFragmentNode, selection).selection_set, fragments)
        if found:
            return True
    return False
