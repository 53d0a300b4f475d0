"""Whatever is done to the chain past the program is found, and found where it was done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from datastores.errors import StoreError
from subgraphs.audit import store
from subgraphs.audit.model import (
    FIRST_PREV_HASH,
    AuditRecord,
    Checkpoint,
    Damage,
    Seal,
    canonical,
    check_chain,
    linked,
)
from tests.kit_subgraphs.audit import NOON, Office, event_of, touched

SEAL = Seal(b"s" * 32)


def chain_of(length: int) -> list[AuditRecord]:
    """A sound chain in memory."""
    chain: list[AuditRecord] = []
    prev_hash = FIRST_PREV_HASH
    for number in range(1, length + 1):
        bare = AuditRecord(
            number=0, id=f"r{number}", event_id=f"e{number}", entry=0, at="2026-03-01T12:00:00.000000Z",
            subgraph="medical", actor="a" * 32, on_behalf_of=None, client=None, session=None,
            purpose="TREAT", action="read", target=f"{number:032x}", data_class="CLINICAL",
            fields=("MedicalRecord.conditions",), decision="allow", rule="clinical-treating",
            outcome="shown", trace_id="1" * 32, prev_hash="", hash="",
        )  # fmt: skip
        chain.append(linked(bare, number=number, prev_hash=prev_hash))
        prev_hash = chain[-1].hash
    return chain


def words_about(chain: list[AuditRecord]) -> tuple[list[Checkpoint], Checkpoint]:
    """The checkpoints and the head that were signed for a sound chain."""
    checkpoints = [SEAL.checkpoint(r.number, r.hash, r.at) for r in chain if r.number % 100 == 0]
    return checkpoints, SEAL.checkpoint(chain[-1].number, chain[-1].hash, chain[-1].at)


def found(chain: list[AuditRecord], sound: list[AuditRecord]) -> list[tuple[str, int]]:
    """What a check says of `chain`, where `sound` is what was signed."""
    return [(damage.code, damage.number) for damage in check_chain(chain, *words_about(sound), SEAL)]


def rechained(chain: list[AuditRecord]) -> list[AuditRecord]:
    """What a forger who knows the format but not the key makes of a changed chain."""
    made: list[AuditRecord] = []
    for number, record in enumerate(chain, start=1):
        made.append(linked(record, number=number, prev_hash=made[-1].hash if made else FIRST_PREV_HASH))
    return made


def test_a_sound_chain_has_no_damage() -> None:
    chain = chain_of(250)
    assert found(chain, chain) == []


def test_the_hash_is_over_canonical_json_without_the_hash() -> None:
    record = chain_of(1)[0]
    parsed = json.loads(canonical(record))
    assert "hash" not in parsed and parsed["prev_hash"] == "0" * 64
    assert canonical(record).decode() == json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    assert record.hash == hashlib.sha256(canonical(record)).hexdigest()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_single_edit_is_found_at_its_record(data: st.DataObject) -> None:
    sound = chain_of(12)
    place = data.draw(st.integers(0, 11))
    name = data.draw(
        st.sampled_from(["actor", "target", "decision", "rule", "outcome", "at", "fields", "purpose", "hash"])
    )
    edited = ("User.handle",) if name == "fields" else "x"
    chain = [replace(r, **{name: edited}) if i == place else r for i, r in enumerate(sound)]
    assert ("EDITED", place + 1) in found(chain, sound)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_removal_is_found_with_its_extent(data: st.DataObject) -> None:
    sound = chain_of(12)
    first = data.draw(st.integers(1, 12))
    last = data.draw(st.integers(first, 12))
    chain = [r for r in sound if not first <= r.number <= last]
    if not chain:
        return
    damages = check_chain(chain, *words_about(sound), SEAL)
    assert [(damage.code, damage.number) for damage in damages] == [("REMOVED", first)]
    if last > first:
        assert str(last) in damages[0].message


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10), st.integers(1, 11))
def test_swapped_records_are_found(one: int, other: int) -> None:
    sound = chain_of(12)
    if one == other:
        return
    a, b = sound[one], sound[other]
    chain = sorted(
        [*(r for r in sound if r not in (a, b)), replace(a, number=b.number), replace(b, number=a.number)],
        key=lambda r: r.number,
    )
    places = {number for code, number in found(chain, sound) if code == "EDITED"}
    assert places == {a.number, b.number}


def test_a_record_moved_with_a_fresh_hash_breaks_the_link_to_its_neighbour() -> None:
    sound = chain_of(5)
    forged = replace(sound[2], actor="b" * 32)
    forged = linked(forged, number=3, prev_hash=sound[1].hash)
    assert found([*sound[:2], forged, *sound[3:]], sound) == [("REORDERED", 4)]


@pytest.mark.parametrize("edited", [1, 99, 150, 201, 250])
def test_a_chain_that_was_rehashed_from_an_edit_on_contradicts_what_was_signed(edited: int) -> None:
    sound = chain_of(250)
    changed = [replace(r, decision="deny") if r.number == edited else r for r in sound]
    damages = check_chain(rechained(changed), *words_about(sound), SEAL)
    assert damages and {damage.code for damage in damages} == {"REWRITTEN"}
    trusted = (edited - 1) // 100 * 100
    assert damages[0].message.endswith(f"rewritten after record {trusted}")


def test_a_forged_signature_a_lost_checkpoint_and_a_lost_head_are_told() -> None:
    sound = chain_of(120)
    checkpoints, head = words_about(sound)
    other = Seal(b"o" * 32)
    forged = other.checkpoint(100, sound[99].hash, sound[99].at)
    assert [d.code for d in check_chain(sound, [forged], head, SEAL)] == ["FORGED_CHECKPOINT"]
    assert [d.code for d in check_chain(sound, [], head, SEAL)] == ["NO_CHECKPOINT"]
    assert [d.code for d in check_chain(sound, checkpoints, None, SEAL)] == ["NO_HEAD"]
    broken = replace(head, signature="zz")
    assert [d.code for d in check_chain(sound, checkpoints, broken, SEAL)] == ["FORGED_HEAD"]


async def test_a_stored_chain_is_sound_across_checkpoints(office: Office) -> None:
    await office.fill(230)
    report = await office.relational.read(lambda c: store.check_chain(c, office.log.seal))
    assert (report.records, report.checkpoints, report.damages) == (230, 2, ())


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE audit_records SET decision = 'deny' WHERE number = 17", ("EDITED", 17)),
        ("UPDATE audit_records SET fields = 'nothing' WHERE number = 3", ("EDITED", 3)),
        ("DELETE FROM audit_records WHERE number = 12", ("REMOVED", 12)),
        ("DELETE FROM audit_records WHERE number > 20", ("REMOVED", 21)),
        ("DELETE FROM audit_head", ("NO_HEAD", 25)),
    ],
)
async def test_damage_to_the_stored_chain_is_found(
    office: Office, statement: str, expected: tuple[str, int]
) -> None:
    await office.fill(25)
    await office.tamper(statement)
    assert [(damage.code, damage.number) for damage in await office.damages()] == [expected]


async def test_reordering_the_stored_chain_is_found_at_both_places(office: Office) -> None:
    await office.fill(25)
    await office.tamper(
        "UPDATE audit_records SET number = 1000 WHERE number = 5",
        "UPDATE audit_records SET number = 5 WHERE number = 9",
        "UPDATE audit_records SET number = 9 WHERE number = 1000",
    )
    damages = await office.damages()
    assert {damage.number for damage in damages if damage.code == "EDITED"} == {5, 9}


async def test_the_database_refuses_changes_by_the_program(office: Office) -> None:
    await office.fill(5)
    for statement in ("UPDATE audit_records SET rule = 'x'", "DELETE FROM audit_records"):

        def work(connection: Connection, statement: str = statement) -> None:
            connection.execute(text(statement))

        with pytest.raises((StoreError, Exception), match="append-only"):
            await office.relational.write(work)
    assert await office.damages() == []


async def test_an_event_that_comes_twice_is_recorded_once(office: Office) -> None:
    event = event_of(touched("mira"), touched("bob"))
    await office.take(event, event, event_of(touched("mira")), event)
    assert await office.relational.read(lambda c: store.count_records(c, store.RecordFilter())) == 3
    assert await office.damages() == []


async def test_no_id_of_a_person_is_in_the_chain_and_erasing_one_leaves_it_sound(office: Office) -> None:
    await office.take(event_of(touched("mira")))

    def rows(connection: Connection) -> str:
        return str(connection.execute(text("SELECT * FROM audit_records")).all())

    kept = await office.relational.read(rows)
    assert "mira" not in kept and "lind" not in kept and "s-lind" not in kept
    name = office.log.pseudonyms.of("subject", "mira")
    await office.relational.write(lambda c: store.forget_subject(c, name))
    assert await office.relational.read(lambda c: store.user_ids(c, [name])) == {}
    assert await office.damages() == []


def test_a_damage_reads_as_a_sentence() -> None:
    assert str(Damage("REMOVED", 7, "it was removed")) == "record 7: it was removed"
    assert NOON.tzinfo is not None
