"""The chain, its checkpoints and head, and what its pseudonyms stand for."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("audit_records", "audit_checkpoints")


def upgrade() -> None:
    op.create_table(
        "audit_records",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("subgraph", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(32)),
        sa.Column("on_behalf_of", sa.String(32)),
        sa.Column("client", sa.String(200)),
        sa.Column("session", sa.String(32)),
        sa.Column("purpose", sa.String(10)),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(32)),
        sa.Column("data_class", sa.String(30)),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("rule", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("audit_records_id", "audit_records", ["id"], unique=True)
    op.create_index("audit_records_event", "audit_records", ["event_id", "entry"], unique=True)
    op.create_index("audit_records_target", "audit_records", ["target", "number"])
    op.create_index("audit_records_actor", "audit_records", ["actor", "number"])
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("chain", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
    )
    op.create_table(
        "audit_subjects",
        sa.Column("pseudonym", sa.String(32), primary_key=True),
        sa.Column("user_id", sa.String(200), nullable=False),
    )
    _forbid_changes()


def _forbid_changes() -> None:
    """The program only appends; a change by it would be a mistake, and is refused by the database."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def downgrade() -> None:
    for table in ("audit_records", "audit_checkpoints", "audit_head", "audit_subjects"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")
