"""Fixtures that every test may use, and the table of contract suites at the end of a run."""

from tests.kit_datastores.port_table import (
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_make_parametrize_id",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: what is compressed or sealed differs between workers, and then xdist,
    which compares the names of their tests, runs none."""
    return f"{argname}-{len(val)}B" if isinstance(val, bytes) else None
