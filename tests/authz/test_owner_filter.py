"""Row filters: a row is in the list exactly when deciding about the row allows it, in memory and in SQL."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Question
from authz.facts import MemoryFacts
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from tests.kit_authz.people import NOW, a_consent, a_fact

PEOPLE = ["ann", "bob", "cleo", "dave", "me"]

metadata = sa.MetaData()
rows = sa.Table(
    "rows",
    metadata,
    sa.Column("owner_id", sa.String),
    sa.Column("visibility", sa.String),
    sa.Column("created_by", sa.String),
)


@pytest.fixture(scope="module")
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as opened:
        metadata.create_all(opened)
        opened.execute(
            rows.insert(),
            [
                {"owner_id": owner, "visibility": level, "created_by": actor}
                for owner in [*PEOPLE, None]
                for level in [*(each.value for each in Visibility), None]
                for actor in ("me", "ann", None)
            ],
        )
        yield opened
    engine.dispose()


subjects = st.one_of(
    st.just(ANONYMOUS),
    st.builds(
        Subject,
        id=st.just("me"),
        roles=st.frozensets(st.sampled_from(Role), max_size=2),
        acr=st.integers(1, 2),
        client_id=st.sampled_from([None, "app"]),
        scopes=st.just(frozenset({"activity:read", "social:read", "service:TRAINING:read"})),
        limits=st.sampled_from(
            [
                (),
                (RoleLimit(Role.ADMINISTRATOR),),
                (RoleLimit(Role.ADMINISTRATOR, frozenset({DataClass.AUDIT})), RoleLimit(Role.MODERATOR)),
                (RoleLimit(Role.TRAINER), RoleLimit(Role.MEDICAL_SPECIALIST)),
            ]
        ),
    ),
)
relationships = st.builds(
    a_fact,
    st.just("me"),
    st.sampled_from(Relation),
    st.sampled_from(PEOPLE),
    st.sampled_from(
        [
            "training",
            "social",
            "location",
            "clearance",
            "wellness",
            "administrator",
            "trainer",
            "administrator:AUDIT",
            "moderator:SOCIAL",
        ]
    ),
)
blocks = st.builds(a_fact, st.sampled_from(PEOPLE), st.just(Relation.BLOCKED), st.just("me"))
denials = st.builds(
    a_consent,
    st.sampled_from(PEOPLE),
    st.just("deny"),
    consent_id=st.sampled_from(["c1", "c2"]),
    actor_id=st.sampled_from([None, "me", "app", "ann"]),
    data_class=st.none() | st.sampled_from(DataClass),
    labels=st.sampled_from([frozenset(), frozenset({"mental"})]),
)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    subject=subjects,
    facts=st.lists(st.one_of(relationships, blocks, denials), max_size=6),
    data_class=st.sampled_from(DataClass),
    action=st.sampled_from(["read", "write", "name", "clearance"]),
    labels=st.sampled_from([frozenset(), frozenset({"mental"}), frozenset({"legal_hold"})]),
    purpose=st.sampled_from([None, Purpose.TREATMENT, Purpose.OPERATIONS]),
)
async def test_a_row_is_listed_exactly_when_it_may_be_read(
    connection, subject, facts, data_class, action, labels, purpose
):
    known = MemoryFacts()
    known.put(*facts)
    request = Authorizer(known, clock=lambda: NOW).for_request(subject)
    found = await request.visible_owner_filter(data_class, action, purpose=purpose)
    predicate = found.predicate(
        owner=rows.c.owner_id, visibility=rows.c.visibility, created_by=rows.c.created_by
    )
    listed = set(connection.execute(sa.select(rows).where(predicate)).all())
    for row in connection.execute(sa.select(rows)).all():
        level = None if row.visibility is None else Visibility(row.visibility)
        question = Question(
            row.owner_id,
            data_class,
            action,
            purpose=purpose,
            labels=labels,
            visibility=level,
            created_by=row.created_by,
        )
        (decision,) = await request.decide([question])
        in_list = row in listed
        assert found.takes(row.owner_id, visibility=level, created_by=row.created_by) == in_list
        assert in_list or not decision.allowed, (row, decision)
        if not found.residual:
            assert in_list == decision.allowed, (row, decision)


async def _filter(subject, data_class, *facts, **options):
    known = MemoryFacts()
    known.put(*facts)
    return (
        await Authorizer(known, clock=lambda: NOW)
        .for_request(subject)
        .visible_owner_filter(data_class, **options)
    )


COACH = Subject(id="me", roles=frozenset({Role.TRAINER}))


async def test_a_coach_lists_the_training_of_linked_athletes_with_that_scope():
    found = await _filter(
        COACH,
        DataClass.TRAINING,
        a_fact("me", Relation.COACH, "ann", "training"),
        a_fact("me", Relation.COACH, "bob", "plan"),
        a_fact("me", Relation.COACH, "cleo", "training", until=NOW),
    )
    assert not found.residual
    assert [found.takes(owner) for owner in PEOPLE] == [True, False, False, False, False]


async def test_a_stranger_lists_nothing_without_asking_the_store():
    assert (await _filter(COACH, DataClass.CLINICAL)).nothing
    assert (await _filter(ANONYMOUS, DataClass.TRAINING)).nothing


async def test_an_administrator_lists_all_but_who_blocked_him():
    admin = Subject(id="me", roles=frozenset({Role.ADMINISTRATOR}))
    found = await _filter(admin, DataClass.AUDIT, a_fact("bob", Relation.BLOCKED, "me"))
    assert [found.takes(owner) for owner in PEOPLE] == [True, False, True, True, True]


async def test_a_limited_administrator_lists_whom_the_role_is_for():
    admin = Subject(id="me", roles=frozenset({Role.ADMINISTRATOR}), limits=(RoleLimit(Role.ADMINISTRATOR),))
    facts = [
        a_fact("me", Relation.ASSIGNED, "ann", "administrator"),
        a_fact("me", Relation.ASSIGNED, "bob", "administrator:SOCIAL"),
        a_fact("me", Relation.ASSIGNED, "organisation:rowers", "administrator"),
        a_fact("cleo", Relation.MEMBER, "organisation:rowers"),
        a_fact("dave", Relation.MEMBER, "organisation:rowers", until=NOW),
    ]
    found = await _filter(admin, DataClass.AUDIT, *facts)
    assert not found.residual
    assert [found.takes(owner) for owner in PEOPLE] == [True, False, True, False, True]  # and one's own
    everywhere = replace(admin, limits=(RoleLimit(Role.ADMINISTRATOR, frozenset({DataClass.AUDIT})),))
    assert [(await _filter(everywhere, DataClass.AUDIT)).takes(owner) for owner in PEOPLE] == [True] * 5


async def test_a_moderator_lists_his_own_acts():
    moderator = Subject(id="me", roles=frozenset({Role.MODERATOR}))
    found = await _filter(moderator, DataClass.AUDIT)
    assert found.takes("ann", created_by="me")
    assert not found.takes("ann", created_by="bob")
    assert not found.takes("ann")


async def test_clinical_lists_are_decided_again_row_by_row_because_labels_count():
    doctor = Subject(id="me", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
    treating = a_fact("me", Relation.TREATING, "ann")
    found = await _filter(doctor, DataClass.CLINICAL, treating, purpose=Purpose.TREATMENT)
    assert found.takes("ann")
    assert found.residual
    assert (
        await _filter(replace(doctor, acr=1), DataClass.CLINICAL, treating, purpose=Purpose.TREATMENT)
    ).nothing
    assert (await _filter(doctor, DataClass.CLINICAL, treating)).nothing


async def test_a_table_without_the_column_has_no_row_that_needs_it(connection):
    friend = Subject(id="me", roles=frozenset({Role.ATHLETE}))
    found = await _filter(friend, DataClass.SOCIAL, a_fact("me", Relation.FRIEND, "ann"))
    owners = connection.execute(
        sa.select(rows.c.owner_id).where(found.predicate(owner=rows.c.owner_id)).distinct()
    )
    assert owners.scalars().all() == ["me"]
