"""Row-level security by a role of this database alone: the role before it was shared by a whole server.

That one keeps its rights while the version before this one still runs.
"""

from subgraphs.kit.row_fence import make_role

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    make_role()


def downgrade() -> None:
    """The role stays: other schemas of the database may use it."""
