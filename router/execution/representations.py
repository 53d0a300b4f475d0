"""Representations: from an object of the response tree to what `_entities` is asked with. Built once a plan.

Source: `federation.md` (g) 2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeAlias

import orjson

from router.execution.represent_alike import AllAlike, Leaf, all_alike
from router.execution.type_facts import TypeFacts
from router.planner.plan import Fetch, RequiresField, RequiresSelection, ValueSetter

Representation: TypeAlias = dict[str, Any]

KNOWN_MAX: Final = 1_000
"""Representations kept for one supergraph; then it begins anew."""

HOT_AFTER_RUNS: Final = 3
"""From this run on objects that are all alike are represented by generated code."""

_MISSING: Final[Any] = object()
_UNFIT: Final[Any] = object()
"""A value that breaks the nullability of its type: null in its place, where null may be."""
_UNKNOWN: Final[Any] = object()
"""A value that an earlier fetch failed to bring: nothing that holds it can be sent."""

_Copy: TypeAlias = Callable[[Any, Collection[int]], Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One key of a representation. `copy` is None for leaves, which are taken as they are."""

    name: str
    source: str
    non_null: bool
    copy: _Copy | None


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How objects of one runtime type are represented; `keys` are those of which one must be filled.

    `leaves` reads all values at once where every entry is a leaf, and raises KeyError where one is missing.
    """

    typename: str
    entries: tuple[_Entry, ...]
    keys: tuple[tuple[str, ...], ...]
    leaves: Callable[[dict[str, Any]], Any] | None

    @property
    def sent(self) -> tuple[str, ...]:
        """The names of what is sent: two objects are compared by their values only if these are equal."""
        return (self.typename, *(it.name for it in self.entries))

    def quick(self, it: dict[str, Any]) -> Any:
        """What tells an object from others: its leaf or tuple of leaves; None where that will not do.

        That is where a leaf is missing, or neither text nor integer: 1, 1.0 and true are equal in Python.
        """
        if self.leaves is None:
            return None
        try:
            values = self.leaves(it)
        except KeyError:
            return None
        kind = values.__class__
        if kind is str or kind is int:
            return values
        if kind is tuple:
            for value in values:
                if value.__class__ is not str and value.__class__ is not int:
                    return None
            return values
        return None

    def representation(self, identity: Any) -> Representation:
        """The representation of an object from what `quick` has told."""
        representation: Representation = {"__typename": self.typename}
        values = identity if identity.__class__ is tuple else (identity,)
        for entry, value in zip(self.entries, values, strict=True):
            representation[entry.name] = value
        return representation


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fetch asks for: each different representation once, and the objects that it stands for."""

    representations: list[Representation]
    groups: list[list[dict[str, Any]]]


class Representations:
    """Builds the representations of fetches that require the same, one recipe a runtime type."""

    __slots__ = ("_alike", "_facts", "_only_type", "_recipes", "_requires", "_runs", "_service", "_typenames")

    def __init__(self, fetch: Fetch, facts: TypeFacts) -> None:
        self._requires = fetch.requires
        self._service = fetch.service
        self._facts = facts
        self._recipes: dict[str, _Recipe | None] = {}
        self._typenames = _typename_setters(fetch)
        conditions = {it.type_condition for it in fetch.requires if not isinstance(it, RequiresField)}
        self._only_type = conditions.pop() if len(conditions) == 1 else None
        self._runs = 0
        self._alike: AllAlike | None = None

    def of_all(self, found: Sequence[dict[str, Any]], failed: Collection[int]) -> Asked:
        """Representations for all of them, equal ones once. `failed` as in `of`."""
        alike = self._alike(found) if self._alike is not None else None
        if alike is not None:
            return Asked(*alike)
        self._runs += 1
        if self._runs == HOT_AFTER_RUNS:
            self._alike = self._generated(found)
        asked = Asked([], [])
        # by what is sent, because objects of different types can have equal keys
        known: dict[Any, dict[Any, list[dict[str, Any]]]] = {}
        only_type = self._only_type
        typename_before: Any = _MISSING
        recipe: _Recipe | None = None
        groups: dict[Any, list[dict[str, Any]]] = {}
        for it in found:
            typename = it.get("__typename") or only_type
            if typename != typename_before:
                typename_before = typename
                recipe = self._recipe_for(typename)
                groups = known.setdefault(recipe and recipe.sent, {})
            if recipe is None:
                continue
            representation: Representation | None = None
            identity = recipe.quick(it)
            if identity is None:
                representation = self.of(it, failed)
                if representation is None:
                    continue
                # bytes, which no leaf is: 1, 1.0 and true differ in them
                identity = identity_of(representation)
            group = groups.get(identity)
            if group is not None:
                group.append(it)
                continue
            groups[identity] = group = [it]
            asked.representations.append(representation or recipe.representation(identity))
            asked.groups.append(group)
        return asked

    def _generated(self, found: Sequence[dict[str, Any]]) -> AllAlike | None:
        """What represents objects of the first one's type, if their values are leaves alone."""
        typename = found[0].get("__typename") or self._only_type if found else None
        recipe = self._recipe_for(typename)
        if typename is None or recipe is None or recipe.leaves is None:
            return None
        in_keys = frozenset(name for key in recipe.keys for name in key)
        leaves = [
            Leaf(it.name, it.source, may_be_null=not it.non_null and it.name not in in_keys)
            for it in recipe.entries
        ]
        return all_alike(typename, recipe.typename, leaves, self._only_type)

    def of(self, it: dict[str, Any], failed: Collection[int]) -> Representation | None:
        """The representation of one object, or None where it cannot be asked for.

        That is: its runtime type is not among the required ones, or no key of it is filled, or a required
        leaf that may not be null is. A required leaf that may be null is sent as null; one that is missing
        too, except in an object whose identity is in `failed`: what it lacks is unknown.
        """
        recipe = self._recipe_for(it.get("__typename") or self._only_type)
        if recipe is None:
            return None
        representation: Representation = {"__typename": recipe.typename}
        if _copy_entries(it, recipe.entries, representation, failed) is not None:
            return None
        if recipe.keys and not any(_filled(representation, key) for key in recipe.keys):
            return None
        return representation

    def are_for(self, it: dict[str, Any]) -> bool:
        """Whether the fetch is for objects of this runtime type."""
        return self._recipe_for(it.get("__typename") or self._only_type) is not None

    def _recipe_for(self, typename: Any) -> _Recipe | None:
        if typename.__class__ is not str:
            return None
        try:
            return self._recipes[typename]
        except KeyError:
            return self._recipe(typename)

    def _recipe(self, typename: str) -> _Recipe | None:
        """INVARIANT: names unknown to the supergraph are not kept, so a subgraph cannot fill memory."""
        facts = self._facts
        if not facts.known(typename):
            return None
        recipe = None
        if _matches(self._requires, typename, facts):
            entries = _entries(self._requires, typename, facts)
            recipe = _Recipe(
                typename=self._sent_as(typename),
                entries=entries,
                keys=self._keys(self._sent_as(typename), entries),
                leaves=_leaves(entries),
            )
        self._recipes[typename] = recipe
        return recipe

    def _sent_as(self, typename: str) -> str:
        for condition, name in self._typenames:
            if condition is None or condition in self._facts.supertypes(typename):
                return name
        return typename

    def _keys(self, typename: str, entries: Sequence[_Entry]) -> tuple[tuple[str, ...], ...]:
        """The subgraph's keys that these entries cover; none where one of them can never be null."""
        non_null = {it.name: it.non_null for it in entries}
        covered = [
            key
            for key in self._facts.keys(typename, self._service)
            if all(name in non_null or name == "__typename" for name in key)
        ]
        if any(all(non_null.get(name, True) for name in key) for key in covered):
            return ()
        return tuple(covered)


def representations_of(fetch: Fetch, facts: TypeFacts) -> Representations:
    """The fetch's representations; fetches of several plans that require the very same have the same."""
    key = (id(fetch.requires), fetch.service, fetch.input_rewrites)
    known = facts.representations.get(key)
    if known is None:
        if len(facts.representations) >= KNOWN_MAX:
            facts.representations.clear()
        # INVARIANT: it holds what is required, so nothing else has its id while it is here
        known = facts.representations[key] = Representations(fetch, facts)
    return known


def identity_of(representation: Representation) -> bytes:
    """Equal for equal representations: the same entity is asked for once."""
    try:
        return orjson.dumps(representation, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # a subgraph in this process may hand over what JSON has no word for
        return repr(representation).encode()


def _leaves(entries: Sequence[_Entry]) -> Callable[[dict[str, Any]], Any] | None:
    if not entries or any(it.copy is not None for it in entries):
        return None
    return itemgetter(*(it.source for it in entries))


def _filled(representation: Representation, key: tuple[str, ...]) -> bool:
    return any(representation.get(name) is not None for name in key)


def _typename_setters(fetch: Fetch) -> tuple[tuple[str | None, str], ...]:
    """`__typename` as sent where it is not the runtime type: an interface that is an object over there."""
    found: list[tuple[str | None, str]] = []
    for rewrite in fetch.input_rewrites:
        if isinstance(rewrite, ValueSetter) and rewrite.path[-1] == "__typename" and len(rewrite.path) <= 2:
            condition = rewrite.path[0].removeprefix("... on ") if len(rewrite.path) == 2 else None
            found.append((condition, rewrite.value))
    return tuple(found)


def _matches(selections: Sequence[RequiresSelection], typename: str, facts: TypeFacts) -> bool:
    return any(
        isinstance(it, RequiresField) or it.type_condition in facts.supertypes(typename) for it in selections
    )


def _entries(selections: Sequence[RequiresSelection], typename: str, facts: TypeFacts) -> tuple[_Entry, ...]:
    """What is copied from objects of `typename`, fragments resolved, fields of one name merged."""
    fields: dict[tuple[str, str], list[RequiresSelection]] = {}
    _collect(selections, typename, facts, fields)
    return tuple(
        _entry(name, source, nested, typename, facts)
        for (name, source), nested in fields.items()
        if name != "__typename"
    )


def _collect(
    selections: Sequence[RequiresSelection],
    typename: str,
    facts: TypeFacts,
    into: dict[tuple[str, str], list[RequiresSelection]],
) -> None:
    for it in selections:
        if isinstance(it, RequiresField):
            into.setdefault((it.name, it.source), []).extend(it.selections)
        elif it.type_condition in facts.supertypes(typename):
            _collect(it.selections, typename, facts, into)


def _entry(
    name: str, source: str, nested: Sequence[RequiresSelection], typename: str, facts: TypeFacts
) -> _Entry:
    shape = facts.field_shape(typename, name)
    copy: _Copy | None = None
    if nested:
        copy = _object_copy(nested, shape.named_type if shape is not None else None, facts)
        for item_non_null in reversed(shape.item_non_null if shape is not None else ()):
            copy = _list_copy(copy, item_non_null)
    return _Entry(name=name, source=source, non_null=shape is not None and shape.non_null, copy=copy)


def _object_copy(selections: Sequence[RequiresSelection], static_type: str | None, facts: TypeFacts) -> _Copy:
    """Copies nested objects by their runtime type, or by the field's type where none was fetched."""
    recipes: dict[str, tuple[_Entry, ...]] = {}
    keep_typename = _selects_typename(selections)

    def copy(value: Any, failed: Collection[int]) -> Any:
        if value.__class__ is not dict:
            return None
        typename = value.get("__typename") or static_type
        if typename is None:
            return None
        entries = recipes.get(typename)
        if entries is None:
            if not facts.known(typename):
                return None
            entries = recipes[typename] = _entries(selections, typename, facts)
        copied: dict[str, Any] = {}
        if keep_typename:
            copied["__typename"] = typename
        unfit = _copy_entries(value, entries, copied, failed)
        return copied if unfit is None else unfit

    return copy


def _selects_typename(selections: Sequence[RequiresSelection]) -> bool:
    return any(
        it.name == "__typename" if isinstance(it, RequiresField) else _selects_typename(it.selections)
        for it in selections
    )


def _list_copy(copy_item: _Copy, item_non_null: bool) -> _Copy:
    def copy(value: Any, failed: Collection[int]) -> Any:
        if value.__class__ is not list:
            return None
        items = []
        for it in value:
            copied = None if it is None else copy_item(it, failed)
            if copied is _UNKNOWN:
                return _UNKNOWN
            if copied is _UNFIT:
                copied = None
            if copied is None and item_non_null:
                return _UNFIT
            items.append(copied)
        return items

    return copy


def _copy_entries(
    it: dict[str, Any], entries: Sequence[_Entry], into: dict[str, Any], failed: Collection[int]
) -> Any:
    """Copy every entry; why one cannot be copied, or None. A nested value that is unfit ends as null."""
    for entry in entries:
        value = it.get(entry.source, _MISSING)
        if value is _MISSING:
            if failed and id(it) in failed:
                return _UNKNOWN
            value = None
        elif value is not None and entry.copy is not None:
            value = entry.copy(value, failed)
            if value is _UNKNOWN:
                return _UNKNOWN
            if value is _UNFIT:
                value = None
        if value is None and entry.non_null:
            return _UNFIT
        into[entry.name] = value
    return None
