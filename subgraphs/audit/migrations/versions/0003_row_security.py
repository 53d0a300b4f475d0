"""Row-level security on PostgreSQL: records for whom they are about, who acted, and administrators.

The settings of a request name its caller by pseudonym here.
"""

from alembic import op

from subgraphs.kit.row_fence import lay_fence, reachable, take_fence

revision = "0003"
down_revision = "0002"

_REVIEWED = ("AUDIT:review", "AUDIT:write", "role:administrator", "role:service")
_RECORD = "EXISTS (SELECT 1 FROM audit_records AS record WHERE record.{} = pseudonym)"
_SHOWN = {
    "audit_records": reachable("target", acting=("actor", "on_behalf_of"), by_strangers=_REVIEWED),
    "audit_checkpoints": reachable(acting=(), by_strangers=_REVIEWED),
    "audit_head": reachable(acting=(), by_strangers=_REVIEWED),
    # Whom a pseudonym stands for, as far as a record shows it.
    "audit_subjects": " OR ".join(_RECORD.format(name) for name in ("target", "actor", "on_behalf_of")),
    "audit_erased": "false",
}


def upgrade() -> None:
    op.create_index("audit_records_on_behalf_of", "audit_records", ["on_behalf_of", "number"])
    lay_fence(_SHOWN)


def downgrade() -> None:
    take_fence(list(_SHOWN))
    op.drop_index("audit_records_on_behalf_of", "audit_records")
