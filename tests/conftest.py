"""Fixtures that every test may use, and the table of contract suites at the end of a run."""

from tests.kit_datastores.port_table import pytest_collection_modifyitems, pytest_terminal_summary

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary"]
