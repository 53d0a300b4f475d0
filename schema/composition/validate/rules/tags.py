"""Tags have names, and cache tags formats, that tools can rely on."""

import re
from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import ROOTS, Applied, Directives, FieldDef, Kind, Subgraph, TypeDef, find
from schema.composition.validate.report import problem
from schema.composition.validate.rules.interface_objects import key_texts
from schema.problems import Problem

_TAG = re.compile(r"^[A-Za-z_][A-Za-z0-9_\-/:.]{0,127}$")
_PLACEHOLDER = re.compile(r"\{(?P<inner>[^{}]*)\}")
_ROOT_VALUE = re.compile(r"^\$args(\.[A-Za-z_][A-Za-z0-9_]*)+$")
_ENTITY_VALUE = re.compile(r"^\$key(\.[A-Za-z_][A-Za-z0-9_]*)+$")


def tags(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report tag names and cache tags that cannot be used."""
    for owner in graph.types.values():
        yield from _names(owner.name, owner.directives)
        yield from _entity_cache_tags(owner)
        for item in owner.fields.values():
            yield from _names(f"{owner.name}.{item.name}", item.directives)
            yield from _root_cache_tags(owner, item)


def _names(coordinate: str, directives: Directives) -> Iterator[Problem]:
    for applied in find(directives, "tag"):
        name = applied.text("name")
        if name is not None and not _TAG.match(name):
            yield problem(
                "INVALID_TAG_NAME",
                f"`{name}` cannot be a tag on `{coordinate}`",
                coordinate,
                applied.at,
                mend="start with a letter or `_`; go on with letters, digits and"
                " `_-/:.`, 128 characters at most",
            )


def _entity_cache_tags(owner: TypeDef) -> Iterator[Problem]:
    for applied in find(owner.directives, "cacheTag"):
        if owner.kind is not Kind.OBJECT or not any(key_texts(owner).values()):
            yield problem(
                "CACHE_TAG_ENTITY_NOT_RESOLVABLE",
                f"`{owner.name}` has no resolvable key, so it is never cached as an entity",
                owner.name,
                applied.at,
                mend="give it a resolvable `@key`, or write `@cacheTag` on root fields",
            )
            continue
        for inner in _placeholders(applied):
            is_key = inner is not None and _ENTITY_VALUE.match(inner)
            keys = key_texts(owner)
            if not is_key or any(inner.split(".")[1] not in _first_names(key) for key in keys):  # type: ignore[union-attr]
                code = "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ENTITY" if is_key else "CACHE_TAG_INVALID_FORMAT"
                yield _format(code, owner.name, applied, "`{$key.…}` with a field that each key has")


def _root_cache_tags(owner: TypeDef, item: FieldDef) -> Iterator[Problem]:
    coordinate = f"{owner.name}.{item.name}"
    for applied in find(item.directives, "cacheTag"):
        if owner.name not in ROOTS or owner.name != "Query":
            yield problem(
                "CACHE_TAG_APPLIED_TO_NON_ROOT_FIELD",
                f"`{coordinate}` is no query, so its answer is not cached by itself",
                coordinate,
                applied.at,
                mend="write `@cacheTag` on a field of `Query` or on an entity",
            )
            continue
        for inner in _placeholders(applied):
            is_argument = inner is not None and _ROOT_VALUE.match(inner)
            if not is_argument or inner.split(".")[1] not in item.arguments:  # type: ignore[union-attr]
                code = (
                    "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ROOT_FIELD"
                    if is_argument
                    else "CACHE_TAG_INVALID_FORMAT"
                )
                yield _format(code, coordinate, applied, "`{$args.…}` with an argument of the field")


def _placeholders(applied: Applied) -> list[str | None]:
    text = applied.text("format") or ""
    found: list[str | None] = [match["inner"].strip() for match in _PLACEHOLDER.finditer(text)]
    rest = _PLACEHOLDER.sub("", text)
    return [*found, None] if "{" in rest or "}" in rest else found


def _first_names(key: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", re.sub(r"\{[^{}]*\}", "", key)))


def _format(code: str, coordinate: str, applied: Applied, allowed: str) -> Problem:
    return problem(
        code,
        f"`{applied.text('format')}` cannot be the cache tag of `{coordinate}`",
        coordinate,
        applied.at,
        mend=f"inside braces, use {allowed}",
    )
