"""The file that an activity came in, and a link by which it may be read for a while."""

from __future__ import annotations

import datetime as dt

import strawberry
from sqlalchemy import Connection

from authz.classes import DataClass
from subgraphs.kit import RowAccess, classified, shown_whole
from subgraphs.training.access import TRIMMED
from subgraphs.training.graph.context import TrainingContext
from subgraphs.training.imports import blob_key
from subgraphs.training.model import Activity
from subgraphs.training.ports import OriginalFile
from subgraphs.training.store.activities import KeptFile, kept_file

HELD = (DataClass.TRAINING, DataClass.LOCATION, DataClass.WELLNESS)
"""What a file holds, none of it shortened: only who may read the whole of each gets a link to it."""
ABOUT_A_FILE = classified(DataClass.LOCATION, masks={TRIMMED: shown_whole})
"""Of `Activity.originalFile`: what is told of a file beside the link shortens no track."""


@classified(DataClass.LOCATION)
@strawberry.type(name="OriginalFile", description="A file as it was uploaded, and where to read it.")
class OriginalFileType:
    """It has everything: places to the metre, every heart beat, the device's serial number."""

    name: str | None = strawberry.field(description="What its owner called it.")
    format: str | None = strawberry.field(description="`FIT`, `GPX` or `TCX`, with `.GZ` where it is packed.")
    size_bytes: int | None
    sha256: str | None = strawberry.field(description="In hex.")
    download_url: str | None = strawberry.field(
        description="For GET and HEAD with ranges, without a token; relative to this endpoint's address. It"
        " ends with `validUntil`, with the session that asked, and with the right to read the file. Null for"
        " who may not read the whole of its training, places and heart."
    )
    valid_until: dt.datetime | None = strawberry.field(description="When to ask for a new link.")


async def original_of(context: TrainingContext, row: Activity, access: RowAccess) -> OriginalFileType | None:
    """The file of an activity, None for one made by hand; with a link for who may read all that is in it."""
    sha256 = row.file_sha256
    if sha256 is None:
        return None
    questions = [access.question(data_class, "read") for data_class in HELD]
    answers = await context.decisions.decide(questions)
    whole = all(each.allowed and each.mask is None for each in answers)

    def work(connection: Connection) -> KeptFile | None:
        return kept_file(connection, row.athlete_id, sha256)

    kept = await context.in_one_hop(work)
    if kept is None:
        return None
    name = kept.name or f"activity.{kept.format.lower()}"
    file = OriginalFile(blob_key(row.athlete_id, sha256), name, sha256)
    made = None
    if whole and context.ports.links is not None:
        made = await context.ports.links(context.subject, file, questions, now=context.ports.clock())
    return OriginalFileType(
        name=kept.name,
        format=kept.format,
        size_bytes=kept.size_bytes,
        sha256=sha256,
        download_url=None if made is None else made.url,
        valid_until=None if made is None else made.valid_until_utc,
    )
