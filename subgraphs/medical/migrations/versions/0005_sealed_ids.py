"""The id that a hospital gave a resource: sealed, beside a keyed hash by which it is found.

No revision has the keys: until `resource_ids.seal_all` has been there, a row without the sealed id has the id
itself in `fhir_id`, and after it the hash. The version before runs on, and shows hashes for such rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("medical_resources", sa.Column("sealed_fhir_id", sa.LargeBinary()))


def downgrade() -> None:
    """Ids are put back in clear before, by `resource_ids.open_all`."""
    with op.batch_alter_table("medical_resources") as table:
        table.drop_column("sealed_fhir_id")
