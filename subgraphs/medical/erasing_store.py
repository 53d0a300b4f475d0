"""Everything of one person out of medical's rows."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from subgraphs.medical.tables import care_team, clearances, codes, consents, label_sets, resources


def delete_person(connection: Connection, user_id: str) -> None:
    """A patient's record, clearances, consents and care team; a practitioner's places in others' teams."""
    of_patient = sa.select(resources.c.id).where(resources.c.patient_id == user_id)
    connection.execute(sa.delete(codes).where(codes.c.resource_id.in_(of_patient)))
    for table in (resources, label_sets, clearances, consents, care_team):
        connection.execute(sa.delete(table).where(table.c.patient_id == user_id))
    connection.execute(sa.delete(care_team).where(care_team.c.practitioner_id == user_id))
