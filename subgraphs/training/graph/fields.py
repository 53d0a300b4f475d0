"""Field decorators of this domain: what each says about its class, in one word."""

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
ROUNDABLE = classified(DataClass.WELLNESS, masks={ROUNDED: lambda rate: rate.rounded()})


def in_summary(description: str | None = None) -> Any:
    """A plain value that the view `summary` shows."""
    return strawberry.field(description=description, directives=[IN_SUMMARY])


def summary_field() -> Decorated:
    """A resolver whose value the view `summary` shows."""
    return cast(Decorated, strawberry.field(directives=[IN_SUMMARY]))


def location_field() -> Decorated:
    """A resolver of a Track, which is trimmed where the policy says so."""
    return cast(Decorated, strawberry.field(directives=[TRIMMABLE]))


def wellness_field() -> Decorated:
    """A resolver of a HeartRate, which is rounded where the policy says so."""
    return cast(Decorated, strawberry.field(directives=[ROUNDABLE]))


def authenticated_field() -> Decorated:
    """A root field for callers who have logged in."""
    return cast(Decorated, strawberry.federation.field(authenticated=True))


def authenticated_subscription() -> Decorated:
    """A stream for callers who have logged in."""
    return cast(Decorated, strawberry.subscription(directives=[Authenticated()]))
