"""Verdicts of one request: asked in batches, looked up by owner, class and action."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from authz.question import Decision
from authz.trail import AUDITED
from subgraphs.kit.owners import NOT_A_ROW, Asked, Need, Owner, RowKind, owner_id_of, question_of
from subgraphs.kit.owners import RowAccess as RowAccess  # noqa: PLC0414 - domains know it from here
from subgraphs.kit.trail import Decides as Decides  # noqa: PLC0414 - domains know it from here
from subgraphs.kit.trail import DecidesTogether, Trail

Needs: TypeAlias = dict[tuple[tuple[int, ...], str], frozenset[Need]]
"""(ids of a field's nodes, type) → what is read below; lives as long as the document whose nodes they are."""
FEW = 4
_PLAIN = frozenset({str, RowAccess, type(None)})
_LIKE_OTHERS = frozenset({str, RowAccess})
_MANY = ({str}, {RowAccess})
"""Of what owners many may be open at once."""


@dataclass(frozen=True, slots=True)
class Among:
    """Objects of one kind that belong to any of these owners."""

    kind: RowKind
    owner_ids: AbstractSet[str]


class NotPlain(Exception):
    """What was taken for an owner is none: `owner_of` has to be asked."""


class FieldGuard:
    """Verdicts of one request, by class and action, then by owner.

    `open` says by the place of a need whose objects are allowed whole, and `seen` the same where reading
    leaves a record, with the record's set of fields: fields look there first.
    """

    __slots__ = (
        "_batch",
        "_verdicts",
        "_widely",
        "_widening",
        "authenticated",
        "decisions",
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
        self.open: list[set[Owner]] = []
        self.seen: list[dict[Owner, set[str]]] = []
        self._verdicts: dict[Need, dict[Owner, Decision]] = {}
        self._batch: _Batch | None = None
        self._widely = False
        self._widening: asyncio.Future[None] | None = None

    def places(self, count: int) -> None:
        """Make room for so many needs, all closed."""
        self.open = [set() for _ in range(count)]
        self.seen = [{} for _ in range(count)]

    def known(self, asked: Asked) -> Decision | None:
        """The verdict, if it was asked before, or can be told without waiting."""
        owner, need = asked
        verdicts = self.verdicts(need)
        found = verdicts.get(owner)
        if found is None and self.decisions.together:
            found = self.decisions.decide_now(question_of(asked))
            if found is not None:
                verdicts[owner] = found
        return found

    def verdicts(self, need: Need) -> dict[Owner, Decision]:
        """All verdicts about a class and action so far, by owner."""
        found = self._verdicts.get(need)
        if found is None:
            found = self._verdicts[need] = {}
        return found

    async def verdict(self, asked: Asked) -> Decision:
        """The verdict; all that is asked in one turn of the event loop goes out as one batch."""
        found = self.known(asked)
        while found is None:
            await self.prepare((asked,))
            found = self.known(asked)
        return found

    def open_among(self, owner: Owner, needs: AbstractSet[Need]) -> Among | None:
        """Objects like this owner's that may be read whole, as far as is known at once, his among them; None
        where they are not, or reading leaves records."""
        if not self.decisions.together or owner.__class__ not in _LIKE_OTHERS:
            return None
        if any(need[0] in AUDITED for need in needs):
            return None
        kind = NOT_A_ROW if owner.__class__ is str else cast(RowAccess, owner).kind
        opened = self.decisions.open_owners([kind.like(need) for need in needs])
        return Among(kind, opened) if owner_id_of(owner) in opened else None

    def asks_widely(self, owner: Owner) -> bool:
        """Whether what is not known of this owner had better be asked of everybody, and then will be."""
        if not self.decisions.together or owner.__class__ not in _LIKE_OTHERS or not self.decisions.gathers:
            return False
        owner_id = owner_id_of(owner)
        unloaded = bool(self.decisions.unloaded_among({owner_id}))
        if unloaded and self._widening is None and self.decisions.load_at_once(owner_id):
            return False
        self._widely = self._widely or unloaded
        return unloaded

    def open_up(self, need: Need, place: int, owners: AbstractSet[Any]) -> set[Owner]:
        """Note whose objects may be read whole; the owners about whom nothing is decided yet.

        Errors: NotPlain where one of them is no owner.
        """
        opened, seen = self.open[place], self.seen[place]
        missing: AbstractSet[Any] = owners if owners.isdisjoint(opened) else owners - opened
        audited = need[0] in AUDITED
        if seen:
            missing = missing - seen.keys()
        classes = {owner.__class__ for owner in missing}
        if not classes <= _PLAIN:
            raise NotPlain
        if not audited and classes in _MANY and self.decisions.together:
            closed = self._closed_among(missing, need)
            opened |= missing if not closed else missing - closed
            missing = closed
        unknown = self._unloaded(missing, need)
        left = missing - unknown if unknown else missing
        # Records come in one order, whatever the order of a set.
        for owner in sorted(left, key=_by_name) if audited else left:
            verdict = self.known((owner, need))
            if verdict is None:
                unknown.add(owner)
            elif verdict.allowed and verdict.mask is None:
                if audited and not self.trail.is_own(owner_id_of(owner)):
                    seen[owner] = self.trail.fields_of(question_of((owner, need)), verdict)
                else:
                    opened.add(owner)
        return unknown

    def _unloaded(self, owners: AbstractSet[Any], need: Need) -> set[Owner]:
        """Those about whom nothing can be said yet: a first look at many, before any is decided alone."""
        if len(owners) <= FEW or not self.decisions.together:
            return set()
        verdicts = self.verdicts(need)
        unloaded = self.decisions.unloaded_among({owner_id_of(owner) for owner in owners})
        return {each for each in owners if owner_id_of(each) in unloaded and each not in verdicts}

    def _closed_among(self, owners: AbstractSet[Any], need: Need) -> AbstractSet[Any]:
        """Those whose decision is not known at once to be that all is open; by the kinds of their rows."""
        closed_among = self.decisions.closed_among
        if next(iter(owners)).__class__ is str:
            return closed_among(owners, NOT_A_ROW.like(need))
        rest: set[Owner] = set()
        kinds = {row.kind for row in owners}
        for kind in kinds:
            rows = owners if len(kinds) == 1 else [row for row in owners if row.kind is kind]
            closed = closed_among({row.owner_id for row in rows}, kind.like(need))
            if closed:
                rest.update(row for row in rows if row.owner_id in closed)
        return rest

    async def prepare(self, asked: Iterable[Asked]) -> None:
        """Make `known` tell all of `asked`, in one batch with whoever else asks in this turn.

        What is asked of everybody goes out at once: who comes later waits for it, and then asks for the rest.
        """
        if self._widely:
            await self._prepare_widely([owner_id_of(owner) for owner, _ in asked])
            return
        missing = [each for each in asked if each[0] not in self.verdicts(each[1])]
        if not missing:
            return
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch({}, asyncio.get_running_loop().create_future())
            batch.task = asyncio.create_task(self._dispatch(batch))
        batch.asked.update(dict.fromkeys(missing))
        # Shielded: one who gives up does not take the answer from the others.
        await asyncio.shield(batch.done)

    async def _prepare_widely(self, owner_ids: list[str | None]) -> None:
        self._widely = False
        while self._widening is not None:
            await asyncio.shield(self._widening)
        widening = self._widening = asyncio.get_running_loop().create_future()
        try:
            await self.decisions.load_owners(owner_ids, everybody=True)
        finally:
            self._widening = None
            widening.set_result(None)

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
        if self.decisions.together:
            # What is loaded is decided where it is looked up, and most of it for many owners at once.
            await self.decisions.load_owners({owner_id_of(owner) for owner, _ in asked})
            return
        decisions = await self.decisions.decide([question_of(each) for each in asked])
        for (owner, need), decision in zip(asked, decisions, strict=True):
            self.verdicts(need)[owner] = decision


def _by_name(owner: Owner) -> tuple[str, str]:
    kind = f"{owner.purpose} {owner.resource_type}" if isinstance(owner, RowAccess) else ""
    return owner_id_of(owner) or "", kind


@dataclass(slots=True)
class _Batch:
    """What is asked in one turn, and the future that all who asked wait for."""

    asked: dict[Asked, None]
    done: asyncio.Future[None]
    task: asyncio.Task[None] | None = None
