"""Figures of many rounds → tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TypeAlias

Results: TypeAlias = dict[tuple[str, str], list[dict[str, float]]]
"""By scenario and gateway, the figures of each round."""


def medians(results: Results) -> dict[tuple[str, str], dict[str, float]]:
    """Each figure's median over the rounds; wrong answers are added up."""
    found = {}
    for key, rounds in results.items():
        found[key] = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        found[key]["wrong"] = sum(one["wrong"] for one in rounds)
    return found


def table(results: Results) -> str:
    """One line a scenario and gateway; `× ours` is the gateway's CPU as a multiple of ours."""
    columns = ("scenario", "gateway", "CPU ms/req", "× ours", "req/s", "p50 ms", "p99 ms", "RSS MiB",
               "longest stall ms", "fetches/req", "wrong")  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    found = medians(results)
    for (scenario, gateway), m in found.items():
        ours = found.get((scenario, "stadion"), m)["cpu_ms"]
        lines.append(
            f"| {scenario} | {gateway} | {m['cpu_ms']:.3f} | {m['cpu_ms'] / max(ours, 1e-6):.1f} | "
            f"{m['rps']:.0f} | {m['p50_ms']:.1f} | {m['p99_ms']:.1f} | {m['rss_mib']:.0f} | "
            f"{'–' if math.isnan(m['stall_ms']) else round(m['stall_ms'])} | "
            f"{m['fetches']:.2f} | {m['wrong']:.0f} |"
        )
    return "\n".join(lines)


def start_table(seconds: Mapping[tuple[str, str], list[float]]) -> str:
    """From a start to the first answer, one line a graph and gateway."""
    lines = ["| graph | gateway | first answer after s (median, least, most) |", "|---|---|---|"]
    for (graph, gateway), each in seconds.items():
        lines.append(
            f"| {graph} | {gateway} | {statistics.median(each):.2f}, {min(each):.2f}, {max(each):.2f} |"
        )
    return "\n".join(lines)
