"""Errors of subgraphs, placed in the client's answer: real paths, the service's name, no locations.

Source: `federation.md` (g) 4.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from router.error_lines import ErrorLines, without_values
from router.errors import ERROR_CODES, SubgraphCallFailed
from router.execution.paths import ResponsePath
from router.execution.run import Run
from router.telemetry import request_trace_id

lines: Final = ErrorLines(logging.getLogger("stadion.router.subgraphs"))

PATHS_PER_ERROR_MAX: Final = 50
"""An error of one entity is told at every place that shows it, but at most at so many."""
_OF_A_CODE: Final = frozenset({"code", "obligation"})
"""Extensions of errors that are shown for their code: others may tell of the inside."""
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OF_COORDINATES: Final = frozenset({"FORBIDDEN_FIELD", "FORBIDDEN_ARGUMENT", "UNAUTHORIZED_FIELD_OR_TYPE"})
"""Codes of errors that are about a place in the schema, and name it."""


def report_failure(run: Run, failure: SubgraphCallFailed, at: ResponsePath) -> None:
    """A call that failed as a whole: one entry, at the fetch's path without list indices."""
    trace_id = request_trace_id.get() or "-"
    lines.say(logging.WARNING, "request %s: subgraph `%s`: %s", trace_id, failure.service, failure.reason)
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
    _log_shown(run, errors, service)
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
    extensions, options = error.get("extensions"), run.options.errors
    code = extensions.get("code") if isinstance(extensions, Mapping) else None
    code = code if isinstance(code, str) else None
    if options.all_ or code in options.codes:
        shown = options.extensions
        if shown is None and not options.all_:
            shown = _OF_A_CODE
        message = error.get("message")
        return {
            "message": message if isinstance(message, str) else "subgraph error without a message",
            "extensions": {**_shown(extensions, shown), "service": service},
        }
    trace_id = request_trace_id.get()
    # what the client does not see is nowhere but here
    lines.say(
        logging.WARNING, "request %s: subgraph `%s` answered an error: %s", trace_id or "-", service, error
    )
    hidden: dict[str, Any] = {"message": "subgraph errors are not shown", "extensions": {"service": service}}
    if trace_id:
        hidden["extensions"]["traceId"] = trace_id  # under which the log has the whole error
    if code in ERROR_CODES:
        # a code of our own table tells nothing about the inside, and clients act on it
        hidden["extensions"]["code"] = code
    return hidden


def _log_shown(run: Run, errors: Sequence[Mapping[str, Any]], service: str) -> None:
    """One line for all errors of one answer that clients see in the same words, without what these quote."""
    told: dict[tuple[str, str], int] = {}
    for error in errors:
        extensions, options = error.get("extensions"), run.options.errors
        code = str(extensions.get("code", "-")) if isinstance(extensions, Mapping) else "-"
        if options.all_ or code in options.codes:
            message = without_values(str(error.get("message", "")), coordinates=code in _OF_COORDINATES)
            words = code if _CODE.fullmatch(code) else "-", message
            told[words] = told.get(words, 0) + 1
    for (code, message), times in told.items():
        lines.say(
            logging.INFO,
            "request %s: subgraph `%s` answered %s (%d times): %s",
            request_trace_id.get() or "-", service, code, times, message,
        )  # fmt: skip


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
