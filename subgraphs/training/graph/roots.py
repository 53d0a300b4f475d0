"""Query, Mutation and Subscription: what a caller asks of the domain directly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import strawberry

from authz.classes import DataClass, Visibility
from datastores.errors import Conflict, NotFound
from subgraphs.kit import (
    PublicError,
    Upload,
    UploadedFile,
    UserError,
    classified,
    clean_text,
    not_found,
    resolved,
    ruled,
    sets,
)
from subgraphs.training import edits
from subgraphs.training.access import may_write, row_access, visible_rows
from subgraphs.training.events import ACTIVITY_ADDED
from subgraphs.training.files.problems import FileWarning
from subgraphs.training.graph.fields import authenticated_subscription
from subgraphs.training.graph.types import ActivityType, Info, visible_activity
from subgraphs.training.graph.values import ThresholdType
from subgraphs.training.graph.words import CreateActivityInput, SetThresholdInput, UpdateActivityInput
from subgraphs.training.imports import ImportOutcome, ImportState, import_content
from subgraphs.training.model import THRESHOLD_UNITS, Activity
from subgraphs.training.store.activities import by_ids

SETTING = strawberry.argument(metadata=sets(DataClass.TRAINING))
OF_A_VISIBLE_ROW = strawberry.argument(metadata=ruled(by="whoever may see the activity"))
OF_A_ROW_TO_WRITE = strawberry.argument(metadata=ruled(by="TRAINING write of the activity's athlete"))
OF_A_ROW_TO_DELETE = strawberry.argument(metadata=ruled(by="TRAINING delete of the activity's athlete"))
OF_SEEN_EVENTS = strawberry.argument(metadata=ruled(by="whoever may see the activity, at each event"))
NAME_CHARACTERS_MAX = 200
CHUNK_BYTES = 256 * 1024


@classified(DataClass.PUBLIC)
@strawberry.type(name="ImportWarning", description="What was not read, or not believed, of a file.")
class ImportWarningType:
    """One warning."""

    code: str
    message: str
    at: str | None

    @classmethod
    def of(cls, warning: FileWarning) -> ImportWarningType:
        """A warning of an import."""
        return cls(code=warning.code.value, message=warning.message, at=warning.at)


@classified(DataClass.PUBLIC)
@strawberry.type(description="What became of an uploaded file.")
class UploadActivityFilePayload:
    """All activities of the file; the same bytes again give the same ones."""

    activities: list[ActivityType]
    already_imported: bool
    warnings: list[ImportWarningType]
    user_errors: list[UserError]

    @classmethod
    def of(cls, outcome: ImportOutcome) -> UploadActivityFilePayload:
        """The payload of an import."""
        errors = []
        if outcome.state is ImportState.REFUSED:
            errors = [UserError(code=outcome.code or "", field="file", message=outcome.message or "")]
        return cls(
            activities=[ActivityType.of(each) for each in outcome.activities],
            already_imported=outcome.state is ImportState.ALREADY_THERE,
            warnings=[ImportWarningType.of(each) for each in outcome.warnings],
            user_errors=errors,
        )


@classified(DataClass.PUBLIC)
@strawberry.type(description="The activity as it is now, or what was wrong.")
class ActivityPayload:
    """Of `createActivity` and `updateActivity`."""

    activity: ActivityType | None
    user_errors: list[UserError]

    @classmethod
    def of(cls, result: Activity | list[edits.ValueRefused]) -> ActivityPayload:
        """The payload of an edit."""
        if isinstance(result, Activity):
            return cls(activity=ActivityType.of(result), user_errors=[])
        return cls(activity=None, user_errors=_errors(result))


@classified(DataClass.PUBLIC)
@strawberry.type(description="The id of what is gone.")
class DeleteActivityPayload:
    """Of `deleteActivity`."""

    deleted_id: strawberry.ID | None
    user_errors: list[UserError]


@classified(DataClass.PUBLIC)
@strawberry.type(description="The threshold as it is now, or what was wrong.")
class SetThresholdPayload:
    """Of `setThreshold`. The value is what the caller herself just gave."""

    threshold: ThresholdType | None = strawberry.field(directives=[classified(DataClass.TRAINING)])
    user_errors: list[UserError]
    owner_id: strawberry.Private[str]


def _errors(refused: Sequence[edits.ValueRefused]) -> list[UserError]:
    return [UserError(code=each.code, field=each.field, message=each.message) for each in refused]


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    """Reads."""

    @resolved(authenticated=True)
    async def activity(
        self, info: Info, id: Annotated[strawberry.ID, OF_A_VISIBLE_ROW]
    ) -> ActivityType | None:
        """An activity; NOT_FOUND for a missing, a hidden and a malformed id alike."""
        found = await visible_activity(info, str(id))
        if found is None:
            raise not_found()
        return found


async def require_write(info: Info, athlete_id: str, action: str = "write") -> None:
    """Errors: PublicError FORBIDDEN where the policy lets the caller not change this athlete's training."""
    if not await may_write(info.context.decisions, athlete_id, action=action):
        raise PublicError("FORBIDDEN", "not allowed to change this athlete's training")


async def _own_activity(info: Info, activity_id: str, action: str) -> Activity:
    found = await visible_activity(info, activity_id)
    if found is None:
        raise not_found()
    await require_write(info, found.row.athlete_id, action)
    return found.row


async def _content(file: UploadedFile, bytes_max: int) -> bytes:
    content = bytearray()
    while chunk := await file.read(CHUNK_BYTES):
        content += chunk
        if len(content) > bytes_max:
            raise PublicError("FILE_TOO_LARGE", f"the file has more than {bytes_max} bytes")
    return bytes(content)


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    """Writes; each to the caller's own training."""

    @resolved(authenticated=True)
    async def upload_activity_file(
        self, info: Info, file: Annotated[Upload, SETTING]
    ) -> UploadActivityFilePayload | None:
        """Import a FIT, GPX or TCX file, plain or gzipped. What can be read is read; the rest is told."""
        athlete_id, ports = info.context.caller_id, info.context.ports
        await require_write(info, athlete_id)
        if not isinstance(file, UploadedFile):
            raise PublicError("BAD_INPUT", "`file` takes a file of a multipart request")
        content = await _content(file, ports.limits.file_bytes_max)
        outcome = await import_content(ports, athlete_id, content, file_name=_plain(file.filename))
        return UploadActivityFilePayload.of(outcome)

    @resolved(authenticated=True)
    async def create_activity(
        self,
        info: Info,
        input: Annotated[CreateActivityInput, SETTING],
    ) -> ActivityPayload | None:
        """An activity by hand."""
        athlete_id = info.context.caller_id
        await require_write(info, athlete_id)
        draft = edits.Draft(
            sport=input.sport,
            started_at=input.started_at,
            elapsed_s=input.elapsed_s,
            moving_s=input.moving_s,
            distance_m=input.distance_m,
            ascent_m=input.ascent_m,
            name=_name(input.name),
            rpe=input.rpe,
            visibility=Visibility(input.visibility.value),
        )
        return ActivityPayload.of(await edits.create_activity(info.context.ports, athlete_id, draft))

    @resolved(authenticated=True)
    async def update_activity(
        self,
        info: Info,
        input: Annotated[UpdateActivityInput, OF_A_ROW_TO_WRITE],
    ) -> ActivityPayload | None:
        """Change sport, name, exertion or visibility; CONFLICT where `version` is not the current one."""
        row = await _own_activity(info, str(input.id), "write")
        name = _name(input.name or None)
        cleared = {"name": input.name is not strawberry.UNSET and name is None, "rpe": input.rpe is None}
        change = edits.Change(
            sport=input.sport,
            name=name,
            rpe=input.rpe if isinstance(input.rpe, int) else None,
            visibility=Visibility(input.visibility.value) if input.visibility is not None else None,
            clear=frozenset(each for each, empty in cleared.items() if empty),
        )
        ports = info.context.ports
        try:
            result = await edits.change_activity(ports, row.id, change, version=input.version)
        except Conflict:
            return await _conflict(info, row.id)
        except NotFound:
            raise not_found() from None
        return ActivityPayload.of(result)

    @resolved(authenticated=True)
    async def delete_activity(
        self, info: Info, id: Annotated[strawberry.ID, OF_A_ROW_TO_DELETE]
    ) -> DeleteActivityPayload | None:
        """Remove an activity with its streams, and its file when it was the last one of it."""
        row = await _own_activity(info, str(id), "delete")
        if not await edits.delete_activity(info.context.ports, row.id):
            raise not_found()
        return DeleteActivityPayload(deleted_id=id, user_errors=[])

    @resolved(authenticated=True)
    async def set_threshold(
        self,
        info: Info,
        input: Annotated[SetThresholdInput, SETTING],
    ) -> SetThresholdPayload | None:
        """A threshold from a day on; loads since then are computed anew."""
        athlete_id = info.context.caller_id
        await require_write(info, athlete_id)
        result = await edits.put_threshold(
            info.context.ports, athlete_id, input.kind, input.value, input.valid_from
        )
        if isinstance(result, list):
            return SetThresholdPayload(threshold=None, user_errors=_errors(result), owner_id=athlete_id)
        kept = ThresholdType(
            kind=result.kind,
            value=result.value,
            unit=THRESHOLD_UNITS[result.kind],
            valid_from=result.valid_from,
        )
        return SetThresholdPayload(threshold=kept, user_errors=[], owner_id=athlete_id)


async def _conflict(info: Info, activity_id: str) -> ActivityPayload:
    rows = await info.context.ports.relational.read(lambda store: by_ids(store, [activity_id]))
    if activity_id not in rows:
        raise not_found()
    current = rows[activity_id]
    message = f"the activity was changed since: its version is {current.version}"
    error = UserError(code="CONFLICT", field="version", message=message)
    return ActivityPayload(activity=ActivityType.of(current), user_errors=[error])


def _name(text: str | None) -> str | None:
    return clean_text(text, "name", characters_max=NAME_CHARACTERS_MAX) or None if text else None


def _plain(filename: str | None) -> str | None:
    """The last part of what the client calls its file; only shown, never opened."""
    if not filename:
        return None
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-NAME_CHARACTERS_MAX:] or None


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    """Streams."""

    @authenticated_subscription("Each new activity of an athlete that the caller may see then.")
    async def activity_added(
        self, info: Info, athlete_id: Annotated[strawberry.ID | None, OF_SEEN_EVENTS] = None
    ) -> AsyncIterator[ActivityType | None]:
        """Each new activity of an athlete (of oneself, without `athleteId`) that the caller may see then."""
        context = info.context
        athlete = str(athlete_id) if athlete_id is not None else context.caller_id
        if not (await visible_rows(context.decisions, athlete)).visibilities:
            raise not_found()
        return _added(info, athlete)


async def _added(info: Info, athlete_id: str) -> AsyncIterator[ActivityType | None]:
    stream = info.context.events.subscribe([ACTIVITY_ADDED], key=athlete_id)
    try:
        async for event in stream:
            row = await _readable_now(info, str(event.payload["activity_id"]))
            if row is not None:
                yield ActivityType.of(row)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


async def _readable_now(info: Info, activity_id: str) -> Activity | None:
    """The row, decided anew: what held when the stream began may have ended since."""
    rows = await info.context.ports.relational.read(lambda store: by_ids(store, [activity_id]))
    row = rows.get(activity_id)
    if row is None:
        return None
    question = row_access(row).question(DataClass.TRAINING, "read")
    [answer] = await info.context.decide_anew([question])
    return row if answer.allowed else None
