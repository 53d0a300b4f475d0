"""Every algorithm that a number may name, in one list. A change of results is a new version."""

from __future__ import annotations

from subgraphs.training.model import Algorithm

MOVING_TIME = Algorithm(
    "moving-time.speed-gate", 1, "time in which speed is at or above the sport's gate; gaps over 300 s rest"
)
TIMER_TIME = Algorithm(
    "moving-time.recorded", 1, "time between samples less than 30 s apart; no speed is known"
)
DISTANCE_DEVICE = Algorithm("distance.device", 1, "the device's own total")
DISTANCE_TRACK = Algorithm(
    "distance.haversine", 1, "sum of great-circle steps, Earth radius 6 371 008.8 m (IUGG mean)"
)
ASCENT_DEVICE = Algorithm("ascent.device", 1, "the device's own total")
ASCENT_TRACK = Algorithm("ascent.hysteresis", 1, "sum of rises past a dead band (3 m barometer, 10 m GPS)")
MEAN = Algorithm("mean.samples", 1, "arithmetic mean over the samples that have the value")
TIME_MEAN = Algorithm(
    "mean.recorded-seconds", 1, "arithmetic mean over recorded seconds, interpolated to 1 Hz"
)
MAXIMUM = Algorithm("maximum.samples", 1, "largest sample")
NORMALISED_POWER = Algorithm(
    "normalised-power.coggan", 1, "Coggan: fourth root of the mean fourth power of the 30 s rolling mean"
)
INTENSITY_FACTOR = Algorithm("intensity-factor.coggan", 1, "Coggan: normalised power / FTP")
TSS = Algorithm("tss.coggan", 1, "Coggan: hours · IF² · 100")
VARIABILITY = Algorithm("variability-index.coggan", 1, "normalised power / mean power")
EFFICIENCY = Algorithm("efficiency-factor.friel", 1, "Friel: normalised power / mean heart rate")
WORK = Algorithm("work.integral", 1, "sum of power over recorded time")
TRIMP = Algorithm("trimp.banister", 1, "Banister/Morton: Σ min · ΔHR · 0.64 · e^(1.92 · ΔHR)")
HR_TSS = Algorithm("hr-tss.trimp-scaled", 1, "Banister TRIMP scaled so that one hour at LTHR is 100")
LOAD = Algorithm("load.best-known", 1, "TSS by power, else TSS by heart rate")
BEST_POWER = Algorithm("mean-max-power.prefix-sums", 1, "largest mean over the window, gaps are not bridged")
BEST_DISTANCE = Algorithm(
    "best-distance.two-pointer", 1, "least time over the distance, interpolated at both ends"
)
PMC = Algorithm("pmc.banister-coggan", 1, "exponential averages, 42 d and 7 d; TSB from the evening before")
