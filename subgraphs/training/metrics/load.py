"""The performance management chart: fitness, fatigue and form as a fold over days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from subgraphs.training.model import DailyLoad

DAYS_MAX = 3660


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Time constants in days, and where fitness and fatigue begin before the first activity."""

    ctl_days: float = 42.0
    atl_days: float = 7.0
    ctl_seed: float = 0.0
    atl_seed: float = 0.0


def daily_loads(
    loads: Mapping[date, tuple[float, int]], first: date, last: date, *, model: LoadModel | None = None
) -> list[DailyLoad]:
    """Every day from `first` to `last`, folded from the first day that `loads` has.

    `loads` gives a day's summed load and how many activities have none (they count as 0 and are flagged).
    CTL_d = CTL_{d-1} + (L_d - CTL_{d-1})(1 - e^(-1/42)); ATL with 7; TSB_d = CTL_{d-1} - ATL_{d-1}.
    Worked: one day of 100 from nothing gives CTL 2.353, ATL 13.312, TSB 0, and the day after TSB -10.959.
    """
    chosen = model or LoadModel()
    gain_ctl = 1.0 - math.exp(-1.0 / chosen.ctl_days)
    gain_atl = 1.0 - math.exp(-1.0 / chosen.atl_days)
    day = min([first, *loads])
    ctl, atl = chosen.ctl_seed, chosen.atl_seed
    chart: list[DailyLoad] = []
    while day <= last:
        load, unknown = loads.get(day, (0.0, 0))
        form = ctl - atl
        ctl += (load - ctl) * gain_ctl
        atl += (load - atl) * gain_atl
        if day >= first:
            chart.append(DailyLoad(day=day, load=load, ctl=ctl, atl=atl, tsb=form, unknown=unknown))
        day += timedelta(days=1)
    return chart
