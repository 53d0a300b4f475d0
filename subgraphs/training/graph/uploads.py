"""Uploads past this program: a link for just these bytes, and their import once they have come."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

import strawberry
from sqlalchemy import Connection

from authz.classes import DataClass
from datastores.errors import NotFound
from subgraphs.kit import PublicError, UserError, binding, classified, resolved
from subgraphs.training.graph import roots
from subgraphs.training.graph.types import Info
from subgraphs.training.imports import ImportState, blob_key, import_content
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store.activities import kept_file

VALID_S = 900
_SHA256 = re.compile(r"[0-9a-f]{64}")


@strawberry.input
class PrepareUploadInput:
    """The file that will come: no other is taken by the link."""

    size_bytes: int
    sha256: str = strawberry.field(description="Of the whole file, 64 hex digits.")


@strawberry.input
class ImportUploadInput:
    """What came by a link."""

    upload_id: strawberry.ID
    sha256: str = strawberry.field(description="As it was prepared.")


@classified(DataClass.PUBLIC)
@strawberry.type(description="A header to send with an upload, exactly so.")
class UploadHeader:
    """One header."""

    name: str
    value: str


@classified(DataClass.PUBLIC)
@strawberry.type(description="Where to put a file by one HTTP PUT, without a token.")
class UploadPlace:
    """One place for one file."""

    id: strawberry.ID
    url: str = strawberry.field(description="Relative to this endpoint's address, or a bucket's.")
    headers: list[UploadHeader]
    valid_until: dt.datetime


@classified(DataClass.PUBLIC)
@strawberry.type(description="The place, or what was wrong.")
class PrepareUploadPayload:
    """Of `prepareActivityUpload`."""

    place: UploadPlace | None
    user_errors: list[UserError]


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation(roots.Mutation):
    """Writes, also of files that come by a link."""

    @resolved(authenticated=True)
    async def prepare_activity_upload(
        self, info: Info, input: Annotated[PrepareUploadInput, roots.SETTING]
    ) -> PrepareUploadPayload | None:
        """A link to upload one file by; `importUpload` takes it then. Nobody reads it in between."""
        context = info.context
        await roots.require_write(info, context.caller_id)
        ports, now = context.ports, context.ports.clock()
        if ports.links is None:
            raise PublicError("UNAVAILABLE", "files are taken by no link here: use `uploadActivityFile`")
        if wrong := _wrong(ports, input):
            return PrepareUploadPayload(place=None, user_errors=[wrong])
        made = await ports.blobs.upload_link(
            valid_s=VALID_S,
            size_bytes_max=ports.limits.file_bytes_max,
            size_bytes=input.size_bytes,
            sha256=input.sha256,
        )
        place = UploadPlace(
            id=strawberry.ID(context.cursors.cursor([made.id], bound_to=_holder(context.caller_id))),
            url=made.url,
            headers=[UploadHeader(name=name, value=value) for name, value in made.headers.items()],
            valid_until=now + dt.timedelta(seconds=VALID_S),
        )
        return PrepareUploadPayload(place=place, user_errors=[])

    @resolved(authenticated=True)
    async def import_upload(
        self, info: Info, input: Annotated[ImportUploadInput, roots.SETTING]
    ) -> roots.UploadActivityFilePayload | None:
        """Import what came by a link, as `uploadActivityFile` does."""
        athlete_id, ports = info.context.caller_id, info.context.ports
        await roots.require_write(info, athlete_id)
        content = await _accepted(info, athlete_id, input)
        if isinstance(content, UserError):
            return roots.UploadActivityFilePayload(
                activities=[], already_imported=False, warnings=[], user_errors=[content]
            )
        outcome = await import_content(ports, athlete_id, content)
        if outcome.state is ImportState.REFUSED:
            await _forget(ports, athlete_id, input.sha256)
        return roots.UploadActivityFilePayload.of(outcome)


def _wrong(ports: TrainingPorts, input: PrepareUploadInput) -> UserError | None:
    if not 0 < input.size_bytes <= ports.limits.file_bytes_max:
        told = f"a file has from 1 to {ports.limits.file_bytes_max} bytes"
        return UserError(code="BAD_SIZE", field="sizeBytes", message=told)
    if not _SHA256.fullmatch(input.sha256):
        return UserError(code="BAD_HASH", field="sha256", message="a SHA-256 is 64 lower-case hex digits")
    return None


def _holder(caller_id: str) -> str:
    """Whom the id of a place is made for: to others it is an id of nothing, whatever came."""
    return binding(caller_id, "Mutation.importUpload")


async def _accepted(info: Info, athlete_id: str, input: ImportUploadInput) -> bytes | UserError:
    """The bytes, kept under their key now; or why not."""
    ports, cursors = info.context.ports, info.context.cursors
    missing = UserError(code="NOT_FOUND", field="uploadId", message="nothing came by this link")
    if not _SHA256.fullmatch(input.sha256):
        return missing
    key, bytes_max = blob_key(athlete_id, input.sha256), ports.limits.file_bytes_max
    try:
        [upload_id] = cursors.sort_key(str(input.upload_id), bound_to=_holder(athlete_id))
        blob = await ports.blobs.accept(upload_id, key, size_bytes_max=bytes_max, sha256=input.sha256)
    except (NotFound, PublicError):
        return missing
    except ValueError:
        told = "what came is not what was prepared: prepare it again"
        return UserError(code="BAD_FILE", field="uploadId", message=told)
    return b"".join([chunk async for chunk in ports.blobs.get(blob.key)])


async def _forget(ports: TrainingPorts, athlete_id: str, sha256: str) -> None:
    """Remove bytes that were not imported, unless an earlier import keeps them."""

    def is_kept(connection: Connection) -> bool:
        return kept_file(connection, athlete_id, sha256) is not None

    async with ports.files_lock:
        if not await ports.relational.read(is_kept):
            await ports.blobs.delete(blob_key(athlete_id, sha256))
