"""The trail of one request: what the guard showed or refused of protected classes, and what was changed.

Reads are kept before the answer leaves: an answer whose record cannot be kept does not leave. A mutation's
record is written in the transaction of its first change (`TrailedWrites`), or after it where nothing changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from sqlalchemy import Connection

from authz.classes import Action, DataClass, Purpose
from authz.identity.subject import Subject
from authz.policies.case import classed_by_labels
from authz.question import Decision, Question
from authz.rows import Reach
from authz.trail import TOPIC, Access, Outcome, Touched, actors_of, is_own
from datastores.events.outbox import new_event
from datastores.events.port import Outbox
from datastores.relational.port import Relational

T = TypeVar("T")

TOUCHED_PER_ACCESS_MAX = 500
SELF_RULE = "own-act"


_Seen: TypeAlias = tuple[str | None, str, str, Purpose | None, Decision]
"""Owner, class, action, purpose and decision: what one record is about."""


class Ledger(Protocol):
    """Where a request's accesses go; when `keep` returns, they outlive a crash."""

    async def keep(self, accesses: Sequence[Access]) -> None:
        """Errors: Unavailable, after which the request is not answered."""
        ...


class Decides(Protocol):
    """The part of authz's `RequestAuthorizer` that a request uses."""

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """One decision a question, in order."""
        ...


class DecidesTogether(Decides, Protocol):
    """`Decides`, and about many owners at once where `together`."""

    @property
    def together(self) -> bool:
        """Whether the rest may be asked."""
        ...

    @property
    def gathers(self) -> bool:
        """Whether `load_owners` may tell of everybody at once."""
        ...

    async def load_owners(self, owner_ids: Iterable[str | None], *, everybody: bool = False) -> None:
        """Make `decide_now` able to answer about these owners, and about `everybody` where that can be."""
        ...

    def load_at_once(self, owner_id: str | None) -> bool:
        """`load_owners` of him and everybody, if that needs no waiting; whether it was done."""
        ...

    def decide_now(self, question: Question) -> Decision | None:
        """The decision; None where the owner is not loaded."""
        ...

    def unloaded_among(self, owner_ids: AbstractSet[str | None]) -> AbstractSet[str | None]:
        """Those about whom `decide_now` cannot answer yet."""
        ...

    def closed_among(self, owner_ids: AbstractSet[str], like: Question) -> AbstractSet[str]:
        """Those of whom it is not known at once that what `like` asks is open, whole."""
        ...

    def open_owners(self, likes: Collection[Question]) -> AbstractSet[str]:
        """Those of whom it is known at once that all of `likes` are open, whole; there may be more."""
        ...


@dataclass(slots=True)
class _Act:
    """One mutation field that runs, with the decisions it asked for."""

    coordinate: str
    decided: dict[Question, Decision] = field(default_factory=dict)
    kept: bool = False


class Trail:
    """One a request. Cheap while nothing protected is touched: empty slots.

    `shown` holds what was read for the answer, each with the fields of its record, in the order of reading:
    it is recorded at the end, so that what a null takes out of the answer again can be taken from here too.
    """

    __slots__ = ("_act", "_reads", "shown", "subject", "touched")

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.touched: list[Touched] = []
        self.shown: list[tuple[set[str], AbstractSet[str]]] = []
        self._reads: dict[_Seen, set[str]] | None = None
        self._act: _Act | None = None

    def is_own(self, owner_id: str | None) -> bool:
        """Whether reading it leaves no record."""
        return is_own(self.subject, owner_id)

    def read(self, question: Question, decision: Decision, coordinate: str, *, shown: bool) -> None:
        """Note a field of a protected class. One's own leave no trace. A refusal stays, whatever is told."""
        if self.is_own(question.owner_id):
            return
        if decision.allowed != shown:
            decision = Decision(shown, decision.rule)
        fields = self.fields_of(question, decision)
        if shown:
            self.shown.append((fields, {coordinate}))
        else:
            fields.add(coordinate)

    def fields_of(self, question: Question, decision: Decision) -> set[str]:
        """The fields of the record that such reads are in: all rows of one owner share it."""
        if self._reads is None:
            self._reads = {}
        data_class = classed_by_labels(question).data_class
        seen = (question.owner_id, data_class.value, question.action, question.purpose, decision)
        return self._reads.setdefault(seen, set())

    @property
    def acting(self) -> bool:
        """Whether a mutation field runs, whose questions are noted."""
        return self._act is not None

    def begins(self, coordinate: str) -> None:
        """A mutation field runs from now on; they run one after the other."""
        self._act = _Act(coordinate)

    def decided(self, questions: Sequence[Question], decisions: Sequence[Decision]) -> None:
        """Note what a running mutation has asked: its record names whom it was about, and by which rule."""
        if self._act is not None:
            self._act.decided.update(zip(questions, decisions, strict=True))

    def acts_on(
        self, target_id: str | None, *, data_class: DataClass, rule: str, allowed: bool = True
    ) -> None:
        """Whom the running mutation is about, where no decision of the policy says so."""
        if self._act is not None:
            asked = Question(target_id, data_class, Action.WRITE.value)
            self._act.decided[asked] = Decision(allowed, rule)

    def changing(self) -> list[Touched]:
        """What a change that is about to be written stands for; nothing outside of a mutation, or twice."""
        act = self._act
        if act is None or act.kept:
            return []
        # What the change did not need is no part of what was done.
        decided = {asked: answer for asked, answer in act.decided.items() if answer.allowed}
        return _acts(_Act(act.coordinate, decided), self.subject, Outcome.CHANGED)

    def changed(self) -> None:
        """The change was committed, with the record that `changing` gave."""
        if self._act is not None:
            self._act.kept = True

    def ends(self, outcome: Outcome) -> None:
        """The mutation field has its result; where nothing was changed it is noted now."""
        act, self._act = self._act, None
        if act is not None and not act.kept:
            self.touched.extend(_acts(act, self.subject, outcome))

    def take(self) -> list[Touched]:
        """All that is not kept yet; the trail is empty then."""
        touched, self.touched = self.touched, []
        for fields, coordinates in self.shown:
            fields |= coordinates
        self.shown.clear()
        if self._reads is not None:
            touched.extend(_read(seen, fields) for seen, fields in self._reads.items() if fields)
            self._reads = None
        return touched


def accesses(
    subject: Subject, subgraph: str, at_utc: dt.datetime, trace_id: str, touched: Sequence[Touched]
) -> list[Access]:
    """What was touched, in accesses of at most `TOUCHED_PER_ACCESS_MAX`."""
    actor_id, on_behalf_of_id = actors_of(subject)
    return [
        Access(
            at_utc=at_utc,
            subgraph=subgraph,
            actor_id=actor_id,
            on_behalf_of_id=on_behalf_of_id,
            client_id=subject.client_id,
            session_id=subject.session_id,
            trace_id=trace_id,
            touched=tuple(touched[start : start + TOUCHED_PER_ACCESS_MAX]),
        )
        for start in range(0, len(touched), TOUCHED_PER_ACCESS_MAX)
    ]


def _read(seen: _Seen, fields: set[str]) -> Touched:
    target_id, data_class, action, purpose, decision = seen
    return Touched(
        target_id=target_id,
        action=action,
        data_class=data_class,
        fields=tuple(sorted(fields)),
        allowed=decision.allowed,
        rule=decision.rule,
        outcome=Outcome.SHOWN if decision.allowed else Outcome.REFUSED,
        purpose=purpose,
    )


def _acts(act: _Act, subject: Subject, outcome: Outcome) -> list[Touched]:
    """One for each decision that the mutation asked for; where it asked none, the caller's own act."""
    decided: list[tuple[Question | None, Decision]] = [*act.decided.items()]
    return [
        Touched(
            target_id=subject.id if question is None else question.owner_id,
            action="change" if question is None else question.action,
            data_class=None if question is None else question.data_class,
            fields=(act.coordinate,),
            allowed=decision.allowed,
            rule=decision.rule,
            outcome=outcome if decision.allowed else Outcome.REFUSED,
            purpose=None if question is None else question.purpose,
        )
        for question, decision in decided or [(None, Decision(allowed=True, rule=SELF_RULE))]
    ]


@dataclass(frozen=True, slots=True)
class TrailedDecisions:
    """`decisions`, with what a running mutation asks noted on the trail."""

    decisions: Decides
    trail: Trail

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """One decision a question, in order."""
        answers = await self.decisions.decide(questions)
        self.trail.decided(questions, answers)
        return answers

    @property
    def together(self) -> bool:
        """Whether owners may be loaded together and decided at once: not for a mutation, whose questions are
        noted one by one."""
        return not self.trail.acting and hasattr(self.decisions, "closed_among")

    @property
    def gathers(self) -> bool:
        """See `DecidesTogether.gathers`."""
        return cast(DecidesTogether, self.decisions).gathers

    async def load_owners(self, owner_ids: Iterable[str | None], *, everybody: bool = False) -> None:
        """See `DecidesTogether.load_owners`."""
        await cast(DecidesTogether, self.decisions).load_owners(owner_ids, everybody=everybody)

    def load_at_once(self, owner_id: str | None) -> bool:
        """See `DecidesTogether.load_at_once`."""
        return cast(DecidesTogether, self.decisions).load_at_once(owner_id)

    def decide_now(self, question: Question) -> Decision | None:
        """See `DecidesTogether.decide_now`."""
        return cast(DecidesTogether, self.decisions).decide_now(question)

    def unloaded_among(self, owner_ids: AbstractSet[str | None]) -> AbstractSet[str | None]:
        """See `DecidesTogether.unloaded_among`."""
        return cast(DecidesTogether, self.decisions).unloaded_among(owner_ids)

    def closed_among(self, owner_ids: AbstractSet[str], like: Question) -> AbstractSet[str]:
        """See `DecidesTogether.closed_among`."""
        return cast(DecidesTogether, self.decisions).closed_among(owner_ids, like)

    def open_owners(self, likes: Collection[Question]) -> AbstractSet[str]:
        """See `DecidesTogether.open_owners`."""
        return cast(DecidesTogether, self.decisions).open_owners(likes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.decisions, name)


@dataclass(frozen=True, slots=True)
class Running:
    """The request that runs here, for the stores below it."""

    trail: Trail
    access: Callable[[Sequence[Touched]], list[Access]]
    reach: Callable[[], Awaitable[Reach]] | None = None


running: ContextVar[Running | None] = ContextVar("running", default=None)


class TrailedWrites:
    """A domain's store whose writes carry the record of the mutation they belong to, in one transaction."""

    def __init__(self, store: Relational, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Relational.write`."""
        # The store runs `work` on a thread of its own, so the request is looked at here.
        request = running.get()
        touched = request.trail.changing() if request is not None else []
        if request is None or not touched:
            return await self._store.write(work)
        events = [access_event(access) for access in request.access(touched)]

        def recorded(connection: Connection) -> T:
            result = work(connection)
            self._outbox.append(connection, events)
            return result

        result = await self._store.write(recorded)
        request.trail.changed()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(frozen=True, slots=True)
class OutboxLedger:
    """`Ledger` in a domain's own outbox: one append a request."""

    store: Relational
    outbox: Outbox

    async def keep(self, accesses: Sequence[Access]) -> None:
        """See `Ledger.keep`."""
        events = [access_event(access) for access in accesses]
        await self.store.write(lambda connection: self.outbox.append(connection, events))


def access_event(access: Access) -> Any:
    """The event that the audit domain consumes."""
    key = access.actor_id or "anonymous"
    return new_event(TOPIC, key=key, payload=access.as_payload(), at_utc=access.at_utc)
