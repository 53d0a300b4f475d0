"""Audit's types, and what a request loads of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from aiodataloader import DataLoader
from strawberry.types.info import Info

from authz.classes import Action, DataClass
from authz.question import DEFAULT_DENY, Decision, Question
from subgraphs.audit import store
from subgraphs.audit.audit_event import audit_event
from subgraphs.audit.events import SUBJECT, AuditLog
from subgraphs.audit.explaining import Explainer
from subgraphs.audit.model import AuditRecord as Row
from subgraphs.audit.store import RecordFilter
from subgraphs.kit import (
    JSON,
    Connection,
    CursorSigner,
    PageRequest,
    PublicError,
    PurposeOfUse,
    RequestContext,
    RowAccess,
    binding,
    classified,
    connection,
    page_request,
    resolved,
    wants_total,
)
from subgraphs.kit.absence import decide_as_if_hidden

NOT_THERE = Decision(False, DEFAULT_DENY)


@dataclass(kw_only=True)
class AuditContext(RequestContext):
    """One request to audit."""

    log: AuditLog
    explainer: Explainer
    cursors: CursorSigner
    records: DataLoader[str, Row | None]

    async def people(self, rows: list[Row]) -> Mapping[str, str]:
        """The users behind the pseudonyms of these records, those that were erased left out."""
        # Of no rows nobody is looked up: as long as somebody is.
        names = {name for row in rows for name in (row.actor, row.on_behalf_of, row.target) if name} or {""}
        return await self.log.relational.read(lambda c: store.user_ids(c, sorted(names)))


AuditInfo = Info[AuditContext, None]


@classified(DataClass.AUDIT)
@strawberry.federation.type(keys=["id"], description="Who touched whose protected fields, when and why.")
class AuditRecord:
    """A link of the chain, with people by the ids that were not erased."""

    id: strawberry.ID
    row_access: strawberry.Private[RowAccess]
    row: strawberry.Private[Row]
    known: strawberry.Private[Mapping[str, str]]

    @classmethod
    def of(cls, row: Row, people: Mapping[str, str]) -> AuditRecord:
        """The GraphQL object of a record: its target owns it, and its actor is who made it."""
        access = RowAccess(
            owner_id=None if row.target is None else people.get(row.target),
            created_by=None if row.actor is None else people.get(row.actor),
        )
        return cls(id=strawberry.ID(row.id), row_access=access, row=row, known=people)

    @resolved()
    def number(self) -> int | None:
        """Its place in the chain, from 1."""
        return self.row.number

    @resolved()
    def at(self) -> dt.datetime | None:
        """When it happened."""
        return self.row.at_utc

    @resolved()
    def actor(self) -> User | None:
        """Who acted; null for nobody who logged in, and for somebody erased."""
        return _user(self.row.actor, self.known)

    @resolved()
    def on_behalf_of(self) -> User | None:
        """Whose right the actor used, if not their own."""
        return _user(self.row.on_behalf_of, self.known)

    @resolved()
    def target(self) -> User | None:
        """Whose fields they were; null for nobody's, and for somebody erased."""
        return _user(self.row.target, self.known)

    @resolved()
    def client(self) -> str | None:
        """The program that was used, where it has a name of its own."""
        return self.row.client

    @resolved()
    def session(self) -> str | None:
        """A pseudonym of the session: the same for all that was done in it."""
        return self.row.session

    @resolved()
    def subgraph(self) -> str | None:
        """The part of the graph that answered."""
        return self.row.subgraph

    @resolved()
    def purpose(self) -> PurposeOfUse | None:
        """The purpose that was stated."""
        return next((each for each in PurposeOfUse if each.value == self.row.purpose), None)

    @resolved()
    def action(self) -> str | None:
        """What was done with the fields, in the policy's words."""
        return self.row.action

    @resolved()
    def data_class(self) -> DataClass | None:
        """What kind of fields they were; null for a change that no class stands for."""
        return None if self.row.data_class is None else DataClass(self.row.data_class)

    @resolved()
    def fields(self) -> list[str] | None:
        """Schema coordinates; never values."""
        return list(self.row.fields)

    @resolved()
    def decision(self) -> str | None:
        """`allow` or `deny`."""
        return self.row.decision

    @resolved()
    def rule(self) -> str | None:
        """The policy line that decided."""
        return self.row.rule

    @resolved()
    def outcome(self) -> str | None:
        """`shown`, `refused`, `changed`, `unchanged` or `failed`."""
        return self.row.outcome

    @resolved()
    def trace_id(self) -> str | None:
        """What logs and traces of the same request carry."""
        return self.row.trace_id

    @resolved()
    def prev_hash(self) -> str | None:
        """The hash of the record before it."""
        return self.row.prev_hash

    @resolved()
    def hash(self) -> str | None:
        """SHA-256 over the record's canonical JSON."""
        return self.row.hash

    @resolved()
    def audit_event(self) -> JSON | None:
        """The record as a FHIR R4 AuditEvent."""
        view: Any = audit_event(self.row, self.known)
        return JSON(view)

    @classmethod
    async def resolve_reference(cls, info: AuditInfo, id: str) -> AuditRecord | None:
        """One record; a hidden one is as absent as a missing one, and to have asked is recorded of both."""
        context, row = info.context, await info.context.records.load(id)
        if row is None:
            await context.people([])
            await decide_as_if_hidden(context, id, DataClass.AUDIT)
            context.trail.read(Question(None, DataClass.AUDIT), NOT_THERE, "AuditRecord.id", shown=False)
            return None
        record = cls.of(row, await context.people([row]))
        answer = await context.decision(record.row_access, DataClass.AUDIT)
        if answer.allowed:
            return record
        asked = record.row_access.question(DataClass.AUDIT, Action.READ)
        context.trail.read(asked, answer, "AuditRecord.id", shown=False)
        return None


@classified(DataClass.AUDIT)
@strawberry.federation.type(keys=["id"], description="Somebody with an account.")
class User:
    """Owned by accounts; here is the field that audit adds."""

    id: strawberry.ID

    def owner_id(self) -> str:
        """Everybody owns the log about themselves."""
        return str(self.id)

    @resolved()
    async def access_log(
        self,
        info: AuditInfo,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[AuditRecord] | None:
        """Who touched this person's protected fields, the latest first."""
        wanted = RecordFilter(target=info.context.log.pseudonyms.of(SUBJECT, str(self.id)))
        return await page(info, wanted, f"User.accessLog {self.id}", Asked(first, after, last, before))

    @classmethod
    def resolve_reference(cls, info: AuditInfo, id: str) -> User:
        """Anybody may have been looked at."""
        return cls(id=strawberry.ID(id))


def _user(name: str | None, people: Mapping[str, str]) -> User | None:
    user_id = None if name is None else people.get(name)
    return None if user_id is None else User(id=strawberry.ID(user_id))


@dataclass(frozen=True, slots=True)
class Asked:
    """Relay's four arguments, as they were given."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def request(self, cursors: CursorSigner, bound_to: str) -> PageRequest:
        """The same, checked.  Errors: PublicError BAD_PAGE, BAD_CURSOR."""
        return page_request(
            cursors,
            bound_to=bound_to,
            first=self.first,
            after=self.after,
            last=self.last,
            before=self.before,
        )


async def page(info: AuditInfo, wanted: RecordFilter, name: str, asked: Asked) -> Connection[AuditRecord]:
    """One page of the records that match, the newest first."""
    context = info.context
    bound_to = binding(context.subject.id, name)
    request = asked.request(context.cursors, bound_to)
    # The newest come first, so what comes after a cursor has a lower number.
    below, above = _number(request.after), _number(request.before)
    counted = wants_total(info)
    rows, count = await context.log.relational.read(
        lambda c: (
            store.list_records(
                c,
                wanted,
                limit=request.limit,
                before_number=below,
                after_number=above,
                oldest=request.backward,
            ),
            store.count_records(c, wanted) if counted else None,
        )
    )
    people = await context.people(rows)
    return connection(
        rows,
        request,
        context.cursors,
        bound_to=bound_to,
        sort_key=lambda row: (row.number,),
        node=lambda row: AuditRecord.of(row, people),
        total_count=count,
    )


def _number(sort_key: tuple[Any, ...] | None) -> int | None:
    if sort_key is None:
        return None
    if len(sort_key) != 1 or not isinstance(sort_key[0], int):
        raise PublicError("BAD_CURSOR", "the cursor is not one of this list; start again without it")
    return sort_key[0]
