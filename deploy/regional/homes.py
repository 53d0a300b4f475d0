"""Who is at home where, for calls: the directory, and what a call names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.identity.subject import Subject
from datastores.regions.directory import RegionDirectory

NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Homes:
    """Who is at home where. `home` is the region of callers without a name."""

    directory: RegionDirectory
    home: str

    async def of_caller(self, subject: Subject, named: Iterable[str]) -> str:
        """The region of a caller. One without a name is served where the one is at home whom they name, also
        by handle, as for logging in; and here otherwise.  Errors: RegionUnknown.
        """
        if subject.id is not None:
            return await self.directory.region_of(subject.id)
        plain = set(named)
        called = {handle_name(name) for name in plain}
        regions = set((await self.directory.regions_of(plain | called)).values())
        return regions.pop() if len(regions) == 1 else self.home

    async def known(self, named: Iterable[str]) -> Mapping[str, str]:
        """The region of each of these names that somebody is known by."""
        return await self.directory.regions_of(named)


def names_in(value: Any) -> set[str]:
    """Every text in a JSON value that could name somebody."""
    return {text for text in texts_in(value) if 0 < len(text) <= NAME_CHARACTERS_MAX}


def handle_name(handle: str) -> str:
    """What a handle is called in the directory, where an id cannot be mistaken for it."""
    return f"@{handle.lower()}"


def texts_in(value: Any) -> Iterator[str]:
    """Every text inside a JSON value, keys of objects left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)
