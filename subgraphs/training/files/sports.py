"""The words that devices and apps use for sports, and ours."""

from __future__ import annotations

from collections.abc import Mapping

from subgraphs.training.model import Sport

# FIT's `sport` and `sub_sport`, GPX's `<type>`, TCX's `Sport`, all in lower case with underscores.
WORDS: Mapping[str, Sport] = {
    "running": Sport.RUNNING,
    "run": Sport.RUNNING,
    "trail_running": Sport.RUNNING,
    "treadmill_running": Sport.RUNNING,
    "street_running": Sport.RUNNING,
    "track_running": Sport.RUNNING,
    "virtual_run": Sport.RUNNING,
    "9": Sport.RUNNING,
    "cycling": Sport.CYCLING,
    "biking": Sport.CYCLING,
    "ride": Sport.CYCLING,
    "e_biking": Sport.CYCLING,
    "road_biking": Sport.CYCLING,
    "mountain_biking": Sport.CYCLING,
    "gravel_cycling": Sport.CYCLING,
    "indoor_cycling": Sport.CYCLING,
    "virtual_ride": Sport.CYCLING,
    "1": Sport.CYCLING,
    "swimming": Sport.SWIMMING,
    "swim": Sport.SWIMMING,
    "lap_swimming": Sport.SWIMMING,
    "open_water": Sport.SWIMMING,
    "open_water_swimming": Sport.SWIMMING,
    "walking": Sport.WALKING,
    "walk": Sport.WALKING,
    "hiking": Sport.HIKING,
    "hike": Sport.HIKING,
    "mountaineering": Sport.HIKING,
    "rowing": Sport.ROWING,
    "indoor_rowing": Sport.ROWING,
    "strength_training": Sport.STRENGTH,
    "cross_country_skiing": Sport.SKIING,
    "alpine_skiing": Sport.SKIING,
    "backcountry_skiing": Sport.SKIING,
    "fitness_equipment": Sport.FITNESS,
    "training": Sport.FITNESS,
    "cardio_training": Sport.FITNESS,
    "yoga": Sport.FITNESS,
    "hiit": Sport.FITNESS,
    "transition": Sport.TRANSITION,
}


def sport_of(*words: object) -> Sport:
    """The sport that the first known word means, most specific word first; OTHER where none is known."""
    for word in words:
        spelt = str(word or "").strip().lower().replace(" ", "_").replace("-", "_")
        if spelt in WORDS:
            return WORDS[spelt]
    return Sport.OTHER
