"""What a request leaves behind: one access, kept before the answer leaves, or with the change it tells of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
import strawberry
from sqlalchemy import Connection, text
from strawberry.types.info import Info

from authz.classes import DataClass, Role
from authz.identity.subject import ANONYMOUS, Subject
from authz.question import Decision, Question
from authz.trail import TOPIC, Access, Outcome, access_of
from datastores.errors import Unavailable
from datastores.events.outbox import RelationalOutbox, events_after, prepare_outbox
from datastores.relational.port import Relational
from subgraphs.kit import PublicError, RequestContext, Subgraph, classified, resolved, ruled, shapes
from subgraphs.kit.trail import OutboxLedger, TrailedWrites
from tests.kit_subgraphs.stores import open_sqlite

ANN, BOB = Subject(id="ann", session_id="s1"), Subject(id="bob", session_id="s2")


@dataclass
class Kept:
    """A ledger in memory, which may be away."""

    accesses: list[Access] = field(default_factory=list)
    away: bool = False

    async def keep(self, accesses: Sequence[Access]) -> None:
        if self.away:
            raise Unavailable("the disk is full")
        self.accesses.extend(accesses)


class Says:
    """Bob may not read what is SECURITY; everything else is allowed."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Decision:
        refused = self.subject.id == "bob" and question.data_class is DataClass.SECURITY
        return Decision(not refused, "default-deny" if refused else "rule-a")


class Authority:
    def for_request(self, subject: Subject) -> Says:
        return Says(subject)


SHAPING = strawberry.argument(metadata=shapes())
WRITING = strawberry.argument(metadata=ruled(by="CLINICAL write of the owner"))


@classified(DataClass.CLINICAL)
@strawberry.type
class Finding:
    owner_id: strawberry.Private[str]
    words: str | None
    shade: str | None = strawberry.field(directives=[classified(DataClass.TRAINING)])
    secret: str | None = strawberry.field(directives=[classified(DataClass.SECURITY)])


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @strawberry.field
    def findings(self, owners: Annotated[list[str], SHAPING]) -> list[Finding]:
        return [Finding(owner_id=each, words=f"of {each}", shade="x", secret="y") for each in owners]


@dataclass(kw_only=True)
class Context(RequestContext):
    store: Any = None


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    @resolved()
    async def note(
        self, info: Info[Context, None], word: Annotated[str, WRITING], owner: Annotated[str, WRITING]
    ) -> int | None:
        """Write a word down, twice; `fail` fails after that, `refuse` refuses before."""
        await info.context.decision(owner, DataClass.CLINICAL, "write")
        if word == "refuse":
            raise PublicError("NO", "no")

        def work(connection: Connection) -> None:
            connection.execute(text("INSERT INTO words VALUES (:word)"), {"word": word})
            if word == "broken":
                raise RuntimeError("broken")

        if word != "idle":
            await info.context.store.write(work)
            await info.context.store.write(lambda c: c.execute(text("SELECT 1")).scalar())
        return 1


def subgraph_with(ledger: Any, store: Any = None) -> Subgraph[Context]:
    subgraph = Subgraph(
        name="lab", query=Query, mutation=Mutation, authorizer=Authority(),
        context=lambda subject, decisions: Context(subject=subject, decisions=decisions, store=store),
    )  # fmt: skip
    subgraph.record_in(ledger)
    return subgraph


async def accesses(query: str, subject: Subject, **variables: Any) -> list[Access]:
    kept = Kept()
    await subgraph_with(kept).execute(query, variables, None, subject)
    return kept.accesses


READ = "query($o: [String!]!) { findings(owners: $o) { words shade } }"


async def test_all_rows_of_an_owner_are_one_part_of_one_access() -> None:
    [access] = await accesses(READ, BOB, o=["ann", "ann", "eve"])
    assert (access.actor_id, access.session_id, access.subgraph) == ("bob", "s2", "lab")
    found = [(t.target_id, t.fields, t.allowed, t.rule, t.outcome) for t in access.touched]
    assert found == [
        ("ann", ("Finding.words",), True, "rule-a", Outcome.SHOWN),
        ("eve", ("Finding.words",), True, "rule-a", Outcome.SHOWN),
    ]


async def test_ones_own_and_what_is_not_protected_leave_nothing() -> None:
    assert await accesses(READ, ANN, o=["ann"]) == []
    assert await accesses('{ findings(owners: ["ann"]) { shade __typename } }', BOB) == []


async def test_ones_own_through_a_partner_is_recorded_with_who_lent_the_right() -> None:
    partner = Subject(id="ann", roles=frozenset({Role.PARTNER}), client_id="app")
    [access] = await accesses(READ, partner, o=["ann"])
    assert (access.actor_id, access.on_behalf_of_id, access.client_id) == ("app", "ann", "app")


async def test_a_field_that_was_skipped_was_not_read() -> None:
    query = """query($o: [String!]!) { findings(owners: $o) { words @skip(if: true) shade } }"""
    assert await accesses(query, BOB, o=["ann"]) == []


async def test_a_refused_field_is_recorded_as_refused() -> None:
    [access] = await accesses('{ findings(owners: ["ann"]) { words secret } }', BOB)
    assert [(t.data_class, t.allowed, t.outcome) for t in access.touched] == [
        ("CLINICAL", True, Outcome.SHOWN),
        ("SECURITY", False, Outcome.REFUSED),
    ]


async def test_an_answer_whose_record_cannot_be_kept_does_not_leave() -> None:
    answer = await subgraph_with(Kept(away=True)).execute(READ, {"o": ["ann"]}, None, BOB)
    assert answer["data"] is None
    assert answer["errors"][0]["message"] == "internal error"
    fine = await subgraph_with(Kept(away=True)).execute(READ, {"o": ["bob"]}, None, BOB)
    assert fine["data"]["findings"][0]["words"] == "of bob"


async def test_many_owners_are_cut_into_several_accesses() -> None:
    owners = [f"o{number}" for number in range(1_200)]
    found = await accesses(READ, BOB, o=owners)
    assert [len(access.touched) for access in found] == [500, 500, 200]


@dataclass
class Lab:
    store: Relational
    subgraph: Subgraph[Context]

    async def note(self, word: str, subject: Subject = BOB) -> list[tuple[str, ...]]:
        """What the mutation left in the outbox, and in the words."""
        query = 'mutation($w: String!) { note(word: $w, owner: "ann") }'
        await self.subgraph.execute(query, {"w": word}, None, subject)
        found = await self.store.read(lambda c: events_after(c, 0, limit=100, topics=[TOPIC]))
        return [
            (str(t.target_id), t.action, t.outcome.value, *t.fields)
            for _, event in found
            for t in access_of(event.payload).touched
        ]

    async def words(self) -> list[str]:
        return await self.store.read(
            lambda c: [row.word for row in c.execute(text("SELECT word FROM words"))]
        )


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_sqlite(tmp_path, "lab") as store:
        await prepare_outbox(store)
        await store.write(lambda c: c.execute(text("CREATE TABLE words (word TEXT)")))
        outbox = RelationalOutbox()
        yield Lab(store, subgraph_with(OutboxLedger(store, outbox), TrailedWrites(store, outbox)))


async def test_a_change_and_its_record_are_one_transaction(lab: Lab) -> None:
    assert await lab.note("hello") == [("ann", "write", "changed", "Mutation.note")]
    assert await lab.words() == ["hello"]


async def test_a_change_that_is_rolled_back_is_recorded_as_failed(lab: Lab) -> None:
    assert await lab.note("broken") == [("ann", "write", "failed", "Mutation.note")]
    assert await lab.words() == []


@pytest.mark.parametrize(("word", "outcome"), [("idle", "unchanged"), ("refuse", "refused")])
async def test_a_mutation_that_changes_nothing_is_recorded_too(lab: Lab, word: str, outcome: str) -> None:
    assert await lab.note(word) == [("ann", "write", outcome, "Mutation.note")]


async def test_an_anonymous_mutation_is_recorded(lab: Lab) -> None:
    assert await lab.note("hello", ANONYMOUS) == [("ann", "write", "changed", "Mutation.note")]
