"""What is remembered of a subject holds until its facts change, whichever process changes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TypeAlias

import pytest

from authz import remembered
from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer, Question
from authz.facts.changes import CHANGES_PER_LOOK_MAX
from authz.facts.relational import RelationalFacts
from authz.facts.tables import authz_changes
from authz.identity.subject import Subject
from datastores.relational.port import Relational
from tests.kit_authz.people import NOW, Clock, a_consent, a_fact

pytestmark = pytest.mark.parametrize("unopened_facts", ["sqlite", "postgresql"], indirect=True)
OWNERS = ("ann", "bob", "cy")
LOOK_EVERY_S = 0.5


def a_subject(subject_id: str) -> Subject:
    return Subject(subject_id, frozenset({Role.TRAINER}), acr=1)


class Process:
    """One process with its own memory; the time that it counts, and how often it asked the store."""

    def __init__(self, store: Relational, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        self.facts = RelationalFacts(store)
        self.elapsed_s = 0.0
        self.loads = self.looks = 0
        self.authorizer = Authorizer(
            self.facts, clock=clock, remember_s=LOOK_EVERY_S, elapsed_s=lambda: self.elapsed_s
        )
        load, changes_since, at_once = self.facts.load, self.facts.changes_since, self.facts.changes_at_once

        async def counted_load(*arguments: object) -> object:
            self.loads += 1
            return await load(*arguments)  # type: ignore[arg-type]

        async def counted_look(number: int) -> object:
            self.looks += 1
            return await changes_since(number)

        def counted_look_at_once(number: int) -> object:
            told = at_once(number)
            self.looks += told is not None
            return told

        monkeypatch.setattr(self.facts, "load", counted_load)
        monkeypatch.setattr(self.facts, "changes_since", counted_look)
        monkeypatch.setattr(self.facts, "changes_at_once", counted_look_at_once)

    async def readable(self, subject_id: str = "me") -> list[str]:
        """Whose training this subject may read."""
        request = self.authorizer.for_request(a_subject(subject_id))
        answers = await request.decide([Question(owner, DataClass.TRAINING) for owner in OWNERS])
        return [owner for owner, answer in zip(OWNERS, answers, strict=True) if answer.allowed]

    def asked(self) -> tuple[int, int]:
        """Loads and looks since this was asked last."""
        told = self.loads, self.looks
        self.loads = self.looks = 0
        return told


Two: TypeAlias = tuple[Process, Process]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def processes(
    facts: RelationalFacts, unopened_facts: Relational, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Two:
    """Two over one store."""
    return Process(unopened_facts, monkeypatch, clock), Process(unopened_facts, monkeypatch, clock)


async def test_only_a_look_for_changes_is_asked_again_and_only_now_and_then(
    processes: Two,
) -> None:
    here, _ = processes
    await here.facts.put(a_fact("me", Relation.COACH, "ann", "training"))
    assert (await here.readable(), here.asked()) == (["ann"], (1, 0))
    assert (await here.readable(), here.asked()) == (["ann"], (1, 1)), (
        "the first look drops what was before it"
    )
    assert (await here.readable(), here.asked()) == (["ann"], (0, 0))
    here.elapsed_s += LOOK_EVERY_S + 0.1
    assert (await here.readable(), here.asked()) == (["ann"], (0, 1))
    assert (await here.readable(), here.asked()) == (["ann"], (0, 0))


async def test_a_change_counts_at_once_here_and_after_the_next_look_elsewhere(
    processes: Two,
) -> None:
    here, there = processes
    await here.facts.put(a_fact("me", Relation.COACH, "ann", "training"))
    for _ in range(3):
        assert await here.readable() == await there.readable() == ["ann"]
    await here.facts.put(a_fact("me", Relation.COACH, "ann", "training", until=NOW, version=2))
    assert await here.readable() == []
    assert await there.readable() == ["ann"]
    there.elapsed_s += LOOK_EVERY_S + 0.1
    assert await there.readable() == []


async def test_only_whom_a_change_is_about_is_forgotten(processes: Two) -> None:
    here, _ = processes
    await here.facts.put(*(a_fact(who, Relation.COACH, "ann", "training") for who in ("me", "you")))
    for who in ("me", "you", "me", "you", "me", "you"):
        assert await here.readable(who) == ["ann"]
    here.asked()
    await here.facts.put(a_fact("me", Relation.COACH, "bob", "training"))
    assert (await here.readable("you"), here.asked()) == (["ann"], (0, 1))
    assert (await here.readable("me"), here.asked()) == (["ann", "bob"], (1, 0))
    # A block counts for both; a consent about anybody for everybody.
    await here.facts.put(a_fact("bob", Relation.BLOCKED, "me"))
    assert (await here.readable("me"), here.asked()) == (["ann"], (1, 1))
    assert (await here.readable("you"), here.asked()) == (["ann"], (0, 0))
    await here.facts.put(a_consent("ann", "deny", data_class=DataClass.TRAINING))
    await here.readable("you"), await here.readable("me")
    assert here.asked() == (2, 1)


async def test_a_consent_that_moves_away_counts_for_whom_it_was_about(
    processes: Two,
) -> None:
    here, _ = processes
    await here.facts.put(a_consent("ann", "deny", actor_id="me"))
    for _ in range(3):
        await here.readable()
    here.asked()
    await here.facts.put(a_consent("ann", "deny", actor_id="you", version=2))
    await here.readable()
    assert here.asked() == (1, 1)


async def test_who_is_erased_is_forgotten_by_all(processes: Two) -> None:
    here, _ = processes
    await here.facts.put(a_fact("me", Relation.COACH, "ann", "training"))
    for _ in range(3):
        assert await here.readable() == ["ann"]
    await here.facts.forget("ann")
    assert await here.readable() == []
    await here.facts.forget("me")
    named = await here.facts._relational.read(lambda c: set(c.execute(authz_changes.select()).scalars()))
    assert not named & {"me", "ann"}


async def test_tables_that_were_put_back_are_noticed(processes: Two, unopened_facts: Relational) -> None:
    here, there = processes
    await there.facts.put(a_fact("me", Relation.COACH, "ann", "training"))
    for _ in range(3):
        assert await here.readable() == ["ann"]
    await unopened_facts.write(lambda c: c.execute(authz_changes.delete()))
    here.asked()
    here.elapsed_s += LOOK_EVERY_S + 0.1
    await here.readable()
    assert here.asked() == (1, 1)


async def test_more_changes_than_a_look_reads_make_everybody_doubtful(
    processes: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CHANGES_PER_LOOK_MAX == 1_000
    monkeypatch.setattr("authz.facts.changes.CHANGES_PER_LOOK_MAX", 3)
    here, there = processes
    for _ in range(3):
        await here.readable()
    here.asked()
    await there.facts.put(*(a_fact(f"coach-{number}", Relation.COACH, "ann") for number in range(4)))
    here.elapsed_s += LOOK_EVERY_S + 0.1
    await here.readable()
    assert here.asked() == (1, 1)


async def test_what_was_changed_past_the_program_counts_in_the_end(
    processes: Two, clock: Clock, unopened_facts: Relational
) -> None:
    here, _ = processes
    for _ in range(3):
        await here.readable()
    here.asked()
    clock.forward(seconds=remembered.AGE_MAX.total_seconds() + 1)
    await here.readable()
    assert here.asked() == (1, 0)


async def test_no_more_circles_are_kept_than_their_number(
    processes: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "CIRCLES_MAX", 2)
    here, _ = processes
    for who in ("first", "first", "first", "second", "third"):
        await here.readable(who)
    here.asked()
    await here.readable("third")
    await here.readable("second")
    assert here.asked() == (0, 0)
    await here.readable("first")
    assert here.asked() == (1, 0)


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_changes_anywhere_each_process_decides_as_one_that_remembers_nothing(
    processes: Two, seed: int
) -> None:
    random, versions = Random(seed), iter(range(1, 1_000))

    async def change(process: Process) -> None:
        since = NOW - timedelta(days=1)
        ended = NOW if random.random() < 0.5 else None
        who, owner = random.choice(("me", "you")), random.choice(OWNERS)
        relation = random.choice((Relation.COACH, Relation.COACH, Relation.BLOCKED))
        pair = (who, owner) if relation is Relation.COACH or random.random() < 0.5 else (owner, who)
        fact = a_fact(pair[0], relation, pair[1], "training", since=since, until=ended)
        await process.facts.put(replace(fact, version=next(versions)))

    async def measure(who: str) -> list[str]:
        fresh = Authorizer(processes[0].facts, clock=lambda: NOW).for_request(a_subject(who))
        answers = await fresh.decide([Question(owner, DataClass.TRAINING) for owner in OWNERS])
        return [owner for owner, answer in zip(OWNERS, answers, strict=True) if answer.allowed]

    for _ in range(25):
        changing = random.choice(processes)
        # Readers that are under way while it changes may see either; what they leave behind must not stay.
        under_way = [process.readable(who) for process in processes for who in ("me", "you")]
        await asyncio.gather(change(changing), *under_way)
        for who in ("me", "you"):
            assert await changing.readable(who) == await measure(who)
        for process in processes:
            process.elapsed_s += LOOK_EVERY_S + 0.1
            for who in ("me", "you"):
                assert await process.readable(who) == await measure(who)
