"""Registering and logging in: passwords, second factor, throttling, roles in the token."""

import asyncio
import unicodedata

import pytest

from authz.classes import Role
from authz.identity.subject import Subject
from subgraphs.accounts.model import ADDRESS_FAILURES_FREE, FAILURES_FREE
from subgraphs.accounts.passwords import CHEAPEST, HashCost, Passwords
from subgraphs.kit import PublicError
from tests.kit_subgraphs.accounts import LOG_IN, PASSWORD, World

REGISTER = """mutation($handle: String!, $email: String!, $password: String!) {
  register(input: {handle: $handle, email: $email, password: $password}) {
    user {id handle} userErrors {code field}}}"""


def codes(payload: dict) -> list[str]:  # type: ignore[type-arg]
    return [error["code"] for error in payload["userErrors"]]


async def test_somebody_registers_and_logs_in_by_handle_or_address(any_world: World) -> None:
    world = any_world
    answer = await world.ask(
        REGISTER, handle="Mira.S", email="Mira@Example.org", password="correct horse 7 staples"
    )
    user = answer["data"]["register"]["user"]
    assert user["handle"] == "mira.s"
    assert [event.payload["handle"] for event in await world.events("user.registered")] == ["mira.s"]
    for login in ("mira.s", "MIRA.S", "mira@example.ORG"):
        payload = await world.log_in(login, "correct horse 7 staples")
        assert payload["user"] == {"id": user["id"]}
        assert payload["expiresInS"] == 600
        subject = world.verifier.verify(payload["accessToken"])
        assert (subject.id, subject.acr, subject.roles) == (user["id"], 1, frozenset({Role.ATHLETE}))


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        ("ab", "BAD_HANDLE"),
        ("9lives", "BAD_HANDLE"),
        ("мира", "BAD_HANDLE"),
        ("a b c", "BAD_HANDLE"),
        ("x" * 31, "BAD_HANDLE"),
        ("admin", "HANDLE_TAKEN"),
        ("st.ad-ion", "HANDLE_TAKEN"),
        ("t0mas", "HANDLE_TAKEN"),
        ("tornas", "HANDLE_TAKEN"),
        ("to_mas", "HANDLE_TAKEN"),
    ],
)
async def test_handles_are_plain_and_look_like_no_other(world: World, handle: str, code: str) -> None:
    await world.person("tomas")
    answer = await world.ask(REGISTER, handle=handle, email="a@b.example", password=PASSWORD)
    payload = answer["data"]["register"]
    assert (payload["user"], codes(payload)) == (None, [code])


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short but good", "PASSWORD_TOO_SHORT"),
        ("x7#" * 100, "PASSWORD_TOO_LONG"),
        ("aaaaaaaaaaaaaaaaaaa", "PASSWORD_COMMON"),
        ("abcabcabcabcabcabc", "PASSWORD_COMMON"),
        ("passwordpassword", "PASSWORD_COMMON"),
        ("Correct Horse Battery Staple", "PASSWORD_COMMON"),
        ("stadion-stadion-1", "PASSWORD_COMMON"),
        ("mira.s-mira.s-2026", "PASSWORD_COMMON"),
        ("qwertyuiopasdfgh", "PASSWORD_COMMON"),
        ("12345678901234567", "PASSWORD_COMMON"),
    ],
)
async def test_what_is_guessed_first_is_no_password(world: World, password: str, code: str) -> None:
    answer = await world.ask(REGISTER, handle="mira.s", email="mira@example.org", password=password)
    assert codes(answer["data"]["register"]) == [code]


@pytest.mark.parametrize("password", ["mein hund heisst rex", "ünïcödé ist erlaubt", "🏃🏔️🚴 and a few words"])
async def test_any_composition_is_allowed_and_normalised(world: World, password: str) -> None:
    await world.ask(REGISTER, handle="mira", email="mira@example.org", password=password)
    decomposed = unicodedata.normalize("NFD", password)
    assert codes(await world.log_in("mira", decomposed)) == []


async def test_a_wrong_password_and_a_missing_account_answer_the_same(world: World) -> None:
    await world.person("mira")
    wrong = await world.log_in("mira", "not her password")
    missing = await world.log_in("nobody", "not her password")
    assert wrong == missing
    assert codes(wrong) == ["BAD_CREDENTIALS"]


async def test_a_missing_account_costs_a_hash_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = Passwords._checked
    monkeypatch.setattr(
        Passwords, "_checked", lambda self, p, encoded: checked.append(encoded) or real(self, p, encoded)
    )
    await world.person("mira")
    await world.log_in("mira", "wrong")
    await world.log_in("nobody", "wrong")
    assert [encoded.split("$")[1] for encoded in checked] == ["argon2id", "argon2id"]


async def test_an_unverified_address_of_two_accounts_logs_neither_in_but_handles_do(world: World) -> None:
    await world.person("mira")
    await world.ask(REGISTER, handle="squatter", email="mira@example.org", password="another long secret")
    assert codes(await world.log_in("mira@example.org")) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("mira")) == []


async def test_who_is_throttled_is_told_in_the_answers_head_when_to_come_again(world: World) -> None:
    await world.person("mira")
    for _ in range(FAILURES_FREE):
        answer = await world.ask(LOG_IN, login="mira", password="wrong")
        assert not hasattr(answer, "headers")
    for login in ("mira", "nobody"):
        for _ in range(FAILURES_FREE if login == "nobody" else 0):
            await world.log_in("nobody", "wrong")
        throttled = await world.ask(LOG_IN, login=login, password="wrong")
        assert throttled["data"]["logIn"]["userErrors"][0]["code"] == "THROTTLED"
        assert throttled.headers == {"retry-after": ["1"]}  # for an account that is not there, too
    world.later(seconds=1)
    await world.log_in("mira", "wrong")
    assert (await world.ask(LOG_IN, login="mira", password="wrong")).headers == {"retry-after": ["2"]}


async def test_attempts_are_throttled_with_growing_waits_and_forgotten_on_success(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    for _ in range(FAILURES_FREE):
        assert codes(await world.log_in("mira", "wrong")) == ["BAD_CREDENTIALS"]
    throttled = await world.log_in("mira")
    assert throttled["userErrors"] == [
        {"code": "THROTTLED", "field": "login", "message": "too many attempts; try again in 1 s"}
    ]
    world.later(seconds=1)
    assert codes(await world.log_in("mira", "wrong")) == ["BAD_CREDENTIALS"]
    assert (await world.log_in("mira"))["userErrors"][0]["message"].endswith("in 2 s")
    world.later(seconds=2)
    assert codes(await world.log_in("mira")) == []
    assert codes(await world.log_in("mira", "wrong")) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("mira")) == []


async def test_one_address_cannot_try_one_password_on_everybody(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    here = Subject(None, client_address="2001:db8:0:1::7")
    for number in range(ADDRESS_FAILURES_FREE):
        assert codes(await world.log_in(f"guess{number}", "wrong", here)) == ["BAD_CREDENTIALS"]
    # the next one waits, whichever account it is for, and from its whole network
    neighbour = Subject(None, client_address="2001:db8:0:1:ffff::1")
    for subject in (here, neighbour):
        refused = await world.log_in("mira", subject=subject)
        assert refused["userErrors"][0]["message"] == "too many attempts; try again in 1 s"
    # and nobody else does
    assert codes(await world.log_in("mira", subject=Subject(None, client_address="192.0.2.1"))) == []
    assert codes(await world.log_in("mira")) == []
    world.later(seconds=1)
    # a log-in that succeeds in between clears its own account alone
    assert codes(await world.log_in("mira", subject=here)) == []
    assert codes(await world.log_in("other", "wrong", here)) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("other", "wrong", here)) == ["THROTTLED"]


async def test_guesses_of_one_account_from_elsewhere_do_not_lock_its_owner_out_at_once(world: World) -> None:
    await world.person("mira")
    for _ in range(FAILURES_FREE + 1):
        await world.log_in("mira", "wrong", Subject(None, client_address="192.0.2.66"))
    assert codes(await world.log_in("mira", subject=Subject(None, client_address="192.0.2.1"))) == []


async def test_a_wait_is_never_longer_than_15_minutes(world: World) -> None:
    await world.person("mira")
    for _ in range(30):
        await world.log_in("mira", "wrong")
        world.later(minutes=15)
    await world.log_in("mira", "wrong")
    assert (await world.log_in("mira"))["userErrors"][0]["message"].endswith("in 900 s")


async def test_attempts_made_at_once_do_not_pass_the_limit_together(world: World) -> None:
    await world.person("mira")
    payloads = await asyncio.gather(*(world.log_in("mira", "wrong") for _ in range(40)))
    told = [codes(payload)[0] for payload in payloads]
    assert told.count("BAD_CREDENTIALS") == FAILURES_FREE
    assert told.count("THROTTLED") == 40 - FAILURES_FREE


async def test_guessed_names_do_not_fill_the_store(world: World) -> None:
    for n in range(5):
        await world.log_in(f"guess{n}", "wrong")
    world.later(hours=25)
    await world.log_in("guess", "wrong")
    count = await world.relational.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM accounts_log_in_failures").scalar()
    )
    assert count == 1


async def test_a_second_factor_raises_the_level_and_its_code_is_good_for_once(any_world: World) -> None:
    world = any_world
    await world.person("lind", Role.MEDICAL_SPECIALIST, totp=True)
    assert codes(await world.log_in("lind")) == ["OTP_REQUIRED"]
    assert codes(await world.log_in("lind", otp="000000")) == ["BAD_CREDENTIALS"]
    code = world.code("lind")
    payload = await world.log_in("lind", otp=code)
    subject = world.verifier.verify(payload["accessToken"])
    assert (subject.acr, Role.MEDICAL_SPECIALIST in subject.roles) == (2, True)
    assert codes(await world.log_in("lind", otp=code)) == ["BAD_CREDENTIALS"]
    world.later(seconds=30)
    assert codes(await world.log_in("lind", otp=code)) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("lind", otp=world.code("lind"))) == []


async def test_of_many_log_ins_with_one_code_one_succeeds(any_world: World) -> None:
    world = any_world
    await world.person("lind", totp=True)
    code = world.code("lind")
    payloads = await asyncio.gather(*(world.log_in("lind", otp=code) for _ in range(8)))
    assert sorted(codes(payload) for payload in payloads) == [[]] + [["BAD_CREDENTIALS"]] * 7


async def test_a_missing_code_is_no_failure_and_wipes_none_out(world: World) -> None:
    await world.person("lind", totp=True)
    for _ in range(FAILURES_FREE - 1):
        await world.log_in("lind", otp="000000")
    for _ in range(5):
        assert codes(await world.log_in("lind")) == ["OTP_REQUIRED"]
    assert codes(await world.log_in("lind", otp="000000")) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("lind", otp="000000")) == ["THROTTLED"]


async def test_sensitive_roles_are_in_force_only_after_a_second_factor(world: World) -> None:
    await world.person("noor", Role.MODERATOR, Role.TRAINER)
    assert (await world.subject("noor")).roles == {Role.ATHLETE, Role.TRAINER}


async def test_an_outdated_hash_is_made_anew_at_log_in(world: World) -> None:
    await world.person("mira")
    world.passwords._hasher = Passwords(cost=HashCost(passes=2, memory_kib=16, lanes=1))._hasher
    await world.log_in("mira")
    hashes = await world.relational.read(
        lambda c: c.exec_driver_sql("SELECT password_hash FROM accounts_users").scalars().all()
    )
    assert all("m=16,t=2" in each for each in hashes)
    assert codes(await world.log_in("mira")) == []


async def test_hashing_is_bounded() -> None:
    passwords = Passwords(cost=CHEAPEST, threads=1, waiting_max=3)
    outcomes = await asyncio.gather(*(passwords.hashed("x") for _ in range(5)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, PublicError)]
    assert [each.code for each in refused] == ["SERVICE_OVERLOADED"] * 2
    passwords.close()


ENROL = "mutation($p: String!) {enrolTotp(password: $p) {secret uri userErrors {code}}}"
CONFIRM = "mutation($o: String!) {confirmTotp(otp: $o) {user {secondFactor} userErrors {code}}}"
DISABLE = "mutation($p: String!, $o: String!) {disableTotp(password: $p, otp: $o) {userErrors {code}}}"
CHANGE = (
    "mutation($c: String!, $n: String!) {changePassword(input: {current: $c, new: $n}) {userErrors {code}}}"
)


async def test_a_second_factor_is_enrolled_confirmed_and_taken_away(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    subject = await world.subject("mira")
    assert codes((await world.ask(ENROL, subject, p="wrong"))["data"]["enrolTotp"]) == ["BAD_CREDENTIALS"]
    enrolled = (await world.ask(ENROL, subject, p=PASSWORD))["data"]["enrolTotp"]
    assert enrolled["uri"].startswith("otpauth://totp/Stadion:mira?secret=" + enrolled["secret"])
    assert codes(await world.log_in("mira")) == []
    world.secrets["mira"] = enrolled["secret"]
    assert codes((await world.ask(CONFIRM, subject, o="000000"))["data"]["confirmTotp"]) == ["BAD_OTP"]
    code = world.code("mira")
    assert (await world.ask(CONFIRM, subject, o=code))["data"]["confirmTotp"]["user"] == {
        "secondFactor": True
    }
    assert codes(await world.log_in("mira", otp=code)) == ["BAD_CREDENTIALS"]
    world.later(seconds=30)
    stepped_up = await world.subject("mira")
    assert stepped_up.acr == 2
    # With a second factor eight characters are enough, but then the factor must stay.
    assert (
        codes((await world.ask(CHANGE, stepped_up, c=PASSWORD, n="8 chars!"))["data"]["changePassword"]) == []
    )
    world.later(seconds=30)
    short = await world.ask(DISABLE, stepped_up, p="8 chars!", o=world.code("mira"))
    assert codes(short["data"]["disableTotp"]) == ["PASSWORD_TOO_SHORT"]
    await world.ask(CHANGE, stepped_up, c="8 chars!", n=PASSWORD)
    gone = await world.ask(DISABLE, stepped_up, p=PASSWORD, o=world.code("mira"))
    assert codes(gone["data"]["disableTotp"]) == []
    assert codes(await world.log_in("mira")) == []


async def test_a_role_that_needs_the_factor_keeps_it(world: World) -> None:
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    subject = await world.subject("ada")
    world.later(seconds=30)
    answer = await world.ask(DISABLE, subject, p=PASSWORD, o=world.code("ada"))
    assert codes(answer["data"]["disableTotp"]) == ["ROLE_NEEDS_FACTOR"]


async def test_a_sealed_secret_opens_for_its_owner_alone(world: World) -> None:
    sealed = world.second_factor.sealed("JBSWY3DP", user_id="a")
    assert world.second_factor.opened(sealed, user_id="a") == "JBSWY3DP"
    for tampered, owner in ((sealed, "b"), (sealed[:-1] + b"x", "a")):
        with pytest.raises(ValueError, match="does not open"):
            world.second_factor.opened(tampered, user_id=owner)


async def test_no_secret_reaches_the_store_or_the_logs(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.person("lind", totp=True)
    payload = await world.log_in("lind", otp=world.code("lind"))
    rows = await world.relational.read(
        lambda c: [
            str(row)
            for table in ("accounts_users", "accounts_sessions", "outbox", "accounts_log_in_failures")
            for row in c.exec_driver_sql(f"SELECT * FROM {table}").all()
        ]
    )
    kept = "\n".join(rows) + caplog.text
    for secret in (PASSWORD, world.secrets["lind"], payload["refreshToken"], payload["accessToken"]):
        assert secret not in kept
