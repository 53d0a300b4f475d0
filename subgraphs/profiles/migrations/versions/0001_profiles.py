"""Profiles with their settings, and coach links."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "profiles_profiles",
        sa.Column("user_id", sa.String(36), primary_key=True),
        sa.Column("display_name", sa.String(80), nullable=False),
        sa.Column("birth_date", sa.Date()),
        sa.Column("sex", sa.String(10)),
        sa.Column("height_m", sa.Float()),
        sa.Column("home_region", sa.String(6)),
        sa.Column("locale", sa.String(20), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("units", sa.String(10), nullable=False),
        sa.Column("name_visibility", sa.String(10), nullable=False),
        sa.Column("details_visibility", sa.String(10), nullable=False),
        sa.Column("week_starts_on", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_table(
        "profiles_coach_links",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("athlete_id", sa.String(36), nullable=False),
        sa.Column("coach_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("message", sa.String(500), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_from_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_until_utc", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("athlete_id <> coach_id", name="profiles_coach_links_not_self"),
    )
    going = sa.text("state <> 'ENDED'")
    # One link at a time between two people: the second of two invitations at once is a Conflict.
    op.create_index(
        "profiles_coach_links_going",
        "profiles_coach_links",
        ["athlete_id", "coach_id"],
        unique=True,
        sqlite_where=going,
        postgresql_where=going,
    )
    op.create_index("profiles_coach_links_athlete", "profiles_coach_links", ["athlete_id"])
    op.create_index("profiles_coach_links_coach", "profiles_coach_links", ["coach_id"])


def downgrade() -> None:
    op.drop_table("profiles_coach_links")
    op.drop_table("profiles_profiles")
