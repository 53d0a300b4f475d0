"""The table port × adapter × tests run at the end of a run, from the contract suites' own reports."""

from __future__ import annotations

from collections import Counter

import pytest

ADAPTERS = {
    "embedded",
    "files",
    "key-file",
    "kms",
    "memory",
    "memcached",
    "mongodb",
    "neo4j",
    "postgresql",
    "redis",
    "redis-cluster",
    "s3",
    "sqlite",
    "timescaledb",
}
_PROPERTY = "port and adapter"
_OUTCOMES = ("passed", "failed", "error", "skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notes on each contract test which port and adapter it is of; the note travels with its report."""
    for item in items:
        marker = item.get_closest_marker("port")
        parameters = getattr(item, "callspec", None)
        if marker is None:
            continue
        found = [value for value in (parameters.params.values() if parameters else ()) if _is_adapter(value)]
        adapter = marker.kwargs.get("adapter") or (" + ".join(found) or None)
        if adapter is not None:
            item.user_properties.append((_PROPERTY, f"{marker.args[0]}|{adapter}"))


def _is_adapter(value: object) -> bool:
    return isinstance(value, str) and value in ADAPTERS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table where a contract suite ran."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in _OUTCOMES:
        for report in terminalreporter.stats.get(outcome, ()):
            for name, where in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    counts[where, outcome] += 1
    rows = sorted({where for where, _ in counts})
    if not rows:
        return
    terminalreporter.section("contract suites: port, adapter, tests")
    for where in rows:
        port, adapter = where.split("|")
        told = ", ".join(f"{counts[where, o]} {o}" for o in _OUTCOMES if counts[where, o])
        terminalreporter.write_line(f"{port:<11} {adapter:<23} {told}")
