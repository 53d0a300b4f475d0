"""Seeding: the demo people with their roles, links, files and records, through the domains' own functions.

Each step may be repeated: a seeding that was cut short is done again at the next start, and finishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Connection

from authz.classes import Visibility
from datastores.errors import Conflict
from deploy.assemble import Platform
from deploy.demo.people import ATHLETE, COACH, PEOPLE, PHYSICIAN, DemoPerson
from subgraphs.accounts import store as accounts
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.medical.care import Care
from subgraphs.medical.importing import DocumentImporter
from subgraphs.medical.model import ClearanceStatus, RuleBroken
from subgraphs.profiles import store as profiles
from subgraphs.profiles.events import relationship_changed
from subgraphs.profiles.model import CoachScope, Profile, accepted, invited
from subgraphs.training.edits import put_threshold
from subgraphs.training.imports import import_file
from subgraphs.training.model import ThresholdKind

FILES = Path(__file__).parent / "files"
ACTIVITIES = ("run-garmin-fenix2.fit", "ride-power-indoor-garmin-fr965.fit", "hike-long.gpx")
THRESHOLDS = {ThresholdKind.FTP: 215.0, ThresholdKind.LTHR: 172.0, ThresholdKind.MAX_HR: 190.0}
RECORD = "synthea-collection-alfonzo.json"
MARK_TEXT = "This folder holds demo data: `stadion up --reset-demo` may delete it.\n"
COACH_SCOPES = frozenset({CoachScope.TRAINING, CoachScope.PLAN, CoachScope.CLEARANCE})


async def seed_demo(running: Platform, *, mark: Path) -> None:
    """Seed everything with a progress display; `mark` is written last."""
    steps = [step async for step in _steps(running)]
    columns = (
        TextColumn("Seeding the demo"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(steps))
        for says, work in steps:
            progress.update(task, description=says)
            await work()
            progress.advance(task)
    await asyncio.to_thread(mark.write_text, MARK_TEXT, encoding="utf-8")


async def _steps(running: Platform) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    now = datetime.now(UTC)
    for person in PEOPLE:
        yield f"{person.display_name}, {person.role.value}", lambda p=person: _person(running, p, now)  # type: ignore[misc]
    yield "a coach", lambda: _coach_link(running, now)
    yield "thresholds", lambda: _thresholds(running)
    for name in ACTIVITIES:
        yield name, lambda n=name: _activity(running, n)  # type: ignore[misc]
    yield "a clinical record", lambda: _record(running, now)
    yield "a care team and a clearance", lambda: _care(running, now)


async def _person(running: Platform, person: DemoPerson, now: datetime) -> None:
    """An account in its role, and a profile that says who it is."""
    password_hash = await running.passwords.hashed(person.password)
    factor = SecondFactor(running.secrets("second-factors"))
    sealed = None
    if person.totp_secret is not None:
        sealed = factor.sealed(person.totp_secret, user_id=person.id)

    def account(connection: Connection) -> None:
        accounts.create_user(
            connection, id=person.id, handle=person.handle, email=person.email,
            password_hash=password_hash, now=now,
            roles=frozenset({person.role}), totp_sealed=sealed,
        )  # fmt: skip

    shown = Profile(
        person.id, person.display_name, time_zone="Europe/Oslo", name_visibility=Visibility.FRIENDS
    )
    # Conflicts: seeded before the last start was cut short.
    with suppress(Conflict):
        await running.stores.relational["accounts"].write(account)
    with suppress(Conflict):
        await running.stores.relational["profiles"].write(lambda c: profiles.create_profile(c, shown))


async def _coach_link(running: Platform, now: datetime) -> None:
    """The athlete has invited her coach, and he has accepted."""
    link = accepted(
        invited(
            id="demo-coach-link", athlete_id=ATHLETE.id, coach_id=COACH.id, scopes=COACH_SCOPES,
            message="Will you coach me this season?", valid_until_utc=None, now=now, version=1,
        ),
        actor_id=COACH.id, now=now,
    )  # fmt: skip

    def work(connection: Connection) -> None:
        profiles.add_link(connection, link)
        running.stores.events.outbox.append(connection, [relationship_changed(link, now=now)])

    with suppress(Conflict):
        await running.stores.relational["profiles"].write(work)


async def _thresholds(running: Platform) -> None:
    """What her power and heart rate are measured against, since before her first activity."""
    since = date(2010, 1, 1)
    for kind, value in THRESHOLDS.items():
        await put_threshold(running.training_ports, ATHLETE.id, kind, value, since)


async def _activity(running: Platform, name: str) -> None:
    """One real file, as an upload would bring it; the same bytes again bring nothing new."""
    outcome = await import_file(running.training_ports, ATHLETE.id, FILES / name)
    if outcome.code is not None:
        raise RuntimeError(f"the demo file `{name}` was refused: {outcome.message}")


async def _record(running: Platform, now: datetime) -> None:
    """A synthetic patient's record as hers."""
    importer = DocumentImporter(running.stores.vault, running.stores.events.outbox)
    content = (FILES / RECORD).read_bytes()
    await importer.run(content, patient_id=ATHLETE.id, imported_by=PHYSICIAN.id, at_utc=now)


async def _care(running: Platform, now: datetime) -> None:
    """One physician treats her, and says whether she may train."""
    care = Care(running.stores.vault, running.stores.events.outbox)
    with suppress(RuleBroken):  # she is treated already
        await care.add_to_care_team(
            ATHLETE.id, PHYSICIAN.id, valid_from_utc=now, valid_until_utc=None,
            added_by=ATHLETE.id, now_utc=now,
        )  # fmt: skip
    await care.set_clearance(
        ATHLETE.id, status=ClearanceStatus.RESTRICTED, restrictions=["no racing until the next check"],
        valid_until_utc=now + timedelta(days=90), set_by=PHYSICIAN.id, now_utc=now,
    )  # fmt: skip
