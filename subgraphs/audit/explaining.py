"""Which rule decides what somebody sees of somebody else, told to the owner and to auditors.

An owner learns the roles only of those who have a relation to them; anybody else is explained as a stranger,
so that no question tells who holds which role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from authz.classes import DataClass, Purpose, Relation
from authz.decide import Explanation
from authz.identity.subject import Subject
from authz.question import Question
from subgraphs.kit import PublicError

_RELATIONS = frozenset(relation.value for relation in Relation if relation is not Relation.NONE)


class ExplainsRequests(Protocol):
    """The part of authz's `RequestAuthorizer` that explains."""

    async def explain(self, question: Question) -> Explanation:
        """The decision and the rules it was taken from."""
        ...


@dataclass(frozen=True, slots=True)
class Explainer:
    """`classes` are those of every field of the graph by coordinate; `person` gives a user as their
    strongest token would prove them, None for nobody; `authorize` is the process's authorizer."""

    classes: Callable[[], Mapping[str, tuple[DataClass, str]]]
    person: Callable[[str], Awaitable[Subject | None]]
    authorize: Callable[[Subject], ExplainsRequests]

    async def explain(
        self, *, owner_id: str, viewer_id: str, coordinate: str, purpose: Purpose | None, auditor: bool
    ) -> Explanation:
        """What `viewer_id` may see of `owner_id`'s field.  Errors: PublicError BAD_INPUT."""
        known = self.classes().get(coordinate)
        if known is None:
            raise PublicError("BAD_INPUT", "`coordinate` is no field of the graph: write it as `Type.field`")
        question = Question(owner_id, known[0], known[1], purpose=purpose)
        viewer = await self.person(viewer_id) or Subject(id=viewer_id, acr=1)
        explanation = await self.authorize(viewer).explain(question)
        if auditor or explanation.party & _RELATIONS:
            return explanation
        return await self.authorize(Subject(id=viewer_id, acr=1)).explain(question)
