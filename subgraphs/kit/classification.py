"""Data classes on types and fields: one annotation in the domain, federation directives in the SDL.

`@classified(DataClass.TRAINING)` above a type classes all its fields; `directives=[classified(...)]` on a
field overrides it. Key fields are PUBLIC of themselves. `FederatedSchema` writes `@classified(as:, action:)`
on every field and `@authenticated` on what is not PUBLIC; `problems_of` names all that is wrong at start-up.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import strawberry
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_introspection_type,
)
from strawberry.federation.schema_directives import Authenticated, External, Key, ListSize
from strawberry.schema_directive import Location
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.unset import UNSET

from authz.classes import DataClass, Role

CLASSIFIED_URL = "https://stadion.dev/specs/classified/v1.0"
READ = "read"

strawberry.enum(Role, description="What an administrator has granted somebody.")
strawberry.enum(DataClass, description="What kind of thing a field tells; who may read it follows from it.")

_SLICING = ("first", "last")
T = TypeVar("T", bound=type)
Mask: TypeAlias = Callable[[Any], Any]


@strawberry.federation.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="classified",
    description="The field's data class, and the action that reading it is.",
    compose=True,
    import_url=CLASSIFIED_URL,
)
class Classified:
    """The annotation. Call it on a type to class the whole type."""

    as_: DataClass = strawberry.directive_field(name="as")
    action: str = strawberry.directive_field(name="action", default=READ)
    masks: ClassVar[Mapping[str, Mask]] = {}

    def __call__(self, cls: T) -> T:
        """Class every field of `cls` that has no class of its own."""
        cls.__classified__ = self  # type: ignore[attr-defined]
        return cls


def classified(
    data_class: DataClass, *, action: str = READ, masks: Mapping[str, Mask] | None = None
) -> Classified:
    """The class of a type (as its decorator) or of a field (among its `directives`).

    `masks` say how a value is shortened for those whom the policy shows less: view → function of the value
    (`{"trimmed": without_its_ends}`). `initials`, `year_of_birth`, `last_four` and `masked` are known for
    text and dates; a view that is not known is a refusal.
    """
    annotation = Classified(as_=data_class, action=UNSET if action == READ else str(action))
    annotation.__dict__["masks"] = dict(masks or {})
    return annotation


def resolved(
    *directives: object, authenticated: bool = False, requires: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """Makes a method a field: `@resolved(classified(DataClass.LOCATION))`, `@resolved(authenticated=True)`.

    As `strawberry.federation.field`, typed, so that a strict type checker looks into the method. Its
    docstring's first line is the field's description.
    """

    def make(method: Callable[..., Any]) -> Any:
        description = (method.__doc__ or "").strip().partition("\n")[0] or None
        return strawberry.federation.field(
            directives=directives,
            authenticated=authenticated,
            requires=requires,
            description=description,
            resolver=method,
        )

    return make


def shown_whole(value: Any) -> Any:
    """The mask of a field that a shortened view shows as it is, such as a distance in a `summary`."""
    return value


def _initials(value: str) -> str:
    return " ".join(f"{word[0]}." for word in _text(value).split())


def _last_four(value: str) -> str:
    return f"…{_text(value)[-4:]}" if len(value) > 4 else "…"


def _masked(value: str) -> str:
    return "…" if _text(value) else ""


def _year_of_birth(value: dt.date) -> dt.date:
    if not isinstance(value, dt.date):
        raise TypeError("only a day has this mask")
    return value.replace(month=1, day=1)


def _text(value: object) -> str:
    # A member of an enum may be text too, but what is left of it is none of the enum's.
    if not isinstance(value, str) or isinstance(value, Enum):
        raise TypeError("only text has this mask")
    return value


_KNOWN_MASKS: Mapping[str, Mask] = {
    "initials": _initials,
    "last_four": _last_four,
    "masked": _masked,
    "year_of_birth": _year_of_birth,
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field demands of its reader. PUBLIC demands nothing unless `authenticated`."""

    coordinate: str
    data_class: DataClass
    action: str
    authenticated: bool
    masks: Mapping[str, Mask] = dataclass_field(default_factory=dict)

    @property
    def protected(self) -> bool:
        """Whether a decision about the object is needed."""
        return self.data_class is not DataClass.PUBLIC


class NotClassified(Exception):
    """A subgraph does not start: its message names every field and type that is wrong."""


class FederatedSchema(strawberry.federation.Schema):
    """A Strawberry federation schema whose fields all carry their class, and whose pages say how long they
    are."""

    _has_pages = False

    @property
    def schema_directives_in_use(self) -> list[object]:
        """Also those that a type's class puts on its fields, which the collector does not see there."""
        found = super().schema_directives_in_use
        implied: list[object] = [classified(DataClass.PUBLIC), Authenticated()]
        if self._has_pages:
            implied.append(_list_size(0, ()))
        unseen = [each for each in implied if not any(isinstance(one, type(each)) for one in found)]
        return [*found, *unseen]

    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        """The type's fields with the directives that follow from their class; the domain's are untouched."""
        fields = super().get_fields(type_definition)
        if type_definition.is_input or type_definition.name.startswith("_"):
            return fields
        whole = getattr(type_definition.origin, "__classified__", None)
        keys = key_fields(type_definition)
        expanded = [self._expanded(field, whole, keys) for field in fields]
        return [_without_login(field) for field in expanded] if type_definition.is_interface else expanded

    def _expanded(
        self, field: StrawberryField, whole: Classified | None, keys: frozenset[str]
    ) -> StrawberryField:
        if _first(field, External) is not None or field.python_name.startswith("_"):
            return field
        own = _first(field, Classified)
        name = self.config.name_converter.get_graphql_name(field)
        if own is None:
            own = classified(DataClass.PUBLIC) if name in keys else whole
        if own is None:
            return field
        expanded = copy.copy(field)
        kept = [directive for directive in field.directives if not isinstance(directive, Classified)]
        needs_login = own.as_ is not DataClass.PUBLIC and _first(field, Authenticated) is None
        sized = list_size_of(field)
        self._has_pages = self._has_pages or sized is not None
        expanded.directives = [
            *kept, own, *([Authenticated()] if needs_login else []), *([sized] if sized else []),
        ]  # fmt: skip
        return expanded


def list_size_of(field: StrawberryField) -> ListSize | None:
    """How long the page is that a field gives, by its own arguments; None for a field that gives no page."""
    kind: Any = field.type
    while (inner := getattr(kind, "of_type", None)) is not None:
        kind = inner
    definition = getattr(kind, "__strawberry_definition__", None)
    items = getattr(getattr(definition, "origin", None), "__page_items__", None)
    if items is None:
        return None
    return _list_size(items, [one.python_name for one in field.arguments if one.python_name in _SLICING])


def _list_size(items: int, slicing: Sequence[str]) -> ListSize:
    return ListSize(
        assumed_size=items,
        slicing_arguments=list(slicing),
        sized_fields=["edges", "nodes"],
        require_one_slicing_argument=False,
    )


def _without_login(field: StrawberryField) -> StrawberryField:
    """The field without `@authenticated`: in federation an interface takes it from its implementations."""
    bare = copy.copy(field)
    bare.directives = [each for each in field.directives if not isinstance(each, Authenticated)]
    return bare


def key_fields(definition: StrawberryObjectDefinition) -> frozenset[str]:
    """GraphQL names of the type's own fields that are part of a `@key`."""
    return frozenset(
        name
        for key in definition.directives or ()
        if isinstance(key, Key)
        for name in re.findall(r"\w+", re.sub(r"\{[^}]*\}", "", str(key.fields)))
    )


def _first(field: StrawberryField, kind: type[T] | type[Any]) -> Any:
    return next((directive for directive in field.directives if isinstance(directive, kind)), None)


def object_types(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    """The domain's object types: without introspection's and federation's own."""
    for graphql_type in schema.type_map.values():
        if (
            isinstance(graphql_type, GraphQLObjectType)
            and not is_introspection_type(graphql_type)
            and not graphql_type.name.startswith("_")
        ):
            yield graphql_type


def definition_of(graphql_type: GraphQLObjectType) -> StrawberryObjectDefinition:
    """The Strawberry definition behind a type."""
    return cast(StrawberryObjectDefinition, graphql_type.extensions["strawberry-definition"])


def rules_of(schema: GraphQLSchema) -> dict[tuple[str, str], FieldRule]:
    """(type, field) → rule, for every classed field of every object type."""
    rules: dict[tuple[str, str], FieldRule] = {}
    for graphql_type in object_types(schema):
        for name, field in graphql_type.fields.items():
            rule = _rule(f"{graphql_type.name}.{name}", field)
            if rule is not None:
                rules[graphql_type.name, name] = rule
    return rules


def _rule(coordinate: str, field: GraphQLField) -> FieldRule | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    own = _first(definition, Classified)
    if own is None:
        return None
    needs_login = _first(definition, Authenticated) is not None
    action = READ if own.action is UNSET else own.action
    return FieldRule(coordinate, own.as_, action, needs_login, {**_KNOWN_MASKS, **own.masks})


def stored_name(field: GraphQLField) -> str | None:
    """The attribute that a field without a resolver of its own shows as it is; None for any other field."""
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field or field.args:
        return None
    plain = not is_composite_type(get_named_type(field.type))
    return definition.python_name if plain and definition.default_resolver is getattr else None


def names_owner(definition: StrawberryObjectDefinition) -> bool:
    """Whether objects of the type say whose they are: `owner_id` or `row_access`, a value or a method."""
    origin = definition.origin
    declared = getattr(origin, "__dataclass_fields__", {})
    return any(hasattr(origin, name) or name in declared for name in ("owner_id", "row_access"))


def problems_of(schema: GraphQLSchema, rules: Mapping[tuple[str, str], FieldRule]) -> list[str]:
    """Everything that keeps the subgraph from starting, one sentence each, sorted."""
    problems: list[str] = []
    for graphql_type in object_types(schema):
        definition = definition_of(graphql_type)
        keys = key_fields(definition)
        for name, field in graphql_type.fields.items():
            coordinate = f"{graphql_type.name}.{name}"
            strawberry_field = field.extensions.get("strawberry-definition")
            if name.startswith("_") or _is_external(strawberry_field):
                continue
            rule = rules.get((graphql_type.name, name))
            if rule is None:
                problems.append(f"`{coordinate}` has no data class")
            elif rule.protected and name in keys:
                problems.append(f"`{coordinate}` is part of a key and must be PUBLIC")
            elif rule.authenticated and isinstance(field.type, GraphQLNonNull):
                problems.append(f"`{coordinate}` is protected and must be nullable")
        if keys and _resolvable(definition) and not hasattr(definition.origin, "resolve_reference"):
            problems.append(f"`{graphql_type.name}` is an entity and must have `resolve_reference`")
    problems.extend(_ownerless_problems(schema, rules))
    return sorted(problems)


def _is_external(field: object) -> bool:
    return isinstance(field, StrawberryField) and _first(field, External) is not None


def _resolvable(definition: StrawberryObjectDefinition) -> bool:
    return any(key.resolvable is not False for key in definition.directives or () if isinstance(key, Key))


def _ownerless_problems(schema: GraphQLSchema, rules: Mapping[tuple[str, str], FieldRule]) -> Iterator[str]:
    """A value without an owner is guarded by the fields that lead to it: they must have its class."""
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    leading = _fields_leading_to(schema)
    for graphql_type in object_types(schema):
        if graphql_type in roots or names_owner(definition_of(graphql_type)):
            continue
        needed = {
            (rule.data_class, rule.action)
            for name in graphql_type.fields
            if (rule := rules.get((graphql_type.name, name))) and rule.protected
        }
        if not needed:
            continue
        if key_fields(definition_of(graphql_type)):
            yield f"`{graphql_type.name}` is an entity with protected fields and must have `owner_id`"
        for key in leading.get(graphql_type.name, []):
            rule = rules.get(key)
            if rule is None or needed != {(rule.data_class, rule.action)}:
                yield (
                    f"`{graphql_type.name}` has protected fields and no `owner_id`, "
                    f"and `{key[0]}.{key[1]}` leads to it with another class"
                )


def _fields_leading_to(schema: GraphQLSchema) -> dict[str, list[tuple[str, str]]]:
    """Object type → the (type, field) pairs whose value may be one of it."""
    leading: dict[str, list[tuple[str, str]]] = {}
    for graphql_type in object_types(schema):
        for name, field in graphql_type.fields.items():
            target = get_named_type(field.type)
            if isinstance(target, GraphQLObjectType):
                leading.setdefault(target.name, []).append((graphql_type.name, name))
            elif isinstance(target, GraphQLInterfaceType | GraphQLUnionType):
                for possible in schema.get_possible_types(target):
                    leading.setdefault(possible.name, []).append((graphql_type.name, name))
    return leading
