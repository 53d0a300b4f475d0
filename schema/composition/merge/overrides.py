"""Decides for one field which subgraphs have handed it over to another one with `@override`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from schema.composition.facts import Coordinate
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


@dataclass(frozen=True, slots=True)
class _Move:
    """One `@override`: the field moves from subgraph `origin` to subgraph `index`."""

    ctx: MergeContext
    coordinate: str
    at: Coordinate
    sources: Mapping[int, FieldDef]
    overriding: Mapping[int, Applied]
    index: int
    origin: int

    @property
    def applied(self) -> Applied:
        return self.overriding[self.index]

    @property
    def new_home(self) -> str:
        return self.ctx.name(self.index)

    @property
    def old_home(self) -> str:
        return self.ctx.name(self.origin)


def report_misplaced(ctx: MergeContext, owner: str, sources: Mapping[int, FieldDef]) -> None:
    """Report `@override` on an interface's field or on a field of an interface object."""
    for index, item in sources.items():
        if first(item.directives, "override") is None:
            continue
        coordinate = f"{owner}.{item.name}"
        if ctx.subgraphs[index].graph.types[owner].is_interface_object:
            code = "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE"
            why = "its type is an `@interfaceObject`"
        else:
            code, why = "OVERRIDE_ON_INTERFACE", "an interface's field is resolved by nobody"
        mend = "write it on the fields of the implementing types"
        ctx.problem(code, f"`@override` on `{coordinate}`: {why}", coordinate, (item.at,), mend)


def resolve_overrides(
    ctx: MergeContext, owner: str, sources: Mapping[int, FieldDef], suppliers: Mapping[int, str]
) -> Overrides:
    """What the `@override`s of one field's sources bring about. `suppliers`: the subgraphs that do not know
    the type and supply the field through an interface object.
    """
    overriding = {i: o for i, s in sources.items() if (o := first(s.directives, "override")) is not None}
    if not overriding:
        return NO_OVERRIDES
    name = next(iter(sources.values())).name
    coordinate = f"{owner}.{name}"
    verdict = _Verdict()
    for index, applied in overriding.items():
        origin = ctx.indices.get(applied.text("from") or "")
        if origin is None:
            _unknown_origin(ctx, coordinate, applied)
            verdict.origins[index] = applied.text("from") or ""
            continue
        if origin in suppliers:
            _abstracted(ctx, coordinate, applied, suppliers[origin])
            continue
        move = _Move(ctx, coordinate, (owner, name), sources, overriding, index, origin)
        if _is_sound(move):
            _hand_over(move, verdict)
    return Overrides(frozenset(verdict.used), frozenset(verdict.unused), verdict.labels, verdict.origins)


def _hand_over(move: _Move, verdict: _Verdict) -> None:
    verdict.origins[move.index] = move.old_home
    if move.origin not in move.sources:
        _does_nothing(move, f"`{move.coordinate}` is no longer in `{move.old_home}`")
        return
    facts = move.ctx.subgraphs[move.origin].facts
    if facts.is_external(move.at):
        _does_nothing(move, f"`{move.coordinate}` is only referred to in `{move.old_home}`")
    else:
        is_used = move.at in facts.used
        (verdict.used if is_used else verdict.unused).add(move.origin)
        if move.applied.text("label") is None:
            _can_be_removed(move, is_used=is_used)
    _label(move, verdict)


def _label(move: _Move, verdict: _Verdict) -> None:
    label = move.applied.text("label")
    if label is None:
        return
    if not (_LABEL.match(label) or _PERCENT.match(label)):
        move.ctx.problem(
            "OVERRIDE_LABEL_INVALID",
            f"`{label}` cannot be the label of `@override` on `{move.coordinate}`",
            move.coordinate,
            (move.applied.at,),
            "start with a letter and use letters, digits and `_-:./`, or write"
            " `percent(5)`: 0 to 100, 8 decimals",
        )
        return
    verdict.labels[move.index] = label
    verdict.labels[move.origin] = label
    move.ctx.hint(
        "OVERRIDE_MIGRATION_IN_PROGRESS",
        f"`{move.coordinate}` moves from `{move.old_home}` to `{move.new_home}` by label `{label}`",
        move.coordinate,
        (move.applied.at,),
    )


def _does_nothing(move: _Move, why: str) -> None:
    move.ctx.hint(
        "OVERRIDE_DIRECTIVE_CAN_BE_REMOVED",
        f"{why}; `@override` does nothing",
        move.coordinate,
        (move.applied.at,),
        mend="remove `@override`",
    )


def _can_be_removed(move: _Move, *, is_used: bool) -> None:
    later = ", once nothing there refers to it" if is_used else ""
    move.ctx.hint(
        "OVERRIDDEN_FIELD_CAN_BE_REMOVED",
        f"`{move.coordinate}` is overridden by `{move.new_home}`; it can be"
        f" removed from `{move.old_home}`{later}",
        move.coordinate,
        (move.sources[move.origin].at,),
    )


def _unknown_origin(ctx: MergeContext, coordinate: str, applied: Applied) -> None:
    name = applied.text("from") or ""
    close = get_close_matches(name, list(ctx.indices), n=1)
    ctx.hint(
        "FROM_SUBGRAPH_DOES_NOT_EXIST",
        f"`{coordinate}` overrides a field of `{name}`, which is not among the"
        " subgraphs; `@override` is dropped",
        coordinate,
        (applied.at,),
        severity=Severity.WARN,
        mend=f"did you mean `{close[0]}`?" if close else None,
    )


def _abstracted(ctx: MergeContext, coordinate: str, applied: Applied, interface: str) -> None:
    ctx.problem(
        "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE",
        f"`{coordinate}` overrides a field that `{applied.text('from')}` supplies through the"
        f" `@interfaceObject` `{interface}`",
        coordinate,
        (applied.at,),
        f"override it where `{interface}` is an interface object, for all implementations",
    )


def _is_sound(move: _Move) -> bool:
    if move.origin == move.index:
        move.ctx.problem(
            "OVERRIDE_FROM_SELF_ERROR",
            f"`{move.coordinate}` overrides itself: `from` names its own subgraph `{move.new_home}`",
            move.coordinate,
            (move.applied.at,),
            "name the subgraph that had the field before, or remove `@override`",
        )
        return False
    if move.origin in move.overriding:
        move.ctx.problem(
            "OVERRIDE_SOURCE_HAS_OVERRIDE",
            f"`{move.coordinate}` in `{move.new_home}` overrides"
            f" `{move.old_home}`, which itself overrides another",
            move.coordinate,
            (move.applied.at, move.overriding[move.origin].at),
            f"remove `@override` in `{move.old_home}`",
        )
        return False
    return not _collides(move)


def _collides(move: _Move) -> bool:
    """Whether a directive is there that cannot be while the field moves."""
    item, source = move.sources[move.index], move.sources.get(move.origin)
    found = [("external", item, move.new_home)] if has(item.directives, "external") else []
    if source is not None:
        carried = [name for name in ("requires", "provides") if has(source.directives, name)]
        found.extend((name, source, move.old_home) for name in carried)
    for directive, where, home in found[:1]:
        move.ctx.problem(
            "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE",
            f"`@override` on `{move.coordinate}` does not go with `@{directive}` on it in `{home}`",
            move.coordinate,
            (move.applied.at, where.at),
            "remove one of them",
        )
    return bool(found)
