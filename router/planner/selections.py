"""Selections as the planner works on them: interned, so that equal selections are planned once.

Fields carry their conditions; fragments remain only where they narrow the type. Internal fields (keys,
requirements) are of the same kind, under response keys that no client field of the operation uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from router.operation.model import Condition, NormalField, NormalSelection
from router.operation.print_normal import print_directive
from router.planner.arguments import arguments_text, printed_arguments, variables_of
from router.planner.contexts import ContextNames, ContextValue, Frame
from router.planner.response_keys import ResponseKeys
from schema.supergraph import Supergraph
from schema.supergraph.field_sets import FieldSet, FieldSetArgument, FieldSetField

Conditions: TypeAlias = tuple[Condition, ...]


class Field:
    """One field to resolve; interned: equal fields are the same object.

    `asked_on` is the type it was selected on, `defer` the number of the deferred fragment that it is in.
    `arguments` and `directives` are printed text, `variables` the names in them.
    `purpose` is empty for the client's fields, else `key` or `requires`.
    """

    __slots__ = (
        "arguments",
        "asked_on",
        "conditions",
        "context",
        "defer",
        "directives",
        "id",
        "key",
        "name",
        "purpose",
        "selections",
        "variables",
    )

    def __init__(
        self,
        *,
        key: str,
        name: str,
        asked_on: str,
        arguments: str = "",
        variables: tuple[str, ...] = (),
        conditions: Conditions = (),
        selections: Selections | None = None,
        purpose: str = "",
        context: tuple[ContextValue, ...] = (),
        defer: int | None = None,
        directives: str = "",
    ) -> None:
        self.key, self.name, self.asked_on = key, name, asked_on
        self.arguments, self.variables, self.conditions = arguments, variables, conditions
        self.selections, self.purpose, self.context = selections, purpose, context
        self.defer, self.directives = defer, directives
        self.id = -1

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two fields the same."""
        inner = self.selections.id if self.selections is not None else -1
        own = (self.key, self.name, self.asked_on, self.arguments, self.conditions)
        return (*own, inner, self.purpose, self.context, self.defer, self.directives)

    def __repr__(self) -> str:
        alias = "" if self.key == self.name else f"{self.key}: "
        return f"{alias}{self.name}{self.arguments}{self.selections or ''}"


class Fragment:
    """Selections for objects of one type; interned."""

    __slots__ = ("conditions", "id", "selections", "type_condition")

    def __init__(self, type_condition: str, selections: Selections, conditions: Conditions = ()) -> None:
        self.type_condition, self.selections, self.conditions = type_condition, selections, conditions
        self.id = -1

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two fragments the same."""
        return (self.type_condition, self.selections.id, self.conditions)

    def __repr__(self) -> str:
        return f"... on {self.type_condition} {self.selections}"


Item: TypeAlias = Field | Fragment


class Selections:
    """An interned list of items; equal lists have equal `id`."""

    __slots__ = ("id", "items")

    def __init__(self, items: tuple[Item, ...], number: int) -> None:
        self.items, self.id = items, number

    def __repr__(self) -> str:
        return "{" + " ".join(map(repr, self.items)) + "}"

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass(frozen=True, slots=True)
class Deferral:
    """One `@defer` fragment of the operation: the response keys above it, its label, its number there."""

    path: tuple[str, ...]
    label: str | None
    increment: int


class SelectionPool:
    """Makes and interns the selections of one planning run."""

    def __init__(
        self, supergraph: Supergraph, client_variables: Collection[str] = (), *, remembers: bool = False
    ) -> None:
        self._supergraph = supergraph
        self._fields: dict[tuple[object, ...], Field] = {}
        self._fragments: dict[tuple[object, ...], Fragment] = {}
        self._lists: dict[tuple[int, ...], Selections] = {}
        self._collected: dict[tuple[int, str], tuple[Field, ...]] = {}
        self.keys = ResponseKeys()
        self._contexts = ContextNames(supergraph, client_variables)
        self.deferrals: list[Deferral] = []
        self._rows: dict[int, tuple[tuple[NormalSelection, ...], Selections]] | None = (
            {} if remembers else None
        )
        """What the client's selections are here, by their `id`: without contexts, nothing deferred."""

    @property
    def size(self) -> int:
        """How many different fields and lists of them there are."""
        return len(self._fields) + len(self._lists) + len(self._rows or ())

    # -- making ------------------------------------------------------------------------------------

    def field(self, field: Field) -> Field:
        """The interned field equal to `field`."""
        kept = self._fields.setdefault(field.identity, field)
        if kept.id < 0:
            kept.id = 2 * len(self._fields)
        return kept

    def fragment(self, fragment: Fragment) -> Fragment:
        """The interned fragment equal to `fragment`."""
        kept = self._fragments.setdefault(fragment.identity, fragment)
        if kept.id < 0:
            kept.id = 2 * len(self._fragments) + 1
        return kept

    def selections(self, items: Iterable[Item]) -> Selections:
        """The interned list of these items, duplicates dropped."""
        unique = tuple({item.id: item for item in items}.values())
        key = tuple(item.id for item in unique)
        if key not in self._lists:
            self._lists[key] = Selections(unique, len(self._lists))
        return self._lists[key]

    def with_(
        self, field: Field, *, selections: Selections | None = None, conditions: Conditions | None = None
    ) -> Field:
        """The field with other selections or conditions."""
        return self.field(
            Field(
                key=field.key,
                name=field.name,
                asked_on=field.asked_on,
                arguments=field.arguments,
                variables=field.variables,
                conditions=field.conditions if conditions is None else conditions,
                selections=field.selections if selections is None else selections,
                purpose=field.purpose,
                context=field.context,
                defer=field.defer,
                directives=field.directives,
            )
        )

    def at_once(self, field: Field) -> Field:
        """The field as if it were not deferred."""
        return self._changed(field, defer=None, purpose="")

    def _changed(self, field: Field, **changed: Any) -> Field:
        same = {name: getattr(field, name) for name in Field.__slots__ if name != "id"}
        return self.field(Field(**{**same, **changed}))

    def of_operation(
        self,
        selections: Iterable[NormalSelection],
        frames: tuple[Frame, ...] = (),
        path: tuple[str, ...] = (),
        defer: int | None = None,
    ) -> Selections:
        """The client's selections, whose response keys `keys` has taken.

        `frames` are the objects above, nearest first; what contexts want of the nearest is added. `path`
        are the response keys above, `defer` the deferred fragment around.
        """
        items = [self._of_normal(selection, frames, path, defer) for selection in selections]
        for setter, wanted in frames[0].wanted if frames else ():
            items.extend(self._wanted(frames[0].type_name, setter, wanted))
        return self.selections(items)

    def _wanted(self, type_name: str, setter: str, wanted: FieldSet) -> tuple[Item, ...]:
        """A context's field set on a frame's type, within a fragment where only some objects set it."""
        possible = self._supergraph.possible_types
        if possible[type_name] <= possible[setter]:
            return self.of_field_set(wanted, type_name, purpose="requires")
        inner = self.of_field_set(wanted, setter, purpose="requires")
        return (self.fragment(Fragment(setter, self.selections(inner))),)

    def _of_normal(
        self,
        selection: NormalSelection,
        frames: tuple[Frame, ...],
        path: tuple[str, ...],
        defer: int | None,
    ) -> Item:
        if not isinstance(selection, NormalField):
            narrowed = (Frame(selection.type_condition), *frames[1:])
            if selection.deferred:
                defer = len(self.deferrals)
                self.deferrals.append(Deferral(path, selection.defer_label, selection.increment))
            inner = self.of_operation(selection.selections, narrowed, path, defer)
            return self.fragment(Fragment(selection.type_condition, inner, selection.conditions))
        context: tuple[ContextValue, ...] = ()
        below = frames
        definition = self._supergraph.types[selection.parent_type].fields.get(selection.name)
        if definition is not None and self._supergraph.contexts:
            context = self._contexts.values(definition, frames)
            below = (Frame(definition.type.name), *frames)
        return self.field(
            Field(
                key=selection.response_key,
                name=selection.name,
                asked_on=selection.parent_type,
                arguments=printed_arguments(selection),
                directives="".join([f" {print_directive(one)}" for one in selection.directives]),
                variables=variables_of(selection) if selection.arguments or selection.directives else (),
                conditions=selection.conditions,
                selections=(
                    self._below(selection.selections, below, (*path, selection.response_key))
                    if selection.selections
                    else None
                ),
                context=context,
                defer=None if selection.name == "__typename" else defer,
            )
        )

    def _below(
        self, selections: tuple[NormalSelection, ...], frames: tuple[Frame, ...], path: tuple[str, ...]
    ) -> Selections:
        if self._rows is None:
            return self.of_operation(selections, frames, path)
        known = self._rows.get(id(selections))
        if known is None:
            known = self._rows[id(selections)] = selections, self.of_operation(selections, frames, path)
        return known[1]

    # -- internal fields ---------------------------------------------------------------------------

    def internal_key(self, name: str, arguments: tuple[FieldSetArgument, ...] = ()) -> str:
        """The response key of a key or required field, by which nothing else is asked for."""
        return self.keys.own(name, arguments_text(arguments))

    def of_field_set(
        self, field_set: FieldSet, type_name: str, *, purpose: str, conditions: Conditions = ()
    ) -> tuple[Item, ...]:
        """A field set on `type_name` as internal selections, with `__typename` below abstract types."""
        items: list[Item] = []
        for item in field_set:
            if not isinstance(item, FieldSetField):
                inner = self.of_field_set(item.selections, item.type_condition, purpose=purpose)
                items.append(self.fragment(Fragment(item.type_condition, self.selections(inner), conditions)))
                continue
            selections = None
            if item.selections:
                child = self._child_type(type_name, item.name)
                inner = self.of_field_set(item.selections, child, purpose=purpose)
                if self._supergraph.types[child].is_abstract:
                    inner = (self.typename(child), *inner)
                selections = self.selections(inner)
            items.append(
                self.field(
                    Field(
                        key=self.internal_key(item.name, item.arguments),
                        name=item.name,
                        asked_on=type_name,
                        arguments=arguments_text(item.arguments),
                        conditions=conditions,
                        selections=selections,
                        purpose=purpose,
                    )
                )
            )
        return tuple(items)

    def typename(self, type_name: str) -> Field:
        """`__typename`, under its own name."""
        return self.field(Field(key="__typename", name="__typename", asked_on=type_name, purpose="key"))

    def _child_type(self, type_name: str, field_name: str) -> str:
        return self._supergraph.types[type_name].fields[field_name].type.name

    # -- reading -----------------------------------------------------------------------------------

    def collect(self, selections: Selections, type_name: str) -> tuple[Field, ...]:
        """The fields that apply to an object of `type_name`, merged, fragments looked into."""
        key = (selections.id, type_name)
        if key not in self._collected:
            self._collected[key] = self.merge(self._applying(selections, type_name, ()))
        return self._collected[key]

    def _applying(self, selections: Selections, type_name: str, conditions: Conditions) -> Iterator[Field]:
        for item in selections.items:
            together = joined(conditions, item.conditions)
            if together is None:
                continue
            if isinstance(item, Fragment):
                if self.applies(item.type_condition, type_name):
                    yield from self._applying(item.selections, type_name, together)
            else:
                yield item if together == item.conditions else self.with_(item, conditions=together)

    def applies(self, type_condition: str, type_name: str) -> bool:
        """Whether an object of concrete `type_name` matches the condition."""
        return type_condition == type_name or type_name in self._supergraph.possible_types.get(
            type_condition, ()
        )

    def merge(self, fields: Iterable[Field]) -> tuple[Field, ...]:
        """Fields of one object: same response key and conditions become one; covered leaves vanish."""
        merged: dict[tuple[str, Conditions, int | None], Field] = {}
        for field in fields:
            slot = (field.key, field.conditions, field.defer)
            known = merged.get(slot)
            if known is None:
                merged[slot] = field
                continue
            if known.selections is not None and field.selections is not None:
                both = self.selections((*known.selections.items, *field.selections.items))
                known = merged[slot] = self.with_(known, selections=both)
            if field.directives and field.directives != known.directives:
                merged[slot] = self._told(known, field)
        plain = {
            field.key
            for field in merged.values()
            if not field.conditions and field.selections is None and field.defer is None
        }
        return tuple(
            field
            for field in merged.values()
            if field.key not in plain
            or field.selections is not None
            or field.directives
            or not (field.conditions or field.defer is not None)
        )

    def _told(self, known: Field, field: Field) -> Field:
        """The first field with what the client says of both to subgraphs."""
        variables = tuple(dict.fromkeys((*known.variables, *field.variables)))
        return self._changed(known, directives=known.directives + field.directives, variables=variables)


def joined(outer: Conditions, inner: Conditions) -> Conditions | None:
    """Both conditions together, sorted; None where they exclude each other."""
    if not outer:
        return inner
    together = set(outer) | set(inner)
    if any(Condition(c.variable, not c.negated) in together for c in together):
        return None
    return tuple(sorted(together, key=lambda c: (c.variable, c.negated)))
