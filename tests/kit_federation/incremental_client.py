"""A client that puts an answer in parts together, and insists on the rules of each form while it does."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from router.execution import IncrementalFormat


@dataclass
class Read:
    """What a client has at the end. `ended` are the paths of parts that ended with errors."""

    data: Any
    errors: list[dict[str, Any]] = field(default_factory=list)
    ended: list[list[str | int]] = field(default_factory=list)


def merged(parts: Sequence[dict[str, Any]], format_: IncrementalFormat) -> Read:
    """The parts as one answer. A part that breaks a rule of its form fails the test."""
    parts = deepcopy(list(parts))
    read = Read(parts[0]["data"], list(parts[0].get("errors", ())))
    assert [it.get("hasNext", False) for it in parts] == [True] * (len(parts) - 1) + [False]
    assert all("data" not in it for it in parts[1:])
    if format_ is IncrementalFormat.PENDING:
        _merge_current(parts, read)
    else:
        _merge_2022(parts[1:], read)
    return read


def _merge_current(parts: Sequence[dict[str, Any]], read: Read) -> None:
    pending: dict[str, list[str | int]] = {}
    for part in parts:
        for it in part.get("pending", ()):
            assert it["id"] not in pending
            pending[it["id"]] = it["path"]
        for it in part.get("incremental", ()):
            read.errors += it.get("errors", ())
            at = _at(read.data, [*pending[it["id"]], *it.get("subPath", ())])
            if "items" in it:
                assert isinstance(at, list)
                at.extend(it["items"])
            else:
                assert isinstance(at, dict)
                assert at.keys().isdisjoint(it["data"]), "said twice"
                at.update(it["data"])
        for it in part.get("completed", ()):
            path = pending.pop(it["id"])
            if "errors" in it:
                read.errors += it["errors"]
                read.ended.append(path)
    assert not pending, "announced and never completed"


def _merge_2022(parts: Sequence[dict[str, Any]], read: Read) -> None:
    for part in parts:
        assert not part.keys() - {"incremental", "hasNext"}
        for it in part.get("incremental", ()):
            read.errors += it.get("errors", ())
            if "items" in it:
                *path, index = it["path"]
                at = _at(read.data, path)
                assert isinstance(at, list)
                if it["items"] is None:
                    assert it["errors"]
                    read.ended.append(path)
                else:
                    assert len(at) == index
                    at.extend(it["items"])
            elif it["data"] is None:
                read.ended.append(it["path"])
            else:
                _deep_merge(_at(read.data, it["path"]), it["data"])


def _at(data: Any, path: Sequence[str | int]) -> Any:
    for element in path:
        data = data[element]
    return data


def _deep_merge(target: Any, source: Any) -> None:
    for key, value in source.items() if isinstance(source, dict) else enumerate(source):
        known = target[key] if isinstance(target, list) or key in target else None
        if isinstance(known, dict | list) and isinstance(value, dict | list):
            _deep_merge(known, value)
        else:
            target[key] = value
