"""The decisions of one request: facts loaded once, each question once, owners of equal standing together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import cast

from authz.circle import NOBODY, Alike, Circle, Opens
from authz.classes import Action, DataClass, Purpose, Relation
from authz.explanation import Explanation, traced
from authz.facts.gathered import GATHERED_MIN, GathersFacts
from authz.facts.store import OWNERS_PER_BATCH_MAX, Facts
from authz.identity.subject import Subject
from authz.policies.case import (
    Case,
    Party,
    WatchedCase,
    actor_of,
    classed_by_labels,
    party_of,
    strangers_party,
)
from authz.policies.conditions import Depends
from authz.policies.table import DecisionTable
from authz.question import Decision, Question
from authz.remembered import Confirm
from authz.rows import OwnerFilter, Reach, owner_filter

FEW = 4
LIKES_MAX = 256
"""Of so many kinds of questions it is kept whether they are open."""


class RequestAuthorizer:
    """Answers the questions of one subject in one request: facts loaded once an owner, each question once."""

    def __init__(
        self,
        subject: Subject,
        *,
        facts: Facts,
        table: DecisionTable,
        circle: Circle,
        now: datetime,
        confirm: Confirm | None = None,
    ) -> None:
        self.subject = subject
        self._facts = facts
        self._table = table
        # One instant for the whole request: its answers fit together.
        self._now = now
        self._actor_id = actor_of(subject)
        self._circle = circle
        # Gives the circle to go on with, where `circle` only stands in for one that is in doubt.
        self._confirm = confirm
        self._parties: dict[str | Alike | None, Party] = {}
        self._decisions: dict[Question, Decision] = {}
        self._shared: dict[tuple[object, ...], Decision] = {}
        self._opens: dict[int, Opens] | None = None
        self._opens_now: dict[int, Opens] = {}
        self._reach: Reach | None = None

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """One decision a question, in order. At most one batch of facts for all owners not yet known.

        Errors: Unavailable where the facts are not to be had: then nothing is decided.
        """
        await self.load_owners(question.owner_id for question in questions)
        alike_of, decisions = self._circle.alike_of, []
        for question in questions:
            alike = alike_of(question.owner_id)
            decisions.append(
                self._decisions.get(question) or self._decide(question)
                if alike is None
                else self._alike_or_own(question, alike)
            )
        return decisions

    def _alike_or_own(self, question: Question, alike: Alike) -> Decision:
        """The decision about any owner of this standing, whose row says the same."""
        key = (
            alike, question.data_class, question.action, question.purpose, question.labels,
            question.visibility, question.metric, question.created_by, question.approved_by,
            question.region, question.resource_type,
        )  # fmt: skip
        known = self._shared.get(key)
        if known is None:
            known = self._shared[key] = self._decide(question)
        return known

    async def decide_owners(
        self, owner_ids: Sequence[str], data_class: DataClass, action: str
    ) -> list[Decision]:
        """`decide` about rows of which nothing counts but their owner: once for owners of equal standing."""
        await self.load_owners(owner_ids)
        alike_of, shared = self._circle.alike_of, self._shared
        decisions = []
        for owner_id in owner_ids:
            alike = alike_of(owner_id)
            key = None if alike is None else (alike, data_class, action)
            decision = None if key is None else shared.get(key)
            if decision is None:
                question = Question(owner_id, data_class, action)
                decision = self._decisions.get(question) or self._decide(question)
                if key is not None:
                    shared[key] = decision
            decisions.append(decision)
        return decisions

    def unloaded_among(self, owner_ids: AbstractSet[str | None]) -> AbstractSet[str | None]:
        """Those about whom `decide_now` cannot answer yet."""
        if not self.subject.authenticated:
            # Nobody has facts about an anonymous caller.
            return NOBODY
        people = {each for each in owner_ids if each is not None} if None in owner_ids else owner_ids
        missing = self._circle.unknown_among(cast("AbstractSet[str]", people))
        # One's own rows need no facts.
        return missing - {self.subject.id} if missing and self._acts_for_itself else missing

    def closed_among(self, owner_ids: AbstractSet[str], like: Question) -> AbstractSet[str]:
        """Those owners of whom it is not known at once that what `like` asks is open to the subject, whole.

        `like` asks about a row whose owner does not count. Nobody waits: an owner who is not loaded, oneself
        and whoever is like nobody else are among them, and their decisions are asked one by one.
        """
        circle = self._circle
        if len(owner_ids) <= FEW:
            return {each for each in owner_ids if not self._is_open(circle.alike_of(each), each, like)}
        for group in circle.groups:
            if group.owners.isdisjoint(owner_ids):
                continue
            if not self._is_open(group, next(iter(group.owners)), like):
                continue
            if owner_ids <= group.owners:
                return NOBODY
            owner_ids = owner_ids - group.owners
        if circle.everybody and owner_ids:
            strangers = owner_ids - (rest := circle.not_strangers(owner_ids))
            if strangers and self._is_open(circle.strangers, next(iter(strangers)), like):
                return rest
        return owner_ids

    def open_owners(self, likes: Collection[Question]) -> AbstractSet[str]:
        """Owners of whom it is known at once that all of `likes` are open to the subject, whole.

        `likes` as in `closed_among`. There may be more such owners: strangers, oneself, who stands alone.
        """
        opened = [
            group.owners
            for group in self._circle.groups
            if group.owners and self._all_open(group, next(iter(group.owners)), likes)
        ]
        return opened[0] if len(opened) == 1 else NOBODY.union(*opened)

    def _all_open(self, alike: Alike, owner_id: str, likes: Collection[Question]) -> bool:
        return all(self._is_open(alike, owner_id, like) for like in likes)

    def _is_open(self, alike: Alike | None, owner_id: str, like: Question) -> bool:
        """Whether `like` is open, whole, about these owners, of whom `owner_id` is one."""
        if alike is None:
            return False
        lasting = self._lasting_opens()
        for opens in (lasting, self._opens_now):
            # By identity: to hash a question takes longer than to look it up.
            found = opens.get(id(like))
            known = None if found is None else found.by_group.get(alike)
            if known is not None:
                return known
        return self._find_open(alike, owner_id, like, lasting)

    def _find_open(self, alike: Alike, owner_id: str, like: Question, lasting: dict[int, Opens]) -> bool:
        """Decide about any of these owners; what that needs of one is only made where it counts."""
        asked = classed_by_labels(like) if like.labels else like
        cell, timely = self._table.cell(self._party(owner_id), asked), False
        decision = cell.always
        if decision is None:
            standing = self._circle.standing(owner_id)
            about = replace(asked, owner_id=owner_id)
            case = WatchedCase(self.subject, about, standing.relations, standing.consents, self._now)
            decision = cell.decide(case)
            timely = case.timely
        # What looked at the time is found anew by each request.
        known = self._opens_now if timely else lasting
        if id(like) not in known:
            if len(known) >= LIKES_MAX:
                known.clear()
            known[id(like)] = Opens(like)
        opened = known[id(like)].by_group[alike] = decision.allowed and decision.mask is None
        return opened

    def _lasting_opens(self) -> dict[int, Opens]:
        """What this subject's requests found of the circle by this policy, whatever the time."""
        if self._opens is None:
            known, by = self._circle.opens, (self.subject, self._table)
            if by not in known:
                if len(known) >= FEW:
                    known.clear()
                known[by] = {}
            self._opens = known[by]
        return self._opens

    def decide_now(self, question: Question) -> Decision | None:
        """The decision, or None where the owner's facts are not loaded yet."""
        known = self._decisions.get(question)
        if known is not None:
            return known
        if self._unknown(question.owner_id):
            return None
        return self._decide(question)

    @property
    def gathers(self) -> bool:
        """Whether `load_owners` may tell of everybody at once."""
        gathers = getattr(self._facts, "gathers", None)
        return gathers is not None and gathers(self._actor_id or "")

    async def load_owners(self, owner_ids: Iterable[str | None], *, everybody: bool = False) -> None:
        """Make `decide_now` able to answer about these owners, and about `everybody` where that can be."""
        missing = list(self.unloaded_among(set(owner_ids)))
        if missing and await self._confirmed():
            missing = list(self.unloaded_among(set(missing)))
        for start in range(0, len(missing), OWNERS_PER_BATCH_MAX):
            batch = cast("list[str]", missing[start : start + OWNERS_PER_BATCH_MAX])
            if (everybody or len(batch) >= GATHERED_MIN) and await self._gathered(batch):
                continue
            loaded = await self._facts.load(self._actor_id or "", batch)
            self._circle.know(batch, loaded, self._now)

    def load_at_once(self, owner_id: str | None) -> bool:
        """Whether `load_owners` of everybody could be done without giving way, and is: then this owner is
        loaded as well."""
        if self._confirm is not None or owner_id is None or not self.gathers:
            return False
        told = cast(GathersFacts, self._facts).gather_at_once(self._actor_id or "", [owner_id], self._now)
        if told is not None:
            self._circle.gather(told, self._now)
        return told is not None

    async def _confirmed(self) -> bool:
        """Go on with the circle that is remembered, once it is known to hold; whether it was in doubt."""
        if self._confirm is None:
            return False
        self._circle, self._confirm = await self._confirm(), None
        self._opens = None
        self._opens_now = {}
        return True

    async def _gathered(self, batch: Sequence[str]) -> bool:
        """Take in all that the subject is to anybody, where the facts can tell it at once."""
        if not self.gathers:
            return False
        told = await cast(GathersFacts, self._facts).gather(self._actor_id or "", batch, self._now)
        if told is not None:
            self._circle.gather(told, self._now)
        return told is not None

    async def explain(self, question: Question) -> Explanation:
        """The decision, and every rule that speaks to this subject about it with what it lacks."""
        (decision,) = await self.decide([question])
        asked = classed_by_labels(question)
        party, case = self._party(asked.owner_id), self._case(asked)
        traces = [
            traced(rule.reaching(party), case)
            for rule in self._table.concerned(asked.data_class, asked.action)
            if rule.parties <= party
        ]
        traces.sort(key=lambda trace: (len(trace.failing) > 0, trace.allows))
        return Explanation(decision, party, tuple(traces))

    async def visible_owner_filter(
        self, data_class: DataClass, action: str = "read", *, purpose: Purpose | None = None
    ) -> OwnerFilter:
        """Whose rows a list may hold, such that a row is in the list exactly when `decide` allows it."""
        owners = {*await self._related(), *([self.subject.id] if self.subject.id else [])}
        question = Question(None, data_class, action, purpose=purpose)
        return owner_filter(
            self._table,
            question,
            stranger=self._case(question),
            related={owner_id: self._case(replace(question, owner_id=owner_id)) for owner_id in owners},
        )

    async def reach(self) -> Reach:
        """Whose rows this subject could be shown at all; asked once a request, for row-level security."""
        if self._reach is None:
            related = await self._related()
            self._reach = Reach(
                self.subject.id,
                frozenset(owner for owner in related if self._is_something_to(owner)),
                frozenset(
                    (data_class.value, action.value)
                    for data_class in DataClass
                    for action in Action
                    if some_rule_may_allow(
                        self._table,
                        strangers_party(self.subject, data_class),
                        self._case(Question(None, data_class, action.value)),
                    )
                ),
            )
        return self._reach

    async def _related(self) -> Iterable[str]:
        """Every owner this subject may be something to, all of them known then."""
        if not self.subject.authenticated:
            return ()
        await self._confirmed()
        if self._circle.everybody or await self._gathered(()):
            await self.load_owners(self._circle.unsettled)
            if self._circle.everybody:
                return self._circle.related()
        standings = await self._facts.of_subject(self._actor_id or "")
        self._circle.know(standings, standings, self._now)
        return standings

    def _is_something_to(self, owner_id: str) -> bool:
        known = self._circle.standing(owner_id)
        if any(fact.relation is Relation.BLOCKED for fact in known.relations):
            return False
        return bool(known.relations) or any(each.decision == "permit" for each in known.consents)

    def _decide(self, question: Question) -> Decision:
        asked = classed_by_labels(question) if question.labels else question
        cell = self._table.cell(self._party(asked.owner_id), asked)
        decision = cell.always or cell.decide(self._case(asked))
        self._decisions[question] = decision
        return decision

    def _case(self, question: Question) -> Case:
        standing = self._circle.standing(question.owner_id)
        return Case(self.subject, question, standing.relations, standing.consents, self._now)

    def _unknown(self, owner_id: str | None) -> bool:
        return (
            owner_id is not None
            and not self._circle.knows(owner_id)
            and bool(self.unloaded_among({owner_id}))
        )

    @property
    def _acts_for_itself(self) -> bool:
        return self._actor_id == self.subject.id

    def _party(self, owner_id: str | None) -> Party:
        alike = self._circle.alike_of(owner_id)
        of = owner_id if alike is None else alike
        known = self._parties.get(of)
        if known is None:
            relations = self._circle.standing(owner_id).relations
            known = self._parties[of] = party_of(self.subject, owner_id, relations)
        return known


def some_rule_may_allow(table: DecisionTable, party: Party, case: Case) -> bool:
    """Whether a rule could allow it to this party, by all that the subject alone settles."""
    return any(
        rule.allows
        and rule.parties <= party
        and not (Relation.SELF in rule.parties and not case.subject.authenticated)
        and all(
            each.holds(case)
            for each in rule.conditions
            if each.depends is Depends.SUBJECT and each.obligation is None
        )
        for rule in table.concerned(case.question.data_class, case.question.action)
    )
