"""Values shortened as a decision's mask demands; pure, for the resolvers of fields that offer the mask.

`trimmed` (a track without its ends) and `summary` (an activity without its details) belong to the domain
that owns the value.
"""

from __future__ import annotations

import datetime as dt
import math

HIDDEN = "•"
SHOWN_LAST = 4


def last_four(value: str) -> str:
    """The last four characters after one sign for all others; nothing of a value of eight or fewer."""
    # Four of eight would be half of it: short values are hidden whole.
    return HIDDEN + value[-SHOWN_LAST:] if len(value) > 2 * SHOWN_LAST else HIDDEN


def initials(name: str) -> str:
    """The first letter of each of the first three words, as in `A. B.`; empty for an empty name."""
    return " ".join(f"{word[0].upper()}." for word in name.split()[:3])


def year_of_birth(born: dt.date) -> dt.date:
    """The first of January of that year: still a date, and no longer a birthday."""
    return dt.date(born.year, 1, 1)


def rounded(value: float, *, digits: int = 2) -> float:
    """The value with so many significant digits: 63.7 kg becomes 64.0. Not a number stays what it is."""
    if value == 0 or not math.isfinite(value):
        return value
    return float(round(value, digits - 1 - math.floor(math.log10(abs(value)))))
