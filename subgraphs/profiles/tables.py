"""Profiles' tables, as `store.py` queries them; the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

from datastores.relational.columns import UtcDateTime

metadata = sa.MetaData()

profiles = sa.Table(
    "profiles_profiles",
    metadata,
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
coach_links = sa.Table(
    "profiles_coach_links",
    metadata,
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
)
guardianships = sa.Table(
    "profiles_guardianships",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("minor_id", sa.String(36), nullable=False),
    sa.Column("guardian_id", sa.String(36), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("evidence", sa.String(1000), nullable=False),
    sa.Column("contested", sa.Boolean(), nullable=False),
    sa.Column("restricted_until", sa.Date()),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("decided_by", sa.String(36)),
    sa.Column("valid_from_utc", UtcDateTime()),
    sa.Column("valid_until_utc", UtcDateTime()),
    sa.Column("version", sa.Integer(), nullable=False),
)
