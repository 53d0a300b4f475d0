"""Objects of which it is settled, all together, what of them may be read: a few owners, not each object.

What a resolver gave -> `settle` -> the fence's field resolvers and the projections, which look owners up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

from authz.trail import AUDITED
from subgraphs.kit.guard import Among, FieldGuard, NotPlain
from subgraphs.kit.owners import Asked, Need, Owner, owner_of, owners_among, told_by

_NONE_ASKED: frozenset[Asked] = frozenset()
GUESSED_MIN = 32
"""Of a list of so many objects it pays to suppose that they are all the first one's owner's."""


class Settled(list[Any]):
    """A list of objects of one class. For every one of them `proven` may be read whole, and reading them
    belongs to `records`, sets of fields by need.

    Where `supposed` is not None, that holds for objects of this class and owner, or of those that it names:
    who reads looks at each, and at nothing else first.
    It is a copy that nobody else has, so that what is proven stays so; what is made of it proves nothing.
    """

    __slots__ = ("cls", "needs", "proven", "records", "supposed")

    def __init__(
        self, objects: Sequence[Any], cls: type, needs: frozenset[Need], supposed: Among | Owner
    ) -> None:
        super().__init__(objects)
        self.cls = cls
        self.needs = needs
        self.supposed = supposed
        self.proven: frozenset[Need] = frozenset()
        self.records: dict[Need, list[set[str]]] = {}


def settle(
    value: Any,
    guard: FieldGuard,
    needs: frozenset[Need],
    places: Mapping[Need, int],
    *,
    supposing: bool = False,
) -> tuple[Any, AbstractSet[Asked]]:
    """Note whose objects in `value` (one, or a list) are open whole: the value to go on with, and what is
    not decided yet. `supposing` that all are like the first looks at it only; who reads, looks again."""
    if value is None or not needs:
        return value, _NONE_ASKED
    if not isinstance(value, list | tuple):
        return value, _owners_settled((value,), value.__class__, guard, needs, places)[1]
    if supposing and len(value) >= GUESSED_MIN:
        supposed, asked = _supposed(value, value[0].__class__, guard, needs, places)
        if supposed is not None or asked:
            return supposed or value, asked
    classes = {each.__class__ for each in value}
    if len(classes) == 1:
        (cls,) = classes
        owners, asked = _owners_settled(value, cls, guard, needs, places)
        if owners is None or asked:
            return value, asked
        return _proven(Settled(value, cls, needs, None), owners, guard, places), asked
    found: set[Asked] = set()
    for cls in classes:
        objects = [each for each in value if each.__class__ is cls]
        found |= _owners_settled(objects, cls, guard, needs, places)[1]
    return value, found


def _owners_settled(
    objects: Sequence[Any], cls: type, guard: FieldGuard, needs: frozenset[Need], places: Mapping[Need, int]
) -> tuple[set[Owner] | None, set[Asked]]:
    """All owners of objects of one class, where its attribute tells them, and what is not decided yet."""
    asked: set[Asked] = set()
    if cls is type(None) or issubclass(cls, Exception):
        return None, asked
    attribute = told_by(cls)
    owners = None if attribute is None else owners_among(objects, attribute)
    if owners is not None and None not in owners:
        try:
            for need in needs:
                asked.update((each, need) for each in guard.open_up(need, places[need], owners))
        except NotPlain:
            asked.clear()
        else:
            return owners, asked
    for need in needs:
        told = {owner_of(each, need) for each in objects}
        asked.update((each, need) for each in guard.open_up(need, places[need], told))
    return None, asked


def _supposed(
    value: Sequence[Any], cls: type, guard: FieldGuard, needs: frozenset[Need], places: Mapping[Need, int]
) -> tuple[Settled | None, AbstractSet[Asked]]:
    """The list as if all were like the first one, and whom to ask about first; nothing where that is not
    open."""
    attribute = None if cls is type(None) or issubclass(cls, Exception) else told_by(cls)
    if attribute is None:
        return None, _NONE_ASKED
    owner: Owner = getattr(value[0], attribute)
    if guard.asks_widely(owner):
        return None, {(owner, need) for need in needs}
    among = guard.open_among(owner, needs)
    if among is not None:
        settled = Settled(value, cls, needs, among)
        settled.proven = needs
        return settled, _NONE_ASKED
    owners, asked = _owners_settled(value[:1], cls, guard, needs, places)
    if asked or owners is None:
        return None, _NONE_ASKED
    settled = _proven(Settled(value, cls, needs, next(iter(owners))), owners, guard, places)
    return (settled if settled.proven == needs else None), _NONE_ASKED


def _proven(settled: Settled, owners: set[Any], guard: FieldGuard, places: Mapping[Need, int]) -> Settled:
    proven = []
    for need in settled.needs:
        opened, seen = guard.open[places[need]], guard.seen[places[need]]
        if need[0] in AUDITED:
            closed = owners - opened
            if not closed <= seen.keys():
                continue
            # Rows of one owner share a record.
            records = {id(seen[owner]): seen[owner] for owner in closed}
            settled.records[need] = list(records.values())
        elif not owners <= opened:
            continue
        proven.append(need)
    settled.proven = frozenset(proven)
    return settled


def flat(values: Sequence[Any]) -> Sequence[Any]:
    """The objects in values that may be lists of lists, and may be missing."""
    classes = {each.__class__ for each in values}
    if classes == {list}:
        return flat(list(chain.from_iterable(values)))
    if list in classes or tuple in classes:
        return list(_each(values))
    return values if type(None) not in classes else [each for each in values if each is not None]


def _each(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if value.__class__ is list or value.__class__ is tuple:
            yield from _each(value)
        elif value is not None:
            yield value
