"""Argument values behind decisions: what a filter looks at must be readable, what an input sets, settable.

`reads("Activity.distanceM")` on an argument or an input's field: a value may only be given where the caller
may read that field of the same owner, whole. `sets(DataClass.TRAINING)` on a mutation's argument: it may only
be given where the policy allows the action. Both are looked at before the resolver runs, by the request's
own text alone, so a refusal is the same whatever is stored. Where only the loaded row can say, or nobody is
known yet, `ruled(by=…)` and `proves()` say so: an argument of a root that says nothing keeps the subgraph
from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
)

from authz.classes import DataClass, Purpose
from authz.question import Decision, Question
from subgraphs.kit.classification import FieldRule, shown_whole
from subgraphs.kit.errors import PublicError, Unauthenticated
from subgraphs.kit.owners import Need, owner_of

Resolver: TypeAlias = Callable[..., Any]
Path: TypeAlias = tuple[str, ...]
KEY = "stadion-input"
DEPTH_MAX = 4
_PAGING = frozenset({"first", "after", "last", "before"})


@dataclass(frozen=True, slots=True)
class Reads:
    """A value that chooses by a field's content."""

    coordinate: str

    def __str__(self) -> str:
        return f"reads {self.coordinate}"


@dataclass(frozen=True, slots=True)
class Shapes:
    """A value that chooses nothing by content: how much or how fine, or which of the fields beside it."""

    def __str__(self) -> str:
        return "shapes"


@dataclass(frozen=True, slots=True)
class Ruled:
    """A value on which the domain's own rule decides, once it has loaded the row that the value names."""

    by: str

    def __str__(self) -> str:
        return f"ruled by {self.by}"


@dataclass(frozen=True, slots=True)
class Proves:
    """A value that the caller proves themselves with. It is compared, and neither kept nor repeated."""

    def __str__(self) -> str:
        return "proves"


@dataclass(frozen=True, slots=True)
class Sets:
    """A value that is written. `owner` names the part of the same input that says whose it is (None: the
    caller's own), `purpose` the part that states why, or is the purpose itself."""

    data_class: DataClass
    action: str
    owner: str | None
    purpose: str | Purpose | None

    def __str__(self) -> str:
        whose = "the caller's own" if self.owner is None else f"that of `{self.owner}`"
        return f"sets {self.data_class.value} {self.action}, {whose}"


Demand: TypeAlias = Reads | Shapes | Sets | Ruled | Proves
"""What an argument, or a field of an input, says of itself."""


def reads(coordinate: str) -> dict[str, Reads]:
    """Metadata of an argument or input field that chooses by the content of the field `coordinate`."""
    return {KEY: Reads(coordinate)}


def shapes() -> dict[str, Shapes]:
    """Metadata of an argument or input field that chooses nothing by content."""
    return {KEY: Shapes()}


def ruled(*, by: str) -> dict[str, Ruled]:
    """Metadata of a root's argument whose right the domain decides itself: `by` says who may, in words."""
    return {KEY: Ruled(by)}


def proves() -> dict[str, Proves]:
    """Metadata of a root's argument that the caller proves themselves with, such as a password."""
    return {KEY: Proves()}


def sets(
    data_class: DataClass,
    action: str = "write",
    *,
    owner: str | None = None,
    purpose: str | Purpose | None = None,
) -> dict[str, Sets]:
    """Metadata of a mutation's argument, or of a field of its input with a right of its own."""
    return {KEY: Sets(data_class, str(action), owner, purpose)}


@dataclass(frozen=True, slots=True)
class _Value:
    """A place in the arguments of one field, and what giving a value there demands."""

    path: Path
    demands: Reads | Sets

    def given(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the caller gave one."""
        return _at(arguments, self.path) is not None


def checked_values(
    name: str, graphql_field: GraphQLField, rules: Mapping[tuple[str, str], FieldRule]
) -> tuple[Callable[[Resolver], Resolver], ...]:
    """What to lay around the field's resolver: nothing, or one check of the values that demand a right."""
    values = [value for value in _values_of(graphql_field) if _demanding(value, rules)]
    if not values:
        return ()
    return (lambda resolve: _checked(resolve, name, values, rules),)


def input_problems(
    fields: Iterable[tuple[str, str, GraphQLField]],
    owned: frozenset[str],
    rules: Mapping[tuple[str, str], FieldRule],
) -> Iterator[str]:
    """What keeps a subgraph from starting: arguments on types with an owner that do not say what they look
    at, and declarations that name no field."""
    for type_name, name, graphql_field in fields:
        coordinate = f"{type_name}.{name}"
        if type_name in owned:
            for path in _undeclared(graphql_field):
                yield f"`{coordinate}({path})` does not say what it looks at: `reads(…)` or `shapes()`"
        for value in _values_of(graphql_field):
            if isinstance(value.demands, Reads) and _key(value.demands.coordinate) not in rules:
                named = value.demands.coordinate
                yield f"`{coordinate}` has an argument that reads `{named}`, which is no classed field"


def root_inputs(schema: GraphQLSchema) -> dict[str, Demand | None]:
    """What each argument of the roots says of itself, by place (`Mutation.rename(input.name)`); paging and
    purposes need no word."""
    found: dict[str, Demand | None] = {}
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, graphql_field in ({} if root is None else root.fields).items():
            if root is not None and not name.startswith("_"):
                inside = f"{root.name}.{name}"
                found.update({f"{inside}({'.'.join(path)})": says for path, says in _leaves(graphql_field)})
    return found


def undeclared_problems(schema: GraphQLSchema) -> Iterator[str]:
    """What keeps a subgraph from starting: an argument of a root that nobody has thought about."""
    stream = "" if schema.subscription_type is None else f"{schema.subscription_type.name}."
    for place, says in root_inputs(schema).items():
        if stream and place.startswith(stream) and isinstance(says, Reads | Sets):
            yield f"`{place}` {says}, which nobody looks at where a stream opens: decide there, `ruled(by=…)`"
        if says is None:
            yield (
                f"`{place}` does not say what giving it demands: declare it, or its input, with `sets(…)`, "
                "`reads(…)`, `ruled(by=…)`, `proves()` or `shapes()`"
            )


def _checked(
    resolve: Resolver, name: str, values: Sequence[_Value], rules: Mapping[tuple[str, str], FieldRule]
) -> Resolver:
    async def looked_at(
        source: Any, info: GraphQLResolveInfo[Any], arguments: dict[str, Any], given: list[_Value]
    ) -> Any:
        for value in given:
            if isinstance(value.demands, Reads):
                await _may_choose(
                    source, info, f"{name}({'.'.join(value.path)})", rules[_key(value.demands.coordinate)]
                )
            else:
                await _may_set(info, arguments, value, value.demands)
        result = resolve(source, info, **arguments)
        return await result if isawaitable(result) else result

    def resolve_checked(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        given = [value for value in values if value.given(arguments)]
        if not given:
            return resolve(source, info, **arguments)
        return looked_at(source, info, arguments, given)

    return resolve_checked


async def _may_choose(source: Any, info: GraphQLResolveInfo[Any], argument: str, rule: FieldRule) -> None:
    """Errors: PublicError FORBIDDEN_ARGUMENT where the field could not be read whole."""
    need: Need = (rule.data_class.value, rule.action)
    verdict: Decision = await info.context.guard.verdict((owner_of(source, need), need))
    whole = verdict.mask is None or rule.masks.get(verdict.mask) is shown_whole
    if not verdict.allowed or not whole:
        raise PublicError(
            "FORBIDDEN_ARGUMENT",
            f"not allowed to use `{argument}`",
            extensions={} if verdict.obligation is None else {"obligation": verdict.obligation.value},
        )


async def _may_set(
    info: GraphQLResolveInfo[Any], arguments: Mapping[str, Any], value: _Value, demands: Sets
) -> None:
    """Errors: Unauthenticated; PublicError FORBIDDEN with what would open it."""
    context = info.context
    if not context.guard.authenticated:
        raise Unauthenticated
    whole = value.path[:-1] or value.path  # what the value stands in, or is
    owner_id = context.subject.id
    if demands.owner is not None:
        owner_id = str(_at(arguments, (*whole, demands.owner)))
    stated: Any = demands.purpose
    if isinstance(stated, str) and not isinstance(stated, Purpose):
        stated = _at(arguments, (*whole, stated))
    purpose = None if stated is None else Purpose(getattr(stated, "value", stated))
    question = Question(owner_id, demands.data_class, demands.action, purpose=purpose)
    [answer] = await context.decisions.decide([question])
    if not answer.allowed or answer.mask is not None:
        raise PublicError(
            "FORBIDDEN",
            f"not allowed to set `{'.'.join(value.path)}`",
            extensions={} if answer.obligation is None else {"obligation": answer.obligation.value},
        )


def _demanding(value: _Value, rules: Mapping[tuple[str, str], FieldRule]) -> bool:
    if isinstance(value.demands, Sets):
        return True
    rule = rules.get(_key(value.demands.coordinate))
    return rule is not None and rule.protected


def _values_of(graphql_field: GraphQLField) -> Iterator[_Value]:
    """Every place that demands something: an argument as a whole, and fields inside of it."""
    wholes = dict(_wholes(graphql_field))
    for path, demands in (*wholes.items(), *_leaves(graphql_field)):
        # What is set as a whole is asked about once, not for each field that is given of it.
        once = len(path) > 1 and isinstance(demands, Sets) and demands is wholes.get(path[:1])
        if isinstance(demands, Reads | Sets) and not once:
            yield _Value(path, demands)


def _wholes(graphql_field: GraphQLField) -> Iterator[tuple[Path, Any]]:
    for name, argument in graphql_field.args.items():
        if isinstance(get_named_type(argument.type), GraphQLInputObjectType):
            yield (name,), _declared(argument)


def _leaves(graphql_field: GraphQLField) -> Iterator[tuple[Path, Any]]:
    for name, argument in graphql_field.args.items():
        if name not in _PAGING and name != "purpose":
            yield from _below((name,), argument.type, _declared(argument))


def _below(path: Path, graphql_type: GraphQLInputType, declared: Any) -> Iterator[tuple[Path, Any]]:
    named = get_named_type(graphql_type)
    if not isinstance(named, GraphQLInputObjectType):
        yield path, declared
        return
    if len(path) >= DEPTH_MAX:
        yield path, declared
        return
    for name, field in named.fields.items():
        # A field inside says for itself; else what its argument says holds for it.
        inner = _declared(field)
        if isinstance(get_named_type(field.type), GraphQLInputObjectType):
            yield from _below((*path, name), field.type, inner or declared)
        else:
            yield (*path, name), inner or declared


def _undeclared(graphql_field: GraphQLField) -> list[str]:
    """Arguments, and fields of their inputs, that say nothing; paging needs no word."""
    return [".".join(path) for path, demands in _leaves(graphql_field) if demands is None]


def _declared(holder: Any) -> Any:
    definition = holder.extensions.get("strawberry-definition")
    return dict(getattr(definition, "metadata", None) or {}).get(KEY)


def _at(arguments: Mapping[str, Any], path: Path) -> Any:
    found: Any = arguments
    for step in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _key(coordinate: str) -> tuple[str, str]:
    type_name, _, field_name = coordinate.partition(".")
    return type_name, field_name
