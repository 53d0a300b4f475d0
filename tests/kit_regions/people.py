"""People with words that occur nowhere else, and what they do at a region's door."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pyotp

from authz.classes import Role
from datastores.regions.errors import RegionUnknown
from deploy.assemble import Platform
from deploy.regions import Regions, regional_endpoint
from subgraphs.accounts import store as accounts
from subgraphs.accounts.second_factor import SecondFactor
from tests.kit_platform.client import LOG_IN
from tests.kit_platform.process import ROOT

FIT = ROOT / "tests" / "data" / "activities" / "fit" / "run-garmin-vivoactive-hr.fit"
REGISTER = """mutation R($input: RegisterInput!) {
  register(input: $input) { user { id } userErrors { code message } }
}"""
UPDATE = """mutation U($input: UpdateProfileInput!) {
  updateProfile(input: $input) { profile { displayName } userErrors { code message } }
}"""
IMPORT = """mutation I($input: ImportBundleInput!) {
  importBundle(input: $input) { result { added errorCount } userErrors { code message } }
}"""
CREATE = """mutation C($input: CreateActivityInput!) {
  createActivity(input: $input) { activity { id name } userErrors { code message } }
}"""
UPLOAD = "mutation($f: Upload!) { uploadActivityFile(file: $f) { activities { id } userErrors { code } } }"
ME = """{ me { id handle profile { displayName } activities { totalCount }
  medicalRecord(purpose: PATRQT) { conditions { nodes { text } } } } }"""
INVITE = """mutation V($input: InviteCoachInput!) {
  inviteCoach(input: $input) { coachLink { id coach { handle } } userErrors { code } }
}"""
ACCEPT = """mutation A($id: ID!) {
  acceptCoach(id: $id) { coachLink { id state athleteName message } userErrors { code } }
}"""
TREAT = """mutation T($input: AddToCareTeamInput!) {
  addToCareTeam(input: $input) { member { id practitioner { handle } } userErrors { code } }
}"""


@dataclass
class Person:
    """Somebody with words that occur nowhere else. `totp` is the secret of a second factor."""

    handle: str
    email: str
    password: str
    name: str
    condition: str
    ride: str
    id: str = ""
    token: str = ""
    totp: str | None = None

    @property
    def secrets(self) -> list[str]:
        """What no other region may ever hold."""
        return [self.handle, self.email, self.name, self.condition, self.ride, self.password]


def somebody(handle: str) -> Person:
    """A new person."""
    mark = secrets.token_hex(6)
    return Person(
        f"{handle}{mark}", f"{mark}@example.org", secrets.token_urlsafe(18),
        f"Name {mark}", f"Ache {mark}", f"Ride {mark}",
    )  # fmt: skip


@dataclass
class Door:
    """The endpoint of one region's process."""

    http: httpx2.AsyncClient

    async def ask(self, query: str, who: Person | None = None, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL response."""
        headers = {"authorization": f"Bearer {who.token}"} if who and who.token else {}
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = (await self.http.post("/graphql", json=body, headers=headers)).json()
        return answer

    async def data(self, query: str, who: Person, **variables: Any) -> Any:
        """The data of an answer that must have no errors."""
        answer = await self.ask(query, who, **variables)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    async def upload(self, who: Person, path: Path) -> dict[str, Any]:
        """One file."""
        operations = json.dumps({"query": UPLOAD, "variables": {"f": None}})
        headers = {"authorization": f"Bearer {who.token}", "graphql-require-preflight": "1"}
        data = {"operations": operations, "map": json.dumps({"0": ["variables.f"]})}
        files = {"0": (path.name, io.BytesIO(path.read_bytes()))}
        answer: dict[str, Any] = (
            await self.http.post("/graphql", data=data, files=files, headers=headers)
        ).json()
        return answer


@asynccontextmanager
async def doors_of(regions: Regions) -> AsyncIterator[dict[str, Door]]:
    """A door for each region: the endpoint of a process whose home it is."""
    doors: dict[str, Door] = {}
    for name in regions.platforms:
        there = replace(regions, homes=replace(regions.homes, home=name))
        transport = httpx2.ASGITransport(app=regional_endpoint(there))
        doors[name] = Door(httpx2.AsyncClient(transport=transport, base_url="http://t", timeout=60))
    try:
        yield doors
    finally:
        for door in doors.values():
            await door.http.aclose()


async def until(condition: Any) -> Any:
    """The first true value of an awaited condition; events pass on within milliseconds."""
    async with asyncio.timeout(60):
        while not (found := await condition()):
            await asyncio.sleep(0.01)
    return found


async def arrive(regions: Regions, door: Door, person: Person) -> None:
    """Register, log in, and wait until everybody knows."""
    given = {"handle": person.handle, "email": person.email, "password": person.password}
    registered = (await door.ask(REGISTER, input=given))["data"]["register"]
    assert registered["userErrors"] == []
    await log_in(door, person)
    person.id = registered["user"]["id"] if registered["user"] else ""

    async def settled() -> bool:
        try:
            await regions.homes.directory.region_of(person.id)
        except RegionUnknown:
            return False
        return True

    async def has_profile() -> bool:
        return (await door.ask(ME, person))["data"]["me"]["profile"] is not None

    await until(settled)
    await until(has_profile)


async def leave_traces(door: Door, person: Person) -> None:
    """Something personal, something of training and something clinical."""
    changed = await door.data(UPDATE, person, input={"displayName": person.name})
    assert changed["updateProfile"]["profile"] == {"displayName": person.name}
    condition = {"resourceType": "Condition", "id": "c1", "code": {"text": person.condition}}
    condition |= {"subject": {"reference": "Patient/p"}}
    document = {"userId": person.id, "purpose": "PATRQT", "json": json.dumps(condition)}
    imported = (await door.data(IMPORT, person, input=document))["importBundle"]
    assert imported == {"result": {"added": 1, "errorCount": 0}, "userErrors": []}
    await ride(door, person, person.ride)


async def ride(door: Door, person: Person, name: str) -> str:
    """An activity of this name; its id."""
    given = {"sport": "CYCLING", "startedAt": "2026-01-02T08:00:00Z", "elapsedS": 3600, "name": name}
    made = (await door.data(CREATE, person, input=given))["createActivity"]
    assert made["userErrors"] == []
    return str(made["activity"]["id"])


async def log_in(door: Door, person: Person) -> None:
    """A fresh token."""
    given = {"login": person.handle, "password": person.password}
    if person.totp is not None:
        given["otp"] = pyotp.TOTP(person.totp).now()
    answer = (await door.ask(LOG_IN, input=given))["data"]["logIn"]
    assert answer["userErrors"] == []
    person.token = answer["accessToken"]


async def become(running: Platform, door: Door, person: Person, role: Role) -> None:
    """Hold a role, with a second factor where it needs one, and log in anew."""
    now = datetime.now(UTC)
    if role in {Role.MEDICAL_SPECIALIST, Role.MODERATOR, Role.ADMINISTRATOR}:
        person.totp = pyotp.random_base32()
        factor = SecondFactor(running.secrets("second-factors"))
        sealed = factor.sealed(person.totp, user_id=person.id)
        rows = running.stores.relational["accounts"]
        assert await rows.write(lambda c: accounts.begin_totp(c, person.id, sealed))
        assert await rows.write(lambda c: accounts.confirm_totp(c, person.id, sealed, step=0))
    await running.stores.relational["accounts"].write(
        lambda c: accounts.add_role(
            c, person.id, role, granted_by="test", now=now, valid_until_utc=now + timedelta(days=30)
        )
    )
    await log_in(door, person)


async def coach(door: Door, athlete: Person, trainer: Person, scopes: Sequence[str]) -> str:
    """The athlete invites, the trainer accepts, both at this door; the link's id."""
    given = {"coachId": trainer.id, "scopes": list(scopes), "message": f"Please, {athlete.name}"}
    invited = (await door.data(INVITE, athlete, input=given))["inviteCoach"]
    assert invited["userErrors"] == []
    assert invited["coachLink"]["coach"] == {"handle": trainer.handle}
    accepted = (await door.data(ACCEPT, trainer, id=invited["coachLink"]["id"]))["acceptCoach"]
    assert (accepted["userErrors"], accepted["coachLink"]["state"]) == ([], "ACTIVE")
    return str(invited["coachLink"]["id"])


async def treat(door: Door, patient: Person, physician: Person) -> None:
    """The patient takes a physician into the care team."""
    given = {"userId": patient.id, "practitionerId": physician.id, "purpose": "PATRQT"}
    added = (await door.data(TREAT, patient, input=given))["addToCareTeam"]
    assert (added["userErrors"], added["member"]["practitioner"]) == ([], {"handle": physician.handle})
