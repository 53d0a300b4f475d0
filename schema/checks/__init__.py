"""What a change of the schema breaks: for clients in general, and for the operations that are registered."""

from schema.checks.changes import SchemaVersion, compare, compare_versions, read_version
from schema.checks.model import Change, Impact
from schema.checks.operations import BrokenOperation, Operation, broken_operations

__all__ = [
    "BrokenOperation",
    "Change",
    "Impact",
    "Operation",
    "SchemaVersion",
    "broken_operations",
    "compare",
    "compare_versions",
    "read_version",
]
