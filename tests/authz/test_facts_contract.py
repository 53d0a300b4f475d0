"""What every adapter of the facts port promises."""

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from authz.classes import DataClass, Purpose, Relation
from authz.errors import FactInvalid
from authz.facts.relational import VERSION_TABLE, RelationalFacts
from authz.facts.store import OWNERS_PER_BATCH_MAX
from authz.facts.tables import metadata
from tests.kit_authz.people import NOW, a_consent, a_fact


async def test_facts_come_back_as_they_were_published(facts):
    coach = a_fact("coach", Relation.COACH, "ann", "training", "plan", until=NOW + timedelta(days=30))
    consent = a_consent(
        "ann",
        "permit",
        actor_id="coach",
        purpose=Purpose.TREATMENT,
        data_class=DataClass.CLINICAL_RESTRICTED,
        labels=frozenset({"mental", "hiv"}),
        until=NOW + timedelta(hours=1),
    )
    await facts.apply_event(coach.as_payload())
    await facts.apply_event(consent.as_payload())

    standing = (await facts.load("coach", ["ann", "bob"]))["ann"]
    assert standing.relations == (coach,)
    assert standing.consents == (consent,)
    assert dict(await facts.relations("coach", ["ann"])) == {"ann": (coach,)}


async def test_an_older_or_repeated_event_changes_nothing(facts):
    ended = a_fact("coach", Relation.COACH, "ann", until=NOW, version=3)
    await facts.apply_event(ended.as_payload())
    await facts.apply_event(a_fact("coach", Relation.COACH, "ann", "training", version=2).as_payload())
    await facts.apply_event(a_fact("coach", Relation.COACH, "ann", "plan", version=3).as_payload())

    assert (await facts.load("coach", ["ann"]))["ann"].relations == (ended,)


async def test_an_older_consent_does_not_undo_a_newer_one(facts):
    deny = a_consent("ann", "deny", version=2)
    await facts.apply_event(deny.as_payload())
    await facts.apply_event(a_consent("ann", "permit", version=1).as_payload())

    assert (await facts.load("doc", ["ann"]))["ann"].consents == (deny,)


async def test_what_is_assigned_of_a_circle_is_of_each_of_its_members(facts):
    role = a_fact("ada", Relation.ASSIGNED, "organisation:rowers", "administrator", until=NOW)
    ann = a_fact("ann", Relation.MEMBER, "organisation:rowers", since=NOW - timedelta(hours=1))
    bob = a_fact("bob", Relation.MEMBER, "organisation:rowers", until=NOW - timedelta(minutes=1))
    for fact in (role, ann, bob, a_fact("cleo", Relation.MEMBER, "organisation:runners")):
        await facts.apply_event(fact.as_payload())

    about_ann = a_fact("ada", Relation.ASSIGNED, "ann", "administrator", since=ann.valid_from_utc, until=NOW)
    about_bob = a_fact("ada", Relation.ASSIGNED, "bob", "administrator", until=bob.valid_until_utc)
    loaded = await facts.load("ada", ["ann", "bob", "cleo"])
    assert {owner: each.relations for owner, each in loaded.items() if each.relations} == {
        "ann": (about_ann,),
        "bob": (about_bob,),
    }
    assert {owner: each.relations for owner, each in (await facts.of_subject("ada")).items()} == {
        "ann": (about_ann,),
        "bob": (about_bob,),
    }
    assert await facts.of_subject("ann") == {}  # being a member says nothing of others by itself


async def test_a_block_is_seen_from_both_sides_and_other_relations_from_one(facts):
    block = a_fact("ann", Relation.BLOCKED, "bob")
    friend = a_fact("ann", Relation.FRIEND, "cleo")
    await facts.apply_event(block.as_payload())
    await facts.apply_event(friend.as_payload())

    assert (await facts.load("ann", ["bob"]))["bob"].relations == (block,)
    assert (await facts.load("bob", ["ann"]))["ann"].relations == (block,)
    assert (await facts.load("ann", ["cleo"]))["cleo"].relations == (friend,)
    assert "ann" not in await facts.load("cleo", ["ann"])


async def test_consents_about_others_are_not_loaded(facts):
    await facts.apply_event(a_consent("ann", "deny", actor_id="somebody-else").as_payload())
    await facts.apply_event(a_consent("bob", "deny", consent_id="c2").as_payload())

    loaded = await facts.load("doc", ["ann", "bob"])
    assert "ann" not in loaded
    assert len(loaded["bob"].consents) == 1


async def test_a_batch_larger_than_one_statement_is_whole(facts):
    owners = [f"owner-{number}" for number in range(1_203)]
    for owner in (owners[0], owners[700], owners[-1]):
        await facts.apply_event(a_fact("coach", Relation.COACH, owner).as_payload())

    assert set(await facts.load("coach", owners)) == {owners[0], owners[700], owners[-1]}


async def test_a_batch_past_the_limit_is_refused(facts):
    with pytest.raises(ValueError, match="5000 owners at most"):
        await facts.load("coach", ["x"] * (OWNERS_PER_BATCH_MAX + 1))


async def test_all_that_is_known_about_a_subject_is_found_without_naming_owners(facts):
    await facts.apply_event(a_fact("coach", Relation.COACH, "ann").as_payload())
    await facts.apply_event(a_fact("bob", Relation.BLOCKED, "coach").as_payload())
    await facts.apply_event(a_consent("cleo", "deny").as_payload())
    await facts.apply_event(a_fact("other", Relation.COACH, "dave").as_payload())

    assert set(await facts.of_subject("coach")) == {"ann", "bob", "cleo"}


@pytest.mark.parametrize(
    "change",
    [
        {"relation": "owner"},
        {"subject_id": ""},
        {"subject_id": None},
        {"subject_id": "x" * 201},
        {"version": "1"},
        {"version": True},
        {"valid_from_utc": "2026-01-01T00:00:00"},
        {"valid_from_utc": "yesterday"},
        {"scopes": "training"},
        {"scopes": ["s"] * 129},
        {"scopes": [1]},
    ],
)
async def test_a_relationship_event_of_another_shape_is_refused(facts, change):
    payload = a_fact("coach", Relation.COACH, "ann").as_payload() | change
    with pytest.raises(FactInvalid):
        await facts.apply_event(payload)
    assert not await facts.load("coach", ["ann"])


@pytest.mark.parametrize(
    "change", [{"decision": "maybe"}, {"data_class": "SECRET"}, {"purpose": "FUN"}, {"patient_id": 7}]
)
async def test_a_consent_event_of_another_shape_is_refused(facts, change):
    with pytest.raises(FactInvalid):
        await facts.apply_event(a_consent("ann", "deny").as_payload() | change)


@pytest.mark.parametrize("missing", ["subject_id", "relation", "object_id", "valid_from_utc", "version"])
async def test_a_relationship_event_without_a_field_is_refused(facts, missing):
    payload = a_fact("coach", Relation.COACH, "ann").as_payload()
    del payload[missing]
    with pytest.raises(FactInvalid):
        await facts.apply_event(payload)


@pytest.mark.parametrize("unopened_facts", ["sqlite", "postgresql"], indirect=True)
async def test_the_migrations_make_the_tables_that_the_code_uses(facts, unopened_facts):
    besides = {VERSION_TABLE}
    if unopened_facts.dialect == "sqlite":
        besides.add("authz_facts_gathered")  # its index alone

    def differences(connection):
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda item, name, kind, *_: name not in besides}
        )
        return compare_metadata(context, metadata)

    assert await unopened_facts.read(differences) == []


@pytest.mark.parametrize("unopened_facts", ["sqlite", "postgresql"], indirect=True)
async def test_opening_again_keeps_the_facts(facts, unopened_facts):
    await facts.apply_event(a_fact("coach", Relation.COACH, "ann").as_payload())
    again = RelationalFacts(unopened_facts)
    await again.open()
    assert set(await again.load("coach", ["ann"])) == {"ann"}


async def test_who_is_erased_is_forgotten_and_late_events_bring_nothing_back(facts):
    for known in (
        a_fact("coach", Relation.COACH, "athlete"),
        a_fact("athlete", Relation.FRIEND, "other"),
        a_fact("coach", Relation.COACH, "other"),
        a_consent("athlete", "permit", actor_id="coach"),
    ):
        await facts.apply_event(known.as_payload())
    await facts.forget("athlete")
    late = a_fact("coach", Relation.COACH, "athlete", version=9)
    await facts.apply_event(late.as_payload())
    await facts.apply_event(a_consent("athlete", "permit", version=9).as_payload())
    assert set(await facts.of_subject("coach")) == {"other"}
    assert await facts.of_subject("athlete") == {}
