"""Messages about an operation that name nothing of the schema but what their client wrote itself."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[^\W\d]\w*")
_QUOTED: Final = re.compile(r"'[^']*'")
_ROOTS: Final = ("Query", "Mutation", "Subscription")
_BUILT_IN: Final = (
    "Int",
    "Float",
    "String",
    "Boolean",
    "ID",
    "null",
    "None",
    "true",
    "True",
    "false",
    "False",
)
_DIRECTIVES: Final = ("skip", "include", "defer", "stream", "if", "label", "initialCount")
_KNOWN_TO_ALL: Final = frozenset((*_ROOTS, *_BUILT_IN, *_DIRECTIVES))
WRITTEN_CHARS_MAX: Final = 64 * 1024
UNSAID: Final = "…"
"""Stands for each name that the client did not write."""


def discreet(message: str, written: str) -> str:
    """The message with the names between its quotes that are in `written`, all that its client sent.

    Where the client's own quotes make it unclear what stands between those of the message, nothing of it
    is told, nor where so much was sent that a look through it would cost more than it helps.
    """
    if "'" in written or len(written) > WRITTEN_CHARS_MAX:
        return "the document or its variables do not fit the schema"
    said = _KNOWN_TO_ALL.union(_NAME.findall(written))
    return _QUOTED.sub(lambda quoted: _NAME.sub(lambda name: _told(name[0], said), quoted[0]), message)


def _told(name: str, said: frozenset[str]) -> str:
    return name if name in said else UNSAID
