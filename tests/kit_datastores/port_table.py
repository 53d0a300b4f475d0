"""The table port × adapter × tests run at the end of a run, from the contract suites' own reports."""

from __future__ import annotations

import os
from collections import Counter

import pytest

PORTS = {
    "blobs": {"files", "s3"},
    "cache": {"memory", "redis", "redis-cluster", "memcached"},
    "documents": {"sqlite", "mongodb", "mongo-java"},
    "events": {"embedded", "redis"},
    "graph": {"sqlite", "postgresql", "neo4j"},
    "relational": {"sqlite", "postgresql"},
    "series": {"sqlite", "postgresql", "timescaledb"},
    "vault": {"sqlite", "postgresql", "key-file", "kms"},
}
"""Each port's adapters, and the servers that they are tried on: the gate fails where one has no test."""
ADAPTERS = set().union(*PORTS.values())
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


def where_of(item: pytest.Item) -> tuple[str, list[str]] | None:
    """The port and the adapters that a contract test is of."""
    for name, where in item.user_properties:
        if name == _PROPERTY:
            port, _, adapters = str(where).partition("|")
            return port, adapters.split(" + ")
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table where a contract suite ran."""
    counts = _counts(terminalreporter)
    rows = sorted({where for where, _ in counts})
    if not rows:
        return
    terminalreporter.section("contract suites: port, adapter, tests")
    for where in rows:
        port, adapter = where.split("|")
        told = ", ".join(f"{counts[where, o]} {o}" for o in _OUTCOMES if counts[where, o])
        terminalreporter.write_line(f"{port:<11} {adapter:<23} {told}")
    for port, adapter in sorted(_untried(terminalreporter)):
        terminalreporter.write_line(f"{port:<11} {adapter:<23} NO TEST PASSED", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the gate an adapter on which nothing passed is a failure, whatever else did."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter) and _untried(reporter) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _counts(terminalreporter: pytest.TerminalReporter) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in _OUTCOMES:
        for report in terminalreporter.stats.get(outcome, ()):
            for name, where in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    counts[where, outcome] += 1
    return counts


def _untried(terminalreporter: pytest.TerminalReporter) -> set[tuple[str, str]]:
    """Where servers are required: the adapters of the ports of this run on which no test passed."""
    is_selection = terminalreporter.config.option.keyword or terminalreporter.config.option.collectonly
    if not os.environ.get("STADION_TEST_REQUIRE_SERVERS") or is_selection:
        return set()
    counts = _counts(terminalreporter)
    passed = {where for where, outcome in counts if outcome == "passed"}
    tried = {(where.split("|")[0], each) for where in passed for each in where.split("|")[1].split(" + ")}
    ports = {where.split("|")[0] for where, _ in counts}
    return {(port, each) for port in ports for each in PORTS[port]} - tried
