"""Samples and rollups by series. PostgreSQL: samples in a hypertable, or in native partitions by month."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# 30 days: a person's year in a dozen pieces, and letting go of old samples is dropping a table.
CHUNK_MS = 30 * 24 * 3_600_000


def upgrade() -> None:
    op.create_table(
        "series_names",
        sa.Column("key", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
    )
    op.create_table(
        "series_rollups",
        sa.Column("width_ms", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("key", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("start_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("total", "low", "high")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series_horizon",
        sa.Column("kept", sa.String(20), primary_key=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
    )
    connection = op.get_bind()
    timescaledb = None if connection.dialect.name == "sqlite" else _schema_of_timescaledb(connection)
    if connection.dialect.name == "sqlite":
        op.create_table("series_samples", *_sample_columns(), sqlite_with_rowid=False)
    elif timescaledb is not None:
        op.create_table("series_samples", *_sample_columns())
        op.execute(
            f"SELECT {timescaledb}.create_hypertable('series_samples', 'at_ms',"
            f" create_default_indexes => false, chunk_time_interval => {CHUNK_MS}::bigint)"
        )
    else:
        op.create_table("series_samples", *_sample_columns(), postgresql_partition_by="RANGE (at_ms)")


def _sample_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("key", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("value", sa.Double(), nullable=False),
    ]


def _schema_of_timescaledb(connection: sa.Connection) -> str | None:
    """Where the extension's functions are; None without it. Making it is the administrator's decision."""
    query = sa.text(
        "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = 'timescaledb'"
    )
    return connection.execute(query).scalar()


def downgrade() -> None:
    for table in ("series_samples", "series_rollups", "series_horizon", "series_names"):
        op.drop_table(table)
