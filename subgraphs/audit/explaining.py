"""Which rule decides what somebody sees of somebody else, told to the owner and to auditors.

An owner learns the roles only of those who have a relation to them; anybody else is explained as a stranger,
so that no question tells who holds which role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from authz.classes import DataClass, Purpose, Relation, Role
from authz.explanation import Explanation
from authz.identity.subject import Subject
from authz.question import Decision, Question
from subgraphs.kit import PublicError

_RELATIONS = frozenset(relation.value for relation in Relation if relation is not Relation.NONE)


class ExplainsRequests(Protocol):
    """The part of authz's `RequestAuthorizer` that explains."""

    async def explain(self, question: Question) -> Explanation:
        """The decision and the rules it was taken from."""
        ...

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """One decision a question, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody, or everybody in a role, who sees a field: by which rules, and for which purposes.

    `any_purpose`: without stating one. `view` is how the value is shortened at best; None: not at all.
    """

    user_id: str | None
    role: Role | None
    view: str | None
    purposes: tuple[Purpose, ...]
    any_purpose: bool
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explainer:
    """`classes` are those of every field of the graph by coordinate; `person` gives a user as their
    strongest token would prove them, None for nobody; `authorize` is the process's authorizer; both at a
    moment, or now;
    `subjects_of` names who has a relation to a user, or a consent of theirs; `policy_version` is the
    fingerprint of the policy in force."""

    classes: Callable[[], Mapping[str, tuple[DataClass, str]]]
    person: Callable[[str, datetime | None], Awaitable[Subject | None]]
    authorize: Callable[[Subject, datetime | None], ExplainsRequests]
    subjects_of: Callable[[str], Awaitable[list[str]]]
    policy_version: Callable[[], str] = str

    async def explain(
        self, *, owner_id: str, viewer_id: str, coordinate: str, purpose: Purpose | None, auditor: bool
    ) -> Explanation:
        """What `viewer_id` may see of `owner_id`'s field.  Errors: PublicError BAD_INPUT."""
        known = self.known(coordinate)
        question = Question(owner_id, known[0], known[1], purpose=purpose)
        viewer = await self.person(viewer_id, None) or Subject(id=viewer_id, acr=1)
        explanation = await self.authorize(viewer, None).explain(question)
        if auditor or explanation.party & _RELATIONS:
            return explanation
        return await self.authorize(Subject(id=viewer_id, acr=1), None).explain(question)

    def known(self, coordinate: str) -> tuple[DataClass, str]:
        """Class and action of a field.  Errors: PublicError BAD_INPUT."""
        known = self.classes().get(coordinate)
        if known is None:
            raise PublicError("BAD_INPUT", "`coordinate` is no field of the graph: write it as `Type.field`")
        return known

    async def viewers(
        self, *, owner_id: str, coordinate: str, purpose: Purpose | None, at: datetime | None = None
    ) -> list[Viewer]:
        """Who sees `owner_id`'s field, now or at a moment to come: people by a relation or consent, then
        roles that need neither.

        Without a purpose: for any, and each viewer names those that they would have to state.
        """
        data_class, action = self.known(coordinate)
        purposes = (None, *Purpose) if purpose is None else (purpose,)
        asked = [Question(owner_id, data_class, action, purpose=each) for each in purposes]
        found = []
        for user_id in [owner_id, *(each for each in await self.subjects_of(owner_id) if each != owner_id)]:
            person = await self.person(user_id, at)
            if person is not None:
                found.append(await self._viewer(person, asked, role=None, at=at))
        for role in Role:
            if role not in (Role.PARTNER, Role.SERVICE):
                anybody = Subject(id=f"any-{role.value}", roles=frozenset({role}), acr=2)
                found.append(await self._viewer(anybody, asked, role=role, at=at))
        return [each for each in found if each.rules]

    async def _viewer(
        self, person: Subject, asked: Sequence[Question], *, role: Role | None, at: datetime | None
    ) -> Viewer:
        request = self.authorize(person, at)
        answers = await request.decide(asked)
        allowed = [(q.purpose, a) for q, a in zip(asked, answers, strict=True) if a.allowed]
        views = {answer.mask for _, answer in allowed}
        return Viewer(
            user_id=None if role is not None else person.id,
            role=role,
            view=None if None in views or not views else min(str(view) for view in views),
            purposes=tuple(stated for stated, _ in allowed if stated is not None),
            any_purpose=any(stated is None for stated, _ in allowed),
            rules=tuple(dict.fromkeys(answer.rule for _, answer in allowed)),
        )
