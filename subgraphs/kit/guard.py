"""Verdicts of one request: asked in batches, looked up by owner, class and action."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from authz.classes import DataClass, Purpose, Visibility
from authz.question import Decision, Question
from subgraphs.kit.trail import Decides as Decides  # noqa: PLC0414 - domains know it from here
from subgraphs.kit.trail import DecidesTogether, Trail

Need: TypeAlias = tuple[str, str]
"""A data class and an action, as plain text: it is hashed for every field of every object."""
Owner: TypeAlias = "str | RowAccess | None"
Asked: TypeAlias = tuple[Owner, Need]
Needs: TypeAlias = dict[tuple[tuple[int, ...], str], frozenset[Need]]
"""(ids of a field's nodes, type) → what is read below; lives as long as the document whose nodes they are."""


@dataclass(frozen=True, slots=True)
class RowAccess:
    """What a decision needs to know of a loaded row, where its owner alone is not enough.

    A type gives it as `row_access`; the fields mean what they mean in `authz.question.Question`.
    """

    owner_id: str | None
    purpose: Purpose | None = None
    labels: frozenset[str] = frozenset()
    visibility: Visibility | None = None
    metric: str | None = None
    created_by: str | None = None
    approved_by: str | None = None
    region: str | None = None
    resource_type: str | None = None

    def __hash__(self) -> int:
        # Rows of a list differ little: the owner alone tells most apart, at a tenth of the cost.
        return hash(self.owner_id)

    def question(self, data_class: DataClass, action: str) -> Question:
        """The question about this row's fields of `data_class`."""
        return Question(
            owner_id=self.owner_id,
            data_class=data_class,
            action=action,
            purpose=self.purpose,
            labels=self.labels,
            visibility=self.visibility,
            metric=self.metric,
            created_by=self.created_by,
            approved_by=self.approved_by,
            region=self.region,
            resource_type=self.resource_type,
        )


class FieldGuard:
    """Verdicts of one request, by class and action, then by owner.

    `open` says of objects that were decided as a list which needs are allowed whole, by identity, and `seen`
    the same where reading leaves a record, with the record's set of fields: fields look there first. `held`
    keeps those objects alive, so that no other takes their identity.
    """

    __slots__ = (
        "_batch",
        "_verdicts",
        "authenticated",
        "decisions",
        "held",
        "needs",
        "open",
        "seen",
        "trail",
    )

    def __init__(
        self,
        decisions: DecidesTogether,
        *,
        trail: Trail,
        needs: Needs | None = None,
    ) -> None:
        self.decisions = decisions
        self.trail = trail
        self.authenticated = trail.subject.authenticated
        self.needs = {} if needs is None else needs
        self.open: dict[int, int] = {}
        self.seen: dict[tuple[int, int], set[str]] = {}
        self.held: list[Any] = []
        self._verdicts: dict[Need, dict[Owner, Decision]] = {}
        self._batch: _Batch | None = None

    def known(self, asked: Asked) -> Decision | None:
        """The verdict, if it was asked before."""
        return self.verdicts(asked[1]).get(asked[0])

    def verdicts(self, need: Need) -> dict[Owner, Decision]:
        """All verdicts about a class and action so far, by owner."""
        found = self._verdicts.get(need)
        if found is None:
            found = self._verdicts[need] = {}
        return found

    async def verdict(self, asked: Asked) -> Decision:
        """The verdict; all that is asked in one turn of the event loop goes out as one batch."""
        await self.prepare((asked,))
        return self.verdicts(asked[1])[asked[0]]

    async def prepare(self, asked: Iterable[Asked]) -> None:
        """Decide all of `asked` that is not known, in one batch with whoever else asks in this turn."""
        missing = [each for each in asked if self.known(each) is None]
        if not missing:
            return
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch({}, asyncio.get_running_loop().create_future())
            batch.task = asyncio.create_task(self._dispatch(batch))
        batch.asked.update(dict.fromkeys(missing))
        # Shielded: one who gives up does not take the answer from the others.
        await asyncio.shield(batch.done)

    async def _dispatch(self, batch: _Batch) -> None:
        await asyncio.sleep(0)  # loaders and lists that are ready in this turn may still join
        self._batch = None
        try:
            await self._decide(list(batch.asked))
        except BaseException as fault:
            batch.done.set_exception(fault)
            batch.done.exception()  # who joined is told; without anybody left it is not a lost fault
            if not isinstance(fault, Exception):
                raise
        else:
            batch.done.set_result(None)

    async def _decide(self, asked: list[Asked]) -> None:
        together = self.decisions.together
        rows = [each for each in asked if not together or each[0].__class__ is not str]
        if len(rows) < len(asked):
            by_need: dict[Need, list[Any]] = {}
            for owner, need in asked:
                if owner.__class__ is str:
                    by_need.setdefault(need, []).append(owner)
            for need, owners in by_need.items():
                answers = await self.decisions.decide_owners(owners, _CLASSES[need[0]], need[1])
                self.verdicts(need).update(zip(owners, answers, strict=True))
        if rows:
            decisions = await self.decisions.decide([question_of(each) for each in rows])
            for (row, need), decision in zip(rows, decisions, strict=True):
                self.verdicts(need)[row] = decision


@dataclass(slots=True)
class _Batch:
    """What is asked in one turn, and the future that all who asked wait for."""

    asked: dict[Asked, None]
    done: asyncio.Future[None]
    task: asyncio.Task[None] | None = None


def question_of(asked: Asked) -> Question:
    """What is asked of authz."""
    owner, (name, action) = asked
    data_class = _CLASSES[name]
    if isinstance(owner, RowAccess):
        return owner.question(data_class, action)
    return Question(owner, data_class, action)


_CLASSES = {each.value: each for each in DataClass}


def owner_id_of(owner: Owner) -> str | None:
    """The person that an owner names."""
    return owner.owner_id if isinstance(owner, RowAccess) else owner


def owner_of(source: object, need: Need) -> Owner:
    """Whose `source` is: its `row_access`, a value or a method of class and action (a row may show its parts
    to different circles), else its `owner_id`, a value or a method."""
    access = getattr(source, "row_access", None)
    if access is not None:
        owner: Owner = access(DataClass(need[0]), need[1]) if callable(access) else access
        return owner
    owner_id = getattr(source, "owner_id", None)
    return owner_id() if callable(owner_id) else owner_id
