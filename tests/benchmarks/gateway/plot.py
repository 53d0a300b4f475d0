"""The figures as a picture: CPU a request for each scenario and gateway, on a logarithmic axis, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

COLOURS = {
    "stadion": "#0b7a4b",
    "grafbase": "#b5651d",
    "hive-rust": "#8a6fb3",
    "hive": "#c3b1e1",
    "apollo": "#7a8a99",
    "relay": "#d4d4d4",
    "stadion, trusting": "#4fae83",
}
_LEFT, _WIDTH, _BAR, _GAP = 110, 560, 12, 14


def bars(cpu_ms: Mapping[tuple[str, str], float], title: str) -> str:
    """The picture. `cpu_ms` by scenario and gateway, in the order to be drawn."""
    low = 10 ** math.floor(math.log10(min(cpu_ms.values())))
    high = 10 ** math.ceil(math.log10(max(cpu_ms.values())))
    span = math.log10(high / low)

    def x(value: float) -> float:
        return _LEFT + _WIDTH * math.log10(value / low) / span

    drawn, y, scenario_before = [], 46.0, ""
    for (scenario, gateway), value in cpu_ms.items():
        if scenario != scenario_before:
            y += _GAP
            drawn.append(f'<text x="8" y="{y + _BAR - 2}">{escape(scenario)}</text>')
            scenario_before = scenario
        width = max(x(value) - _LEFT, 1)
        drawn.append(
            f'<rect x="{_LEFT}" y="{y:.0f}" width="{width:.1f}" height="{_BAR - 2}"'
            f' fill="{COLOURS[gateway]}"/>'
            f'<text x="{_LEFT + width + 4:.1f}" y="{y + _BAR - 3}" class="s">{gateway} {value:.3g} ms</text>'
        )
        y += _BAR
    lines = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = x(10.0**power)
        lines.append(
            f'<line x1="{at:.1f}" y1="40" x2="{at:.1f}" y2="{y + 4:.0f}" stroke="#ddd"/>'
            f'<text x="{at:.1f}" y="36" text-anchor="middle" class="s">{10.0**power:g}</text>'
        )
    height = y + 16
    style = "text{font:12px sans-serif;fill:#222}.s{font-size:10px;fill:#555}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 130}" height="{height:.0f}">'
        f"<title>{escape(title)}</title><style>{style}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/><text x="8" y="18">{escape(title)}</text>'
        + "".join(lines + drawn)
        + "</svg>\n"
    )
