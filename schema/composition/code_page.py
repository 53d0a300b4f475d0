"""Prints CODES.md from the tables of codes: what each means, and which stage or severity gives it."""

from __future__ import annotations

from schema.problems import CODES, HINTS, NOT_GIVEN

_HEAD = """# Codes of composition

Made from `problems.py` by a test; `STADION_UPDATE_CASES=1` writes it anew. Each code has a case folder under
`tests/composition_cases/` that shows when it is given and what the message says. Codes are stable: tools may
rely on them.
"""


def code_page() -> str:
    """The whole page as Markdown."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for code in CODES.values():
        stages.setdefault(code.stage, []).append((code.code, code.meaning))
    severities: dict[str, list[tuple[str, str]]] = {}
    for hint in HINTS.values():
        severities.setdefault(hint.severity.value, []).append((hint.code, hint.meaning))
    parts = [
        _HEAD,
        "## Errors: nothing is composed\n",
        "A stage reports all it finds; the next one runs when it finds none.\n",
    ]
    parts += [_table(f"### {stage}", rows) for stage, rows in stages.items()]
    parts.append("## Hints: composed, and worth a look\n\n`debug` hints are left out of the text report.\n")
    parts += [_table(f"### {severity}", rows) for severity, rows in severities.items()]
    parts.append(_table("## Codes of other composers that are not given here", sorted(NOT_GIVEN.items())))
    return "\n".join(parts)


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{code}` | {text} |" for code, text in rows]
    return "\n".join([title, "", "| code | meaning |", "|---|---|", *lines, ""])
