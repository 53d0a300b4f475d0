"""One list out of several regions' lists: which page each is asked for, and how the pages follow each other.

The order is the regions': the caller's home first, then the others by name; within a region it is the list's
own. A cursor says which region it is of, so that a page begins where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from deploy.regional.documents import argument, changed, selection
from subgraphs.kit.pages import PAGE_ITEMS_DEFAULT

_TAG = "~"
"""Between the region and its cursor; in no cursor, which is base64url, nor in a region's name."""
_EDGES, _INFO = "stadionEdges", "stadionPage"
_HIDDEN = selection(f"{_EDGES}: edges {{ cursor }} {_INFO}: pageInfo {{ hasNextPage }}")
Path = list[Any]


class BadCursor(ValueError):
    """The cursor names no region of this list."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a client asks of the whole list. `begin` is where it starts: a region's place, and its cursor."""

    first: int | None
    begin: tuple[int, str | None]

    @property
    def shown_max(self) -> int:
        """How many objects it holds at most."""
        return PAGE_ITEMS_DEFAULT if self.first is None else self.first

    def asked_of(self, place: int) -> tuple[int | None, str | None]:
        """`first` and `after` for the region at this place; one before the beginning only counts."""
        at, cursor = self.begin
        if place < at:
            return 0, None
        return self.first, cursor if place == at else None


def page_of(given: Mapping[str, Any], regions: Sequence[str]) -> Page:
    """The page that these arguments ask for, of regions in their order.  Errors: BadCursor."""
    after = given.get("after")
    if after is None:
        return Page(given.get("first"), (0, None))
    region, tag, cursor = str(after).partition(_TAG)
    if not tag:
        return Page(given.get("first"), (0, str(after)))
    if region not in regions:
        raise BadCursor
    return Page(given.get("first"), (regions.index(region), cursor))


def paged_field(node: FieldNode, number: int) -> tuple[FieldNode, tuple[str, ...]]:
    """The field with its page left to variables and with what is needed to join pages; their declarations."""
    first, after = f"stadionFirst{number}", f"stadionAfter{number}"
    kept = [each for each in node.arguments or () if each.name.value not in ("first", "after")]
    inner = () if node.selection_set is None else node.selection_set.selections
    asked = changed(
        node,
        arguments=(*kept, argument("first", first), argument("after", after)),
        selection_set=SelectionSetNode(selections=(*inner, *_HIDDEN)),
    )
    return asked, (f"${first}: Int", f"${after}: String")


def page_variables(page: Page, place: int, number: int) -> dict[str, Any]:
    """The variables of `paged_field` for the region at this place."""
    first, after = page.asked_of(place)
    return {f"stadionFirst{number}": first, f"stadionAfter{number}": after}


@dataclass(frozen=True, slots=True)
class Joined:
    """A list out of several. `errors` have their paths below the list, moved to where things are now."""

    value: Any
    errors: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answered:
    """One region's value of the field, with the errors whose paths begin below it."""

    region: str
    value: Any
    errors: Sequence[tuple[Path, Mapping[str, Any]]] = ()


def joined_lists(answers: Sequence[Answered], *, items_max: int) -> Joined:
    """Plain lists, one after the other, cut at `items_max`."""
    found: list[Any] = []
    errors: list[dict[str, Any]] = []
    for answer in answers:
        if not isinstance(answer.value, list):
            continue
        shown = max(0, min(len(answer.value), items_max - len(found)))
        for path, error in answer.errors:
            if path and isinstance(path[0], int) and path[0] < shown:
                errors.append({**error, "path": [path[0] + len(found), *path[1:]]})
        found += answer.value[:shown]
    return Joined(found, errors)


def joined_pages(node: FieldNode, answers: Sequence[Answered], page: Page) -> Joined:
    """Pages of `paged_field`, one after the other, as the client asked for them."""
    left, offset = page.shown_max, 0
    parts: list[_Part] = []
    errors: list[dict[str, Any]] = []
    for answer in answers:
        if not isinstance(answer.value, dict):
            continue
        cursors = [f"{answer.region}{_TAG}{each['cursor']}" for each in answer.value.pop(_EDGES)]
        more = bool(answer.value.pop(_INFO)["hasNextPage"])
        shown = min(len(cursors), left)
        parts.append(_Part(answer.value, cursors[:shown], more or shown < len(cursors)))
        errors += _moved(node, answer.errors, shown, offset)
        left, offset = left - shown, offset + shown
    if not parts:
        return Joined(None, [])
    begun_later = page.begin != (0, None)
    return Joined(_page(node.selection_set, parts, begun_later=begun_later), errors)


@dataclass(frozen=True, slots=True)
class _Part:
    value: dict[str, Any]
    cursors: list[str]
    more: bool


def _page(selections: SelectionSetNode | None, parts: list[_Part], *, begun_later: bool) -> dict[str, Any]:
    cursors = [cursor for part in parts for cursor in part.cursors]
    told = {
        "hasNextPage": any(part.more for part in parts),
        "hasPreviousPage": begun_later,
        "startCursor": cursors[0] if cursors else None,
        "endCursor": cursors[-1] if cursors else None,
    }
    found: dict[str, Any] = {}
    for key, name, inner in _fields(selections):
        if key not in parts[0].value:
            continue  # left out by a condition
        if name in ("edges", "nodes"):
            found[key] = [each for part in parts for each in part.value[key][: len(part.cursors)]]
        elif name == "totalCount":
            found[key] = sum(part.value[key] or 0 for part in parts)
        elif name == "pageInfo":
            own = parts[0].value[key]
            found[key] = {**own, **{at: told[of] for at, of, _ in _fields(inner) if of in told and at in own}}
        else:
            found[key] = parts[0].value[key]
        if name == "edges":
            tagged = [at for at, of, _ in _fields(inner) if of == "cursor"]
            for edge, cursor in zip(found[key], cursors, strict=True):
                edge.update({at: cursor for at in tagged if at in edge})
    return found


def _moved(
    node: FieldNode, errors: Sequence[tuple[Path, Mapping[str, Any]]], shown: int, offset: int
) -> Iterator[dict[str, Any]]:
    """The errors about what is shown, each where it is now."""
    lists = {key for key, name, _ in _fields(node.selection_set) if name in ("edges", "nodes")}
    for path, error in errors:
        if not path or path[0] in (_EDGES, _INFO):
            continue
        if path[0] not in lists or len(path) < 2:
            yield {**error, "path": path}
        elif path[1] < shown:
            yield {**error, "path": [path[0], path[1] + offset, *path[2:]]}


def _fields(
    selections: SelectionSetNode | None,
) -> Iterator[tuple[str, str, SelectionSetNode | None]]:
    """Response key, name and selections of each field, through inline fragments."""
    for each in () if selections is None else selections.selections:
        if isinstance(each, FieldNode):
            key = each.alias.value if each.alias else each.name.value
            yield key, each.name.value, each.selection_set
        elif isinstance(each, InlineFragmentNode):
            yield from _fields(each.selection_set)
