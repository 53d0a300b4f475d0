"""Row-level security on PostgreSQL: profiles for their circles, links and guardianships for their ends."""

from subgraphs.kit.row_fence import lay_fence, opened, reachable, take_fence

revision = "0003"
down_revision = "0002"

_OF_A_LINK = (
    "EXISTS (SELECT 1 FROM profiles_coach_links AS link"
    " WHERE link.athlete_id = user_id OR link.coach_id = user_id)"
)
_SHOWN = {
    "profiles_coach_links": reachable(
        "athlete_id", "coach_id", by_strangers=("PERSONAL:read", "role:service")
    ),
    "profiles_guardianships": reachable(
        "minor_id", "guardian_id", by_strangers=("PERSONAL:guardianship", "role:service")
    ),
    # Both ends of a link, which is fenced itself, know each other by name.
    "profiles_profiles": " OR ".join(
        [
            reachable("user_id", by_strangers=("PERSONAL:read", "role:moderator", "role:service")),
            f"(name_visibility = 'everyone' AND {opened('PERSONAL:name')})",
            f"(details_visibility = 'everyone' AND {opened('SOCIAL:read')})",
            _OF_A_LINK,
        ]
    ),
}


def upgrade() -> None:
    lay_fence(_SHOWN)


def downgrade() -> None:
    take_fence(list(_SHOWN))
