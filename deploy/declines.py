"""The metric of what compiled selections of subgraphs leave to the ordinary execution, for a scrape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from router.telemetry import instruments
from subgraphs.kit import Subgraph

declined_count: Final = instruments.counter(
    "stadion.subgraph.selection.declined",
    "objects that a compiled selection left to field by field, because a value is denied, masked or odd"
    " (`declined`) or over a fault",
    labels=("subgraph", "type", "reason"),
)


def count_declines(subgraphs: Iterable[Subgraph[Any]]) -> None:
    """Have these subgraphs count there."""
    for subgraph in subgraphs:
        subgraph.declines.metric = _count


def _count(subgraph: str, type_name: str, reason: str) -> None:
    declined_count.add(1, {"subgraph": subgraph, "type": type_name, "reason": reason})
