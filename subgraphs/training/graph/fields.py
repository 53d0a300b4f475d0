"""What this domain's fields say of their class beyond its name: how a shortened view shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import strawberry
from strawberry.federation.schema_directives import Authenticated

from authz.classes import DataClass
from subgraphs.kit import classified, shown_whole
from subgraphs.training.access import ROUNDED, SUMMARY, TRIMMED

Decorated: TypeAlias = Callable[[Callable[..., Any]], Any]

IN_SUMMARY = classified(DataClass.TRAINING, masks={SUMMARY: shown_whole})
"""Of a TRAINING field that a friend's shortened view shows too."""
TRIMMABLE = classified(DataClass.LOCATION, masks={TRIMMED: lambda track: track.trimmed()})
"""Of a Track, which loses its ends where the policy says so."""
ROUNDABLE = classified(DataClass.WELLNESS, masks={ROUNDED: lambda rate: rate.rounded()})
"""Of a HeartRate, which is rounded where the policy says so."""


def in_summary(description: str | None = None) -> Any:
    """A plain value that the view `summary` shows."""
    return strawberry.field(description=description, directives=[IN_SUMMARY])


def authenticated_subscription(description: str) -> Decorated:
    """A stream for callers who have logged in."""
    made = strawberry.subscription(description=description, directives=[Authenticated()])
    return cast(Decorated, made)
