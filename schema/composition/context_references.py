"""Reads the text of `@fromContext(field:)`: a context and what is taken from it."""

from __future__ import annotations

import re

_IGNORED = r"(?:[\s,\ufeff]|#[^\n\r]*)*"
_REFERENCE = re.compile(
    rf"^{_IGNORED}\${_IGNORED}(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<selection>.*)$", re.DOTALL
)


def context_reference(text: str | None) -> tuple[str, str] | None:
    """`"$ctx { prop }"` as the context's name and the selection; None when it is no reference."""
    match = _REFERENCE.match(text or "")
    selection = match["selection"].strip() if match else ""
    return (match["name"], selection) if match and selection else None
