"""Facts as they are, and some that are only supposed: what a decision would be, before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.store import UNRELATED, Facts, Standing


@dataclass(frozen=True, slots=True)
class SupposedFacts:
    """`facts` with `consents` besides; see `Facts` for its promises. Nothing is ever put into it."""

    facts: Facts
    consents: tuple[ConsentFact, ...]

    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        """See `Facts.load`."""
        known = await self.facts.load(subject_id, owner_ids)
        return self._with_supposed(subject_id, known, set(owner_ids))

    async def relations(
        self, subject_id: str, owner_ids: Sequence[str]
    ) -> Mapping[str, Sequence[RelationshipFact]]:
        """See `Facts.relations`."""
        return await self.facts.relations(subject_id, owner_ids)

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        """See `Facts.of_subject`."""
        known = await self.facts.of_subject(subject_id)
        return self._with_supposed(subject_id, known, {each.patient_id for each in self.consents})

    async def apply_event(self, payload: Mapping[str, Any]) -> None:
        """Errors: TypeError always: what is supposed is not written."""
        raise TypeError("supposed facts take no events")

    def _with_supposed(
        self, subject_id: str, known: Mapping[str, Standing], owner_ids: set[str]
    ) -> Mapping[str, Standing]:
        found = dict(known)
        for consent in self.consents:
            if consent.patient_id in owner_ids and consent.actor_id in (None, subject_id):
                standing = found.get(consent.patient_id, UNRELATED)
                found[consent.patient_id] = Standing(standing.relations, (*standing.consents, consent))
        return found
