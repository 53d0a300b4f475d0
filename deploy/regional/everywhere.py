"""Fields that every region is asked for: what each is sent, and one list out of their answers.

The caller's home decides whether the list is shown at all; each region decides about its own rows. A region
that does not answer leaves its rows out, with one error at the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode, Undefined, value_from_ast_untyped

from deploy.regional.calls import REGION_UNAVAILABLE, Answer, Call, Error, Part, Regions, unavailable
from deploy.regional.documents import Document, Root, Text, changed, selection
from deploy.regional.pages import (
    Answered,
    BadCursor,
    Joined,
    Page,
    joined_lists,
    joined_pages,
    page_of,
    page_variables,
    paged_field,
)
from deploy.regional.routes import EVERYWHERE, PERSON_TYPE, Kind

LISTED_MAX = 500
"""How many objects a list without pages holds at most, over all regions."""
_TYPE_NAME = selection("__typename")
_BAD_CURSOR = {
    "message": "the cursor is not one of this list; start again without it",
    "extensions": {"code": "BAD_CURSOR"},
}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field to be asked for everywhere. `number` tells its variables from those of another."""

    node: FieldNode
    number: int

    @property
    def is_paged(self) -> bool:
        return _is_paged(self.node)

    @property
    def key(self) -> str:
        return self.node.alias.value if self.node.alias else self.node.name.value

    def page(self, call: Call, order: Sequence[str]) -> Page:
        given = {}
        for argument in self.node.arguments or ():
            value = value_from_ast_untyped(argument.value, dict(call.variables))
            if value is not Undefined:
                given[argument.name.value] = value
        return page_of(given, order)


def _is_paged(node: FieldNode) -> bool:
    return EVERYWHERE.get(node.name.value) is Kind.EVERY_PAGE


async def list_everywhere(call: Call, root: Root, regions: Regions) -> Part:
    """A root that is a plain list."""
    order, text = regions.from_home(call.own), call.document.only([root])
    answers = await asyncio.gather(*(regions.ask(call, region, text, call.given(text)) for region in order))
    below = [_below(region, answer, [root.key]) for region, answer in zip(order, answers, strict=True)]
    if _refused(answers[0], [root.key], below[0]):
        return Part({root.key: None}, answers[0].errors)
    joined = joined_lists(below, items_max=LISTED_MAX)
    return _placed(root.key, [root.key], joined, answers)


async def page_everywhere(call: Call, root: Root, regions: Regions) -> Part:
    """A root that is a connection."""
    order, field = regions.from_home(call.own), _Field(root.nodes[0], 0)
    try:
        page = field.page(call, order)
    except BadCursor:
        return Part({root.key: None}, [{**_BAD_CURSOR, "path": [root.key]}])
    node, declared = paged_field(field.node, 0)
    text = call.document.printed(root.selections([node, *root.nodes[1:]]), declared)
    answers = await asyncio.gather(
        *(
            regions.ask(call, region, text, call.given(text, **page_variables(page, place, 0)))
            for place, region in enumerate(order)
        )
    )
    below = [_below(region, answer, [root.key]) for region, answer in zip(order, answers, strict=True)]
    if _refused(answers[0], [root.key], below[0]):
        return Part({root.key: None}, answers[0].errors)
    return _placed(root.key, [root.key], joined_pages(field.node, below, page), answers)


def has_fields_everywhere(root: Root) -> bool:
    """Whether an `_entities` root asks a person for a list that every region has a part of."""
    return next(_fields_everywhere(root), None) is not None


async def person_everywhere(
    call: Call, root: Root, regions: Regions, home: str, asked: Mapping[str, list[Any]]
) -> Answer:
    """The `_entities` of the caller, at home in `home`, with such lists joined. `asked` is the variable of
    the representations, with theirs alone."""
    order, fields = regions.from_home(home), list(_fields_everywhere(root))
    pages: dict[int, Page] = {}
    try:
        pages = {field.number: field.page(call, order) for field in fields if field.is_paged}
    except BadCursor:
        return Answer(None, [dict(_BAD_CURSOR)])
    texts = [_text(call.document, root, whole=place == 0) for place in range(len(order))]
    answers = await asyncio.gather(
        *(
            regions.ask(call, region, texts[place], call.given(texts[place], **asked, **_of(pages, place)))
            for place, region in enumerate(order)
        )
    )
    base = answers[0]
    if base.data is None:
        return base
    [count] = {len(each) for each in asked.values()}
    for at in range(count):
        for field in fields:
            page = pages.get(field.number)
            _join_in(list(zip(order, answers, strict=True)), [root.key, at], field, page)
    return base


def _join_in(
    answers: list[tuple[str, Answer]], person_at: list[Any], field: _Field, page: Page | None
) -> None:
    """Put the joined list in the place of the home's own part, which is in the first answer."""
    base, path = answers[0][1], [*person_at, field.key]
    person = _at(base.data, person_at)
    below = [_below(region, answer, path) for region, answer in answers]
    if person is None or person.get(field.key) is None:
        return
    joined = joined_pages(field.node, below, page) if page else joined_lists(below, items_max=LISTED_MAX)
    person[field.key] = joined.value
    base.errors[:] = [each for each in base.errors if not _is_below(each, path)]
    base.errors.extend(_with_prefix(path, joined))
    gone = [each for _, each in answers[1:] if each.silent or _is_unreachable(each, path)]
    base.errors.extend(unavailable(path) for _ in gone)


def _of(pages: Mapping[int, Page], place: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, page in pages.items():
        found |= page_variables(page, place, number)
    return found


def _text(document: Document, root: Root, *, whole: bool) -> Text:
    """The `_entities` with such fields paged; for other regions than the home of nothing else."""
    declared: list[str] = []
    numbers = iter(range(10_000))
    nodes = []
    for node in root.nodes:
        kept: list[Any] = []
        for each in () if node.selection_set is None else node.selection_set.selections:
            inner, names = _paged(each, numbers, whole=whole)
            declared += names
            kept += [] if inner is None else [inner]
        kept = kept or list(_TYPE_NAME)
        nodes.append(changed(node, selection_set=SelectionSetNode(selections=tuple(kept))))
    return document.printed(root.selections(nodes), declared)


def _paged(each: Any, numbers: Iterator[int], *, whole: bool) -> tuple[Any, list[str]]:
    if not _is_of_person(each):
        return (each if whole else None), []
    declared: list[str] = []
    kept: list[Any] = []
    for inner in each.selection_set.selections:
        if isinstance(inner, FieldNode) and inner.name.value in EVERYWHERE:
            number = next(numbers)
            node, names = paged_field(inner, number) if _is_paged(inner) else (inner, [])
            declared += names
            kept.append(node)
        elif whole:
            kept.append(inner)
    if not kept:
        return None, []
    fragment = InlineFragmentNode(
        type_condition=each.type_condition,
        directives=each.directives,
        selection_set=SelectionSetNode(selections=tuple(kept)),
    )
    return fragment, declared


def _fields_everywhere(root: Root) -> Iterator[_Field]:
    numbers = iter(range(10_000))
    for node in root.nodes:
        for each in () if node.selection_set is None else node.selection_set.selections:
            fragment: Any = each
            for inner in fragment.selection_set.selections if _is_of_person(each) else ():
                if isinstance(inner, FieldNode) and inner.name.value in EVERYWHERE:
                    yield _Field(inner, next(numbers))


def _is_of_person(each: Any) -> bool:
    return (
        isinstance(each, InlineFragmentNode)
        and each.type_condition is not None
        and each.type_condition.name.value == PERSON_TYPE
    )


def _below(region: str, answer: Answer, path: list[Any]) -> Answered:
    """A region's value at `path`, and the errors below it."""
    errors = [(list(each["path"])[len(path) :], each) for each in answer.errors if _is_below(each, path)]
    return Answered(region, _at(answer.data, path), errors)


def _is_below(error: Error, path: list[Any]) -> bool:
    found = error.get("path") or []
    return len(found) >= len(path) and list(found[: len(path)]) == path


def _at(data: Any, path: Sequence[Any]) -> Any:
    for step in path:
        if data is None or (isinstance(data, dict) and step not in data):
            return None
        data = data[step]
    return data


def _refused(home: Answer, path: list[Any], found: Answered) -> bool:
    """Whether the caller's home has said no: then nobody is asked what they have."""
    return found.value is None and not home.silent and not _is_unreachable(home, path)


def _is_unreachable(answer: Answer, path: list[Any]) -> bool:
    return REGION_UNAVAILABLE in answer.codes_at(path)


def _with_prefix(path: list[Any], joined: Joined) -> list[Error]:
    return [{**each, "path": [*path, *each["path"]]} for each in joined.errors]


def _placed(key: str, path: list[Any], joined: Joined, answers: Sequence[Answer]) -> Part:
    silent = [unavailable(path) for each in answers if each.silent or _is_unreachable(each, path)]
    return Part({key: joined.value}, [*_with_prefix(path, joined), *silent])
