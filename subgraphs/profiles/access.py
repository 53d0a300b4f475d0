"""Whose profiles' rows a Subject may see: a coach link belongs to both its ends, and to nobody else."""

from __future__ import annotations

from dataclasses import dataclass

from authz.classes import DataClass, Purpose, Visibility
from authz.identity.subject import Subject
from subgraphs.kit import RowAccess
from subgraphs.profiles.model import CoachLink, Profile


@dataclass(frozen=True, slots=True)
class LinkFilter:
    """Which links a caller sees: those of `participant_id`; None sees none."""

    participant_id: str | None


def links_seen_by(subject: Subject) -> LinkFilter:
    """The filter of a caller."""
    return LinkFilter(subject.id)


def link_owner(link: CoachLink, subject: Subject) -> str:
    """Whose a link is when `subject` looks at it: their own at either end, the athlete's for all others."""
    return subject.id if subject.id is not None and link.participant(subject.id) else link.athlete_id


def profile_access(
    profile: Profile, data_class: DataClass, action: str, *, purpose: Purpose | None
) -> RowAccess:
    """A profile's parts have different circles: its name, and what it tells besides."""
    shows_name = data_class is DataClass.PERSONAL and action == "name"
    visibility = profile.name_visibility if shows_name else profile.details_visibility
    # Private is what no level means, and lets all private rows share one decision.
    return RowAccess(
        owner_id=profile.user_id,
        purpose=purpose,
        visibility=None if visibility is Visibility.PRIVATE else visibility,
    )
