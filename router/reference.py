"""Reference: every setting, limit, error code, metric and span, as tables; settings as a JSON schema, too."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import router
from router.config import RouterConfig
from router.errors import ERROR_CODES
from router.execution.run import ERRORS_MAX
from router.instruments import Counter, Distribution
from router.planner.limits import PlannerLimits
from router.telemetry import instruments

METRIC_LABELS: Mapping[str, tuple[str, ...]] = {
    "http.client.request.duration": ("subgraph.name",),
    "stadion.router.subgraph.retries": ("subgraph.name", "reason"),
    "stadion.router.circuit_breaker.state": ("subgraph.name",),
    "stadion.router.circuit_breaker.short_circuits": ("subgraph.name",),
    "stadion.router.subgraph.shared_fetches": ("subgraph.name",),
    "stadion.router.subgraph.shared_subscriptions": ("subgraph.name",),
}
"""Labels of instruments that get theirs by use."""
SPAN_MEANINGS: Mapping[str, str] = {
    "router": "one request, below the caller's own span",
    "query_parsing": "the text",
    "query_validation": "the document against the API schema",
    "query_normalization": "its normal form",
    "query_authorization": "what this caller may ask of it",
    "query_planning": "plan and compilation, where none is kept",
    "execution": "all fetches and the answer",
    "fetch": "one call to a subgraph, named by `subgraph.name`",
}
"""Each span's name → what it is around."""
OTHERS = "stadion.subgraph."
"""How names begin of what subgraphs in the router's process count."""
BEGIN = "<!-- reference: made by `stadion config reference --into router/README.md` -->"
END = "<!-- end of the reference -->"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

FIXED_MEANINGS: Mapping[str, str] = {
    "planner.paths_per_leaf_max": "ways weighed for one field",
    "planner.alternatives_max": "assignments weighed for one selection set",
    "planner.states_max": "states visited while one operation is planned",
    "planner.depth_max": "levels of selections and requirements",
    "planner.fetches_max": "fetches of one plan",
    "planner.duration_ms_max": "milliseconds to plan one operation",
    "answer.errors_max": "entries in one answer's `errors`; more are counted in the log",
}
"""What each limit that is no setting bounds."""


class Undocumented(LookupError):
    """A setting or limit that has no meaning written beside it; the text names it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the file: its dotted name, type, default and meaning. A section has no default."""

    name: str
    kind: type
    default: Any
    meaning: str


def settings_of(section: object, at: str = "") -> Iterator[Setting]:
    """Every setting of a section and those of its sections, in the file's order. Errors: Undocumented."""
    hints = typing.get_type_hints(type(section), include_extras=True)
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        hint, default = hints[field.name], getattr(section, field.name)
        if typing.get_origin(hint) is not typing.Annotated:
            raise Undocumented(f"`{at}{field.name}`: write what it means beside its type")
        kind, meaning = typing.get_args(hint)
        if dataclasses.is_dataclass(default):
            yield from settings_of(default, f"{at}{field.name}.")
        else:
            yield Setting(f"{at}{field.name}", kind, default, meaning)
        member = _member(kind)
        if isinstance(default, tuple) and member is not None:
            yield from settings_of(_blank(member), f"{at}{field.name}[].")
        if isinstance(default, Mapping) and member is not None and not hasattr(section, "all"):
            yield from settings_of(_blank(member), f"{at}{field.name}.NAME.")


def _member(kind: Any) -> type | None:
    """The section that the members of a list or mapping of settings are."""
    found = (typing.get_args(kind) or (None,))[-1 if typing.get_origin(kind) is Mapping else 0]
    return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


def _blank(kind: type) -> Any:
    """A section of this kind with all defaults, also where it could not stand in a file like that."""
    blank: Any = object.__new__(kind)
    for field in dataclasses.fields(kind):
        made = field.default_factory
        value = field.default if made is dataclasses.MISSING else made()
        object.__setattr__(blank, field.name, value)
    return blank


def limits() -> Iterator[Setting]:
    """Every limit that is no setting. Errors: Undocumented."""
    sections: dict[str, object] = {"planner": PlannerLimits()}
    for section, values in sections.items():
        for field in dataclasses.fields(values):  # type: ignore[arg-type]
            name, default = f"{section}.{field.name}", getattr(values, field.name)
            yield Setting(name, type(default), default, _fixed_meaning(name))
    yield Setting("answer.errors_max", int, ERRORS_MAX, _fixed_meaning("answer.errors_max"))


def _fixed_meaning(name: str) -> str:
    if name not in FIXED_MEANINGS:
        raise Undocumented(f"`{name}`: write what it bounds into `router/reference.py`")
    return FIXED_MEANINGS[name]


def page() -> str:
    """The reference as Markdown, between its markers."""
    settings = [(f"`{one.name}`", _shown(one.default), one.meaning) for one in settings_of(RouterConfig())]
    fixed = [(f"`{one.name}`", _shown(one.default), one.meaning) for one in limits()]
    codes = [(f"`{one.code}`", str(one.http_status), one.meaning) for one in ERROR_CODES.values()]
    tables = (
        _table("Settings", ("Setting", "Default", "Meaning"), settings),
        _table("Limits that are no settings", ("Limit", "Value", "Meaning"), fixed),
        _table("Error codes", ("Code", "HTTP status", "Meaning"), codes),
        _table("Metrics", ("Metric", "Labels", "Meaning"), [_metric(one) for one in metrics()]),
        _table(
            "Spans", ("Span", "Around"), [(f"`{name}`", around) for name, around in SPAN_MEANINGS.items()]
        ),
    )
    return "\n".join([BEGIN, *tables, END])


def metrics() -> list[Counter | Distribution]:
    """Every metric that the router has, by name: importing a module makes its own. A platform around it may
    count more by the same instruments; what that is, it says itself."""
    for module in walk_packages(router.__path__, "router."):
        import_module(module.name)
    return sorted((one for one in instruments if not one.name.startswith(OTHERS)), key=lambda one: one.name)


def _metric(one: Counter | Distribution) -> tuple[str, str, str]:
    if not one.description:
        raise Undocumented(f"`{one.name}`: write what it measures")
    unit = f" ({one.unit})" if one.unit else ""
    labels = ", ".join(f"`{label}`" for label in METRIC_LABELS.get(one.name, one.labels)) or "none"
    return (f"`{one.name}`", labels, f"{one.kind}: {one.description}{unit}")


def placed(text: str) -> str:
    """`text` with its reference made anew, or added where it has none."""
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        return f"{text.rstrip()}\n\n{page()}\n"
    return before + page() + rest.partition(END)[2]


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join([f"\n### {title}\n", *(f"| {' | '.join(line)} |" for line in lines)])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value) or "none"
    if value in ({}, ""):
        return "none"
    return f"`{value}`"


def json_schema() -> dict[str, Any]:
    """The settings file as a JSON schema: for editors and for checks before a deployment.

    Source: JSON Schema 2020-12.
    """
    return {"$schema": DIALECT, "title": "Settings of Stadion's router", **_section_schema(RouterConfig())}


def _section_schema(section: object) -> dict[str, Any]:
    hints = typing.get_type_hints(type(section), include_extras=True)
    properties: dict[str, Any] = {}
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        kind, meaning = typing.get_args(hints[field.name])
        default = getattr(section, field.name)
        own = _section_schema(default) if dataclasses.is_dataclass(default) else _value_schema(kind, default)
        properties[field.name] = {"description": meaning, **own}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value_schema(kind: type, default: object) -> dict[str, Any]:
    if kind is bool:
        return {"type": "boolean", "default": default}
    if kind is int:
        return {"type": "integer", "minimum": 0, "default": default}
    if isinstance(default, StrEnum):
        return {"enum": [one.value for one in type(default)], "default": default.value}
    member = _member(kind)
    if isinstance(default, Mapping) and member is None:
        return {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
    if isinstance(default, Mapping) and member is not None:
        return {"type": "object", "additionalProperties": _section_schema(_blank(member))}
    if isinstance(default, tuple):
        items = {"type": "string"} if member is None else _section_schema(_blank(member))
        return {"type": "array", "items": items, "default": list(default)}
    return {"type": "string", "default": default}
