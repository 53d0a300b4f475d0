"""Errors of subgraphs, placed in the client's answer: real paths, the service's name, no locations.

Source: `federation.md` (g) 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from router.errors import ERROR_CODES, SubgraphCallFailed
from router.execution.paths import ResponsePath
from router.execution.run import Run
from router.telemetry import request_trace_id

log = logging.getLogger(__name__)

PATHS_PER_ERROR_MAX: Final = 50
"""An error of one entity is told at every place that shows it, but at most at so many."""


def report_failure(run: Run, failure: SubgraphCallFailed, at: ResponsePath) -> None:
    """A call that failed as a whole: one entry, at the fetch's path without list indices."""
    log.warning("subgraph `%s`: %s", failure.service, failure.reason)
    entry = failure.to_graphql()
    if at:
        entry["path"] = list(at)
    run.add_error(entry)


def report_errors(
    run: Run,
    errors: Sequence[Mapping[str, Any]],
    *,
    service: str,
    at: ResponsePath,
    renamed: Mapping[str, str],
    paths_of: Callable[[int], Sequence[ResponsePath]] | None = None,
) -> None:
    """GraphQL errors of one answer. With `paths_of`, the fetch was for entities: index → real paths."""
    for error in errors:
        entry = _entry(run, error, service)
        path = _path(error.get("path"))
        if paths_of is not None and len(path) >= 2 and path[0] == "_entities" and isinstance(path[1], int):
            rest = tuple(renamed.get(it, it) if isinstance(it, str) else it for it in path[2:])
            places = paths_of(path[1])
            for real in places[:PATHS_PER_ERROR_MAX]:
                run.add_error({**entry, "path": [*real, *rest]})
            if places:
                continue
        if paths_of is not None:
            path = ()
        own = tuple(renamed.get(it, it) if isinstance(it, str) else it for it in path)
        if at or own:
            entry["path"] = [*at, *own]
        run.add_error(entry)


def _entry(run: Run, error: Mapping[str, Any], service: str) -> dict[str, Any]:
    extensions = error.get("extensions")
    if run.options.expose_subgraph_errors:
        own = _shown(extensions, run.options.error_extensions)
        message = error.get("message")
        return {
            "message": message if isinstance(message, str) else "subgraph error without a message",
            "extensions": {**own, "service": service},
        }
    trace_id = request_trace_id.get()
    log.warning("request %s: subgraph `%s` answered an error: %s", trace_id or "-", service, error)
    hidden: dict[str, Any] = {"message": "subgraph errors are not shown", "extensions": {"service": service}}
    if trace_id:
        hidden["extensions"]["traceId"] = trace_id  # under which the log has the whole error
    code = extensions.get("code") if isinstance(extensions, Mapping) else None
    if code in ERROR_CODES:
        # a code of our own table tells nothing about the inside, and clients act on it
        hidden["extensions"]["code"] = code
    return hidden


def _shown(extensions: object, allowed: frozenset[str] | None) -> dict[str, Any]:
    """What of an error's extensions clients see."""
    if not isinstance(extensions, Mapping):
        return {}
    if allowed is None:
        return dict(extensions)
    return {name: value for name, value in extensions.items() if name in allowed}


def _path(path: object) -> ResponsePath:
    if not isinstance(path, list | tuple):
        return ()
    return tuple(it for it in path if isinstance(it, str | int))
