"""Reads the text of `@fromContext(field:)`: a context and what is taken from it."""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"^\s*\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<selection>.*)$", re.DOTALL)


def context_reference(text: str | None) -> tuple[str, str] | None:
    """`"$ctx { prop }"` as the context's name and the selection; None when it is no reference."""
    match = _REFERENCE.match(text or "")
    return None if match is None else (match["name"], match["selection"].strip())
