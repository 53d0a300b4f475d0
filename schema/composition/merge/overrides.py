"""Decides for one field which subgraphs have handed it over to another one with `@override`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from schema.composition.merge.context import MergeContext
from schema.composition.subgraph import Applied, FieldDef, first, has
from schema.problems import Severity

_LABEL = re.compile(r"^[a-zA-Z][a-zA-Z0-9_\-:./]*$")
_PERCENT = re.compile(r"^percent\((\d{1,2}(\.\d{1,8})?|100(\.0{1,8})?)\)$")


@dataclass(frozen=True, slots=True)
class Overrides:
    """By subgraph index. `used`: overridden and still needed there; `origin`: what an overriding one
    names.
    """

    used: frozenset[int] = frozenset()
    unused: frozenset[int] = frozenset()
    labels: Mapping[int, str] = field(default_factory=dict)
    origins: Mapping[int, str] = field(default_factory=dict)

    @property
    def overridden(self) -> frozenset[int]:
        """Those that no longer own the field."""
        return self.used | self.unused


NO_OVERRIDES = Overrides()


@dataclass(slots=True)
class _Verdict:
    used: set[int] = field(default_factory=set)
    unused: set[int] = field(default_factory=set)
    labels: dict[int, str] = field(default_factory=dict)
    origins: dict[int, str] = field(default_factory=dict)


def resolve_overrides(ctx: MergeContext, owner: str, sources: Mapping[int, FieldDef]) -> Overrides:
    """What the `@override`s of one field's sources bring about."""
    overriding = {i: o for i, s in sources.items() if (o := first(s.directives, "override")) is not None}
    if not overriding:
        return NO_OVERRIDES
    verdict = _Verdict()
    for index, applied in overriding.items():
        _resolve(ctx, owner, sources, overriding, index, applied, verdict)
    return Overrides(frozenset(verdict.used), frozenset(verdict.unused), verdict.labels, verdict.origins)


def _resolve(
    ctx: MergeContext,
    owner: str,
    sources: Mapping[int, FieldDef],
    overriding: Mapping[int, Applied],
    index: int,
    applied: Applied,
    verdict: _Verdict,
) -> None:
    item = sources[index]
    coordinate = f"{owner}.{item.name}"
    name = applied.text("from") or ""
    origin = next((i for i in range(len(ctx.subgraphs)) if ctx.name(i) == name), None)
    if origin is None:
        _unknown_origin(ctx, coordinate, applied, name)
        return
    if not _is_sound(ctx, coordinate, item, sources.get(origin), overriding, index, origin):
        return
    verdict.origins[index] = name
    if origin not in sources:
        ctx.hint(
            "OVERRIDE_DIRECTIVE_CAN_BE_REMOVED",
            f"`{coordinate}` is no longer in `{name}`; `@override` does nothing",
            coordinate,
            (applied.at,),
            mend="remove `@override`",
        )
        return
    _hand_over(ctx, owner, sources, index, origin, applied, verdict)


def _hand_over(
    ctx: MergeContext,
    owner: str,
    sources: Mapping[int, FieldDef],
    index: int,
    origin: int,
    applied: Applied,
    verdict: _Verdict,
) -> None:
    item = sources[index]
    at = (owner, item.name)
    coordinate = f"{owner}.{item.name}"
    facts = ctx.subgraphs[origin].facts
    if facts.is_external(at):
        ctx.hint(
            "OVERRIDE_DIRECTIVE_CAN_BE_REMOVED",
            f"`{coordinate}` is only referred to in `{ctx.name(origin)}`; `@override` does nothing",
            coordinate,
            (applied.at,),
        )
    else:
        (verdict.used if at in facts.used else verdict.unused).add(origin)
    if not facts.is_external(at) and applied.text("label") is None:
        ctx.hint(
            "OVERRIDDEN_FIELD_CAN_BE_REMOVED",
            f"`{coordinate}` is overridden by `{ctx.name(index)}`; it can be"
            f" removed from `{ctx.name(origin)}`"
            + (", once nothing there refers to it" if at in facts.used else ""),
            coordinate,
            (sources[origin].at,),
        )
    _label(ctx, coordinate, index, origin, applied, verdict)


def _label(
    ctx: MergeContext, coordinate: str, index: int, origin: int, applied: Applied, verdict: _Verdict
) -> None:
    label = applied.text("label")
    if label is None:
        return
    if not (_LABEL.match(label) or _PERCENT.match(label)):
        ctx.problem(
            "OVERRIDE_LABEL_INVALID",
            f"`{label}` cannot be the label of `@override` on `{coordinate}`",
            coordinate,
            (applied.at,),
            "start with a letter and use letters, digits and `_-:./`, or write"
            " `percent(5)`: 0 to 100, 8 decimals",
        )
        return
    verdict.labels[index] = label
    verdict.labels[origin] = label
    ctx.hint(
        "OVERRIDE_MIGRATION_IN_PROGRESS",
        f"`{coordinate}` moves from `{ctx.name(origin)}` to `{ctx.name(index)}` by label `{label}`",
        coordinate,
        (applied.at,),
    )


def _unknown_origin(ctx: MergeContext, coordinate: str, applied: Applied, name: str) -> None:
    close = get_close_matches(name, [ctx.name(i) for i in range(len(ctx.subgraphs))], n=1)
    ctx.hint(
        "FROM_SUBGRAPH_DOES_NOT_EXIST",
        f"`{coordinate}` overrides a field of `{name}`, which is not among the"
        " subgraphs; `@override` is dropped",
        coordinate,
        (applied.at,),
        Severity.WARN,
        f"did you mean `{close[0]}`?" if close else None,
    )


def _is_sound(
    ctx: MergeContext,
    coordinate: str,
    item: FieldDef,
    source: FieldDef | None,
    overriding: Mapping[int, Applied],
    index: int,
    origin: int,
) -> bool:
    at = overriding[index].at
    if origin == index:
        ctx.problem(
            "OVERRIDE_FROM_SELF_ERROR",
            f"`{coordinate}` overrides itself: `from` names its own subgraph `{ctx.name(index)}`",
            coordinate,
            (at,),
            "name the subgraph that had the field before, or remove `@override`",
        )
        return False
    if origin in overriding:
        ctx.problem(
            "OVERRIDE_SOURCE_HAS_OVERRIDE",
            f"`{coordinate}` in `{ctx.name(index)}` overrides"
            f" `{ctx.name(origin)}`, which itself overrides another",
            coordinate,
            (at, overriding[origin].at),
            f"remove `@override` in `{ctx.name(origin)}`",
        )
        return False
    collision = _collision(item, source)
    if collision is not None:
        directive, where = collision
        ctx.problem(
            "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE",
            f"`@override` on `{coordinate}` does not go with `@{directive}` on it in"
            f" `{ctx.name(index if where is item else origin)}`",
            coordinate,
            (at, where.at),
            "remove one of them",
        )
        return False
    return True


def _collision(item: FieldDef, source: FieldDef | None) -> tuple[str, FieldDef] | None:
    """A directive that cannot be there while the field moves, and the field that carries it."""
    if has(item.directives, "external"):
        return "external", item
    for name in ("requires", "provides"):
        if source is not None and has(source.directives, name):
            return name, source
    return None
