"""Decisions a second, by the compiled table and by Casbin, in one run.

Run it: `python tests/benchmarks/bench_authz.py`. The cases are a coach's, a physician's and a friend's
questions about somebody's rows, so that relations and conditions are looked at; both sides answer the same
questions and must agree. The larger policies are filled in the worst way: with rules that match and whose
condition then fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Question
from authz.facts import MemoryFacts, RelationshipFact
from authz.identity.subject import Subject
from authz.policies.case import Case, party_of
from authz.policies.engine import PolicyEngine
from authz.policies.rules import Policy, read_policy, stadion_policy
from authz.policies.table import DecisionTable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY_LINES = (50, 103, 200, 1_000, 10_000)
OBJECTS, FIELDS = 1_000, 10

PEOPLE = (
    (
        Subject("coach", frozenset({Role.TRAINER}), acr=1),
        Relation.COACH,
        frozenset({"training", "clearance"}),
    ),
    (
        Subject("doc", frozenset({Role.MEDICAL_SPECIALIST}), acr=2, region="NL"),
        Relation.TREATING,
        frozenset(),
    ),
    (Subject("friend", frozenset({Role.ATHLETE}), acr=1), Relation.FRIEND, frozenset()),
)


def cases() -> list[Case]:
    """Every person × every class, for one athlete."""
    return [
        Case(
            subject,
            Question(
                "athlete",
                data_class,
                "read",
                purpose=Purpose.TREATMENT,
                visibility=Visibility.FRIENDS,
            ),
            (RelationshipFact(subject.id or "", relation, "athlete", scopes, NOW, None, 1),),
            (),
            NOW,
        )
        for subject, relation, scopes in PEOPLE
        for data_class in DataClass
    ]


def policy_of(lines: int) -> Policy:
    """The shipped policy cut to `lines`, or filled up with further coach rules that match and do not hold."""
    shipped = list(stadion_policy().lines())
    filling = [
        f"p, extra-{number}, trainer+coach, {data_class}, read, link:extra-{number}, full, allow"
        for number in range(max(0, lines - len(shipped)))
        for data_class in [list(DataClass)[number % len(DataClass)]]
    ]
    return read_policy("\n".join([*filling, *shipped][:lines]))


def per_second(work: Callable[[], object], *, answers: int, seconds: float) -> float:
    """How many answers a second `work` gives, measured for at least `seconds`."""
    work()
    rounds, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        work()
        rounds += 1
    return answers * rounds / elapsed


def compare(lines: int) -> None:
    """One line of the first table."""
    policy, asked = policy_of(lines), cases()
    engine, table = PolicyEngine(policy), DecisionTable(policy)
    parties = [party_of(case.subject, case.question.owner_id, case.facts) for case in asked]
    few = asked[:3] if lines > 1_000 else asked

    def by_casbin() -> list[tuple[bool, str | None]]:
        answers = [engine.decide(party, case) for party, case in zip(parties, few, strict=False)]
        return [(answer.allowed, answer.mask) for answer in answers]

    def by_table() -> list[tuple[bool, str | None]]:
        answers = [
            table.cell(party, case.question).decide(case) for party, case in zip(parties, asked, strict=True)
        ]
        return [(answer.allowed, answer.mask) for answer in answers]

    if by_casbin() != by_table()[: len(few)]:
        raise SystemExit("the table and Casbin disagree")
    slow = per_second(by_casbin, answers=len(few), seconds=1.0)
    fast = per_second(by_table, answers=len(asked), seconds=0.5)
    print(f"{lines:>8} {slow:>14,.0f} {fast:>14,.0f} {fast / slow:>9,.0f}×")


async def request_cost() -> None:
    """What a request of many objects pays, from an empty memo and from a full one."""
    facts = MemoryFacts()
    coach = PEOPLE[0][0]
    owners = [f"athlete-{number}" for number in range(OBJECTS)]
    for owner in owners:
        facts.put(RelationshipFact("coach", Relation.COACH, owner, frozenset({"training"}), NOW, None, 1))
    authorizer = Authorizer(facts, clock=lambda: NOW)
    classes: Sequence[DataClass] = list(DataClass)[:FIELDS]
    questions = [Question(owner, data_class) for owner in owners for data_class in classes]
    request = authorizer.for_request(coach)
    await request.load_owners(owners)
    began = time.perf_counter()
    for question in questions:
        request.decide_now(question)
    fresh = time.perf_counter() - began
    began = time.perf_counter()
    for question in questions:
        request.decide_now(question)
    known = time.perf_counter() - began
    began = time.perf_counter()
    await authorizer.for_request(coach).decide(questions)
    whole = time.perf_counter() - began
    print(f"\na request of {OBJECTS} owners × {FIELDS} classes = {len(questions)} questions")
    print(f"  decided for the first time  {fresh / len(questions) * 1e6:6.2f} µs each")
    print(f"  asked again                 {known / len(questions) * 1e6:6.2f} µs each")
    print(f"  with the batch of facts     {whole * 1e3:6.1f} ms in all")


def main() -> None:
    """Print both tables."""
    print(f"{'rules':>8} {'Casbin /s':>14} {'table /s':>14} {'faster':>10}")
    for lines in POLICY_LINES:
        compare(lines)
    asyncio.run(request_cost())


if __name__ == "__main__":
    main()
