"""Reference: every setting, limit and error code as tables and as a JSON schema, made from the code."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from router.config import RouterConfig
from router.errors import ERROR_CODES
from router.execution.run import ERRORS_MAX
from router.execution.transports.http import HttpTransportLimits
from router.planner.limits import PlannerLimits

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
    "subgraph.answer_bytes_max": "bytes of one subgraph's answer",
    "subgraph.connections_per_host_max": "connections to one subgraph's host",
    "subgraph.connect_timeout_s": "seconds to connect to a subgraph",
    "subgraph.keep_alive_s": "seconds for which an idle connection is kept",
    "subgraph.event_bytes_max": "bytes of one event of a subgraph's stream",
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


def limits() -> Iterator[Setting]:
    """Every limit that is no setting. Errors: Undocumented."""
    sections: dict[str, object] = {"planner": PlannerLimits(), "subgraph": HttpTransportLimits()}
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
    )
    return "\n".join([BEGIN, *tables, END])


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
    if isinstance(default, tuple):
        return {"type": "array", "items": {"type": "string"}, "default": list(default)}
    return {"type": "string", "default": default}
