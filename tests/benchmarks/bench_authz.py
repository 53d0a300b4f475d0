"""The policy at 50 to 10 000 lines beside Casbin: decisions a second, loading, checking, comparing, memory.

Run it: `python tests/benchmarks/bench_authz.py`. The cases are a coach's, a physician's and a friend's
questions about somebody's rows, so that relations and conditions are looked at; both sides answer the same
questions and must agree. The larger policies are filled in the worst way: with rules that match and whose
condition then fails. All times are CPU time.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Question
from authz.facts import MemoryFacts, RelationshipFact
from authz.identity.subject import Subject
from authz.policies.case import Case, party_of
from authz.policies.diff import differences
from authz.policies.engine import PolicyEngine
from authz.policies.reach import unreachable
from authz.policies.rules import Policy, read_policy, stadion_policy
from authz.policies.table import DecisionTable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY_LINES = (50, 500, 2_000, 10_000)
OBJECTS, FIELDS = 1_000, 10

PEOPLE: tuple[tuple[Subject, Relation, frozenset[str]], ...] = (
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


def text_of(lines: int) -> str:
    """The shipped policy cut to `lines`, or filled up with further coach rules that match and do not hold."""
    shipped = list(stadion_policy().lines())
    filling = [
        f"p, extra-{number}, trainer+coach, {data_class}, read, link:extra-{number}, full, allow"
        for number, data_class in zip(range(max(0, lines - len(shipped))), cycle(DataClass), strict=False)
    ]
    return "\n".join([*filling, *shipped][:lines])


def changed(text: str) -> str:
    """One rule in ten opens something else."""
    lines = text.splitlines()
    return "\n".join(
        line.replace(", read, ", ", write, ") if number % 10 == 0 else line
        for number, line in enumerate(lines)
    )


def cpu_ms(work: Callable[[], object], *, rounds: int = 3) -> float:
    """The least CPU time of some rounds, in milliseconds."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append((time.process_time() - began) * 1e3)
    return min(spent)


def kept_mib(make: Callable[[], object]) -> float:
    """What is in memory for what `make` gives, in MiB."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = make()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return (after - before) / 2**20


def per_second(work: Callable[[], object], *, answers: int, seconds: float) -> float:
    """How many answers a CPU second `work` gives, measured for at least `seconds`."""
    work()
    rounds, began = 0, time.process_time()
    while (elapsed := time.process_time() - began) < seconds:
        work()
        rounds += 1
    return answers * rounds / elapsed


def decide_all(table: DecisionTable, asked: Sequence[Case]) -> list[tuple[bool, str | None]]:
    """Every case by the table."""
    answers = [
        table.cell(party_of(case.subject, case.question.owner_id, case.facts), case.question).decide(case)
        for case in asked
    ]
    return [(answer.allowed, answer.mask) for answer in answers]


def compare_decisions(lines: int, policy: Policy) -> None:
    """One line of the first table."""
    asked = cases()
    engine, table = PolicyEngine(policy), DecisionTable(policy)
    few = list(islice(asked, 3 if lines > 1_000 else None))

    def by_casbin() -> list[tuple[bool, str | None]]:
        answers = [
            engine.decide(party_of(case.subject, case.question.owner_id, case.facts), case) for case in few
        ]
        return [(answer.allowed, answer.mask) for answer in answers]

    if by_casbin() != decide_all(table, few):
        raise SystemExit("the table and Casbin disagree")
    slow = per_second(by_casbin, answers=len(few), seconds=0.5)
    fast = per_second(lambda: decide_all(table, asked), answers=len(asked), seconds=0.5)
    print(f"{lines:>8} {slow:>14,.0f} {fast:>14,.0f} {fast / slow:>9,.0f}×")


def compare_loading(lines: int) -> None:
    """One line of the second table."""
    text = text_of(lines)
    policy, other, asked = read_policy(text), read_policy(changed(text)), cases()
    casbin_ms = cpu_ms(lambda: PolicyEngine(policy), rounds=1)
    read_ms = cpu_ms(lambda: read_policy(text))
    compile_ms = cpu_ms(lambda: decide_all(DecisionTable(policy), asked))
    check_ms = cpu_ms(lambda: unreachable(policy))
    diff_ms = cpu_ms(lambda: differences(policy, other))
    table_mib = kept_mib(lambda: _used(read_policy(text), asked))
    casbin_mib = kept_mib(lambda: PolicyEngine(policy))
    print(
        f"{lines:>8} {casbin_ms:>10.1f} {read_ms:>9.1f} {compile_ms:>9.1f} {check_ms:>9.1f} {diff_ms:>9.1f}"
        f" {casbin_mib:>11.2f} {table_mib:>9.2f}"
    )


def _used(policy: Policy, asked: Sequence[Case]) -> DecisionTable:
    table = DecisionTable(policy)
    decide_all(table, asked)
    return table


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
    everybody = frozenset(owners)
    fresh = cpu_ms(lambda: [request.decide_now(each) for each in questions], rounds=1)
    known = cpu_ms(lambda: [request.decide_now(each) for each in questions])
    likes = [Question(None, data_class) for data_class in classes]
    open_ = cpu_ms(lambda: [request.closed_among(everybody, like) for like in likes])
    began = time.process_time()
    await authorizer.for_request(coach).decide(questions)
    whole = (time.process_time() - began) * 1e3
    print(f"\na request of {OBJECTS} owners × {FIELDS} classes = {len(questions)} questions, CPU time")
    print(f"  decided one by one          {fresh / len(questions) * 1e3:6.2f} µs each")
    print(f"  asked again                 {known / len(questions) * 1e3:6.2f} µs each")
    print(f"  by standing, all at once    {open_ / len(questions) * 1e3:6.2f} µs each")
    print(f"  with the batch of facts     {whole:6.1f} ms in all")


def main() -> None:
    """Print the tables."""
    print(f"{'rules':>8} {'Casbin /s':>14} {'table /s':>14} {'faster':>10}")
    for lines in POLICY_LINES:
        compare_decisions(lines, read_policy(text_of(lines)))
    print(f"\n{'rules':>8} {'Casbin ms':>10} {'read ms':>9} {'compile':>9} {'check':>9} {'diff':>9}", end="")
    print(f" {'Casbin MiB':>11} {'ours MiB':>9}")
    for lines in POLICY_LINES:
        compare_loading(lines)
    asyncio.run(request_cost())


if __name__ == "__main__":
    main()
