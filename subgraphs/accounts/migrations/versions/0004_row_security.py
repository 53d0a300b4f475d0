"""Row-level security on PostgreSQL: what requests are shown of accounts, by whose they are.

Log-in, refresh and administration prove themselves by their own rules, and run as the tables' owner.
"""

from subgraphs.kit.row_fence import lay_fence, reachable, take_fence

revision = "0004"
down_revision = "0003"

_ADMINISTERED = "SECURITY:events"
_NOBODY = "false"
_SHOWN = {
    "accounts_users": reachable("id", by_strangers=(_ADMINISTERED, "PERSONAL:contact")),
    "accounts_role_assignments": reachable("user_id", acting=("granted_by",), by_strangers=(_ADMINISTERED,)),
    "accounts_devices": reachable("user_id", by_strangers=(_ADMINISTERED,)),
    "accounts_members": reachable("user_id", by_strangers=(_ADMINISTERED,)),
    "accounts_organisations": "true",
    # Whoever is something to somebody has still no business with their sessions.
    "accounts_sessions": reachable(acting=("user_id",)),
    "accounts_log_in_failures": _NOBODY,
    "accounts_used_proofs": _NOBODY,
}


def upgrade() -> None:
    lay_fence(_SHOWN)


def downgrade() -> None:
    take_fence(list(_SHOWN))
