"""Without the right nobody learns whether something is there, or what it says: answers with it, without it
and with another value are equal to the byte, and cost the stores and the policy the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from deploy.assemble import FACTS_REMEMBERED_S, Platform
from deploy.file_links import file_routes
from tests.kit_platform.secrets import (
    NAMED,
    OF_HER,
    SECRETS,
    Named,
    Secret,
    World,
    authorization,
    consent,
    device,
    guardianship,
    looked_at,
    organisation,
    session,
)
from tests.kit_platform.work import STEPS_PER_BUCKET, Work, counted_calls, counting
from tests.platform.conftest import seeded_in_thread, subject_of

REFUSED = (b"FORBIDDEN", b"NOT_FOUND", b"UNAUTHORIZED_FIELD_OR_TYPE")
ROUNDS, CONFIRMED = 200, 3
OPEN_GLASS = """mutation { breakGlass(input: {userId: "demo-athlete",
  reason: "found without a pulse on the track at noon", minutes: 5}) { grant { id } userErrors { code } } }"""


@pytest.fixture(scope="module", params=["by itself", "remembered"])
def world(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch_module: pytest.MonkeyPatch,
) -> Iterator[World]:
    """Each request by itself; and with what is remembered for a moment of who somebody is, in a moment that
    does not end."""
    with seeded_in_thread(tmp_path_factory.mktemp("secrets")) as seeded, counting():
        circles = seeded.platform.authorizer._circles
        remembers = request.param == "remembered"
        monkeypatch_module.setattr(circles, "_look_every_s", FACTS_REMEMBERED_S if remembers else 0.0)
        if remembers:
            monkeypatch_module.setattr(circles, "_elapsed_s", lambda: 0.0)
        yield World(seeded)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patched:
        yield patched


@pytest.mark.parametrize(
    "world",
    ["by itself", pytest.param("remembered", marks=pytest.mark.nightly)],
    indirect=True,
    scope="module",
)
@pytest.mark.parametrize("secret", SECRETS, ids=lambda each: each.domain)
def test_nobody_without_the_right_notices_what_a_secret_is(world: World, secret: Secret) -> None:
    for handle in secret.blind:
        for probe in secret.probes:
            world.look(probe, handle)  # plans and documents are made once, whatever is stored
    seen: dict[tuple[str, str], tuple[bytes, Work]] = {}
    own = []
    for place, state in enumerate(secret.states):
        state(world)
        own.append(world.look(secret.own, "mira")[0])
        for handle in secret.blind:
            for probe in secret.probes:
                answer, work = world.look(probe, handle)
                before, cost = seen.setdefault((handle, probe), (answer, work))
                assert answer == before, (handle, probe, place)
                same_bucket(cost, work, f"{handle}: {probe} in state {place}")
    assert len(set(own)) > 1, "she herself sees no difference: there was no secret"


@pytest.fixture(scope="module")
def furnished(world: World) -> World:
    """With one of each kind."""
    session(world)
    device(world)
    authorization(world)
    organisation(world)
    guardianship(world)
    consent("PERMIT")(world)
    looked_at(world)
    opened = world.seeded.ask(OPEN_GLASS, subject_of("okafor"))
    assert opened["errors"] == [] and opened["data"]["breakGlass"]["grant"], opened
    return world


def ids_of(world: World, named: Named) -> tuple[str, str]:
    """The id of something of hers, and one like it of nothing."""
    real: Any = world.seeded.ask(named.found, subject_of(named.by))["data"]
    for step in named.path:
        if named.sent is not None and isinstance(real.get("url"), str):
            world.seeded.run(put(world.seeded.platform, real["url"], named.sent))
        real = real[step]
    missing = str(real)[:-4] + "".join("b" if letter == "a" else "a" for letter in str(real)[-4:])
    assert missing != real and len(missing) == len(real)
    return str(real), missing


async def put(platform: Platform, url: str, content: bytes) -> None:
    """Bytes by a link."""
    app = Starlette(routes=list(file_routes(platform)))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://stadion.local") as http:
        answer = await http.put(url, content=content)
        assert answer.status_code == 200, answer


@pytest.mark.parametrize("named", NAMED, ids=lambda each: each.kind)
def test_what_is_hidden_answers_and_costs_what_is_missing(furnished: World, named: Named) -> None:
    real, missing = ids_of(furnished, named)
    for handle in named.blind:
        for probe in named.probes:
            for each in (real, missing):
                furnished.look(probe % each, handle)  # once, so that plans are made
            there, cost = furnished.look(probe % real, handle)
            absent, other = furnished.look(probe % missing, handle)
            assert there.replace(real.encode(), b"ID") == absent.replace(missing.encode(), b"ID"), handle
            assert any(code in there for code in REFUSED), there
            same_bucket(cost, other, f"{handle}: {probe}")
        if named.entity is not None:
            hidden = furnished.entity(*named.entity, str(real), handle)
            absence = furnished.entity(*named.entity, missing, handle)
            assert hidden[0].replace(real.encode(), b"ID") == absence[0].replace(missing.encode(), b"ID")
            same_bucket(hidden[1], absence[1], f"{handle}: an entity")
    if named.entity is not None:
        seen, unseen = (furnished.entity(*named.entity, each, named.by)[0] for each in (str(real), missing))
        assert seen != unseen, "she herself does not see it"
    if named.sent is not None:
        own = furnished.seeded.ask(named.probes[-1] % real, subject_of(named.by))
        assert "BAD_FILE" in str(own), "nothing came, or a stranger has taken it away"


PROBED = pytest.mark.parametrize("named", [each for each in NAMED if each.probes], ids=lambda each: each.kind)
SAME = pytest.approx(1.0, abs=0.25)


def alike(world: World, named: Named) -> tuple[str, str, str]:
    """What a stranger asks about something of hers, the same about nothing, and who it is.

    The first text of its kind stays as it is, and later ones become its variables; so neither is the first.
    """
    (real, missing), query, handle = ids_of(world, named), named.probes[0], named.blind[0]
    for each in (missing[::-1], real, missing):
        world.look(query % each, handle)
    return query % real, query % missing, handle


def in_turn(real: str, missing: str, measure: Callable[[str], float], *, rounds: int) -> float:
    """How many times more a text about something takes than one about nothing, without the slow rounds."""
    took: dict[str, list[float]] = {real: [], missing: []}
    for place in range(rounds):
        for each in (real, missing) if place % 2 else (missing, real):
            took[each].append(measure(each))
    there, absent = (sorted(each)[rounds // 8] for each in took.values())
    return there / absent


@pytest.mark.nightly
@pytest.mark.timeout(600)
@PROBED
def test_what_is_hidden_calls_as_much_as_what_is_missing(furnished: World, named: Named) -> None:
    """By the number of functions called on the loop: what the clock would tell on an idle machine."""
    real, missing, handle = alike(furnished, named)

    def calls(text: str) -> float:
        with counted_calls(furnished.seeded) as counted:
            furnished.look(text, handle)
        return counted[0]

    assert in_turn(real, missing, calls, rounds=5) == SAME


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
@PROBED
def test_what_is_hidden_takes_the_time_of_what_is_missing(furnished: World, named: Named) -> None:
    """By the clock: many short rounds in turn, of which the fastest count; within a quarter.

    A difference that is there is found each time; one that chance made is not.
    """
    real, missing, handle = alike(furnished, named)

    def seconds(text: str) -> float:
        began = time.perf_counter()
        furnished.look(text, handle)
        return time.perf_counter() - began

    found = []
    for _ in range(CONFIRMED):
        found.append(in_turn(real, missing, seconds, rounds=ROUNDS))
        if found[-1] == SAME:
            return
    raise AssertionError(f"as much longer or shorter each time: {found}")


def same_bucket(one: Work, other: Work, about: str) -> None:
    """The same statements and owners, and no more steps of the stores between them than a bucket."""
    assert one.sizes() == other.sizes(), about
    assert abs(one.steps - other.steps) <= STEPS_PER_BUCKET, (one.steps, other.steps, about)


def test_whoever_may_see_it_is_seen_to_cost_more(world: World) -> None:
    """The count is no blind one: her record costs her physician what it costs nobody else."""
    query = OF_HER % "medicalRecord(purpose: TREAT) { conditions { totalCount nodes { text } } }"
    _, hers = world.look(query, "lind")
    _, his = world.look(query, "tomas")
    assert len(hers.statements) > len(his.statements)
    assert hers.steps - his.steps > STEPS_PER_BUCKET
    assert his.owners == 0  # he is refused before a subgraph is asked
    assert hers.owners or world.remembers
