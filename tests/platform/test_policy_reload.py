"""A stored policy takes hold in a running platform within two seconds, at the router and in the subgraphs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from authz.classes import Role
from authz.identity.subject import Subject
from authz.policies.kept import KeptPolicies
from authz.policies.rules import read_policy, stadion_policy
from datastores.errors import StoreError
from deploy import audit_command, policy_command
from deploy.assemble import Platform, platform
from deploy.endpoint import router_of
from deploy.settings import Settings
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from subgraphs.accounts import store as accounts
from tests.platform.conftest import Recorded

ADA = Subject(id="ada", roles=frozenset({Role.ADMINISTRATOR}), session_id="s-ada", acr=2)
MIRA = Subject(id="mira", roles=frozenset({Role.ATHLETE}), session_id="s-mira", acr=1)
LOG_OF_MIRA = '{ user(id: "mira") { id accessLog(first: 1) { totalCount } } }'


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform(Settings(data_folder=tmp_path)) as started:
        now = datetime.now(UTC)
        await started.stores.relational["accounts"].write(
            lambda c: accounts.create_user(
                c, id="mira", handle="mira", email="mira@example.org", password_hash="x", now=now,
                roles=frozenset({Role.ATHLETE}),
            )
        )  # fmt: skip
        yield started


def stadion(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    policy_command.register(app)
    audit_command.register(app)
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def without(tmp_path: Path, *names: str) -> Path:
    """The shipped policy less some rules, as a file."""
    lines = [line for line in stadion_policy().text.splitlines() if line.split(",")[1:2] != []]
    kept = [line for line in lines if line.split(",")[1].strip() not in names]
    file = tmp_path / "policy-to-come.csv"
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return file


async def shown(router: Router, subject: Subject) -> bool:
    response = await router.handle(GraphQLRequest(text=LOG_OF_MIRA), subject)
    assert response.data is not None
    return response.data["user"]["accessLog"] is not None


async def seconds_until(router: Router, subject: Subject, *, is_shown: bool) -> float:
    began = time.monotonic()
    while await shown(router, subject) != is_shown:
        assert time.monotonic() - began < 5, "the policy did not take hold"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_policy_applied_by_another_process_takes_hold_within_two_seconds(
    running: Platform, tmp_path: Path
) -> None:
    recorded = Recorded(InProcessTransport(running.subgraphs))
    router = router_of(running, recorded)
    assert await shown(router, ADA) and await shown(router, MIRA)
    file = without(tmp_path, "audit-administrator")
    code, output = await asyncio.to_thread(
        stadion, "policy", "apply", str(file), "--data", str(tmp_path), "--yes", "--by", "ops"
    )
    assert code == 0, output
    assert "lose  administrator: `read` on AUDIT, full" in output
    assert await seconds_until(router, ADA, is_shown=False) < 2
    assert await shown(router, MIRA)
    version = read_policy(file.read_text(encoding="utf-8")).version
    assert running.authorizer.policy_version == version
    file = without(tmp_path, "audit-administrator", "audit-self")
    code, output = await asyncio.to_thread(
        stadion, "policy", "apply", str(file), "--data", str(tmp_path), "--yes", "--by", "ops"
    )
    assert code == 0, output
    assert await seconds_until(router, MIRA, is_shown=False) < 2
    # The router's own cut follows the policy: the same, cached document no longer asks the subgraph.
    recorded.calls.clear()
    await shown(router, MIRA)
    assert recorded.calls and all("accessLog" not in call.query for call in recorded.calls)
    again = tmp_path / "again.csv"
    again.write_text(stadion_policy().text, encoding="utf-8")
    code, output = await asyncio.to_thread(
        stadion, "policy", "apply", str(again), "--data", str(tmp_path), "--yes", "--by", "ops"
    )
    assert code == 0 and "number 3" in output
    assert await seconds_until(router, ADA, is_shown=True) < 2
    await router.close()


async def test_a_stored_policy_outlives_a_restart_and_is_told(tmp_path: Path) -> None:
    file = without(tmp_path, "audit-administrator")
    code, output = await asyncio.to_thread(
        stadion, "policy", "apply", str(file), "--data", str(tmp_path), "--yes", "--by", "ops"
    )
    assert code == 0, output
    async with platform(Settings(data_folder=tmp_path)) as started:
        assert started.authorizer.policy_version != stadion_policy().version
    code, output = await asyncio.to_thread(stadion, "policy", "show", "--data", str(tmp_path))
    assert code == 0 and output == file.read_text(encoding="utf-8")
    code, output = await asyncio.to_thread(
        stadion, "policy", "apply", str(file), "--data", str(tmp_path), "--yes"
    )
    assert code == 0 and "in force already" in output


async def test_an_applied_policy_is_in_the_audit_log(running: Platform, tmp_path: Path) -> None:
    policies = KeptPolicies(running.stores.facts_rows, running.stores.events.outbox)
    policy = read_policy(without(tmp_path, "audit-administrator").read_text(encoding="utf-8"))
    await policies.store(policy, stored_by="ops", at_utc=datetime.now(UTC))
    for _ in range(200):
        code, output = await asyncio.to_thread(stadion, "audit", "verify", "--data", str(tmp_path))
        assert code == 0, output
        if output.startswith("1 records"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(output)


async def test_a_process_does_not_start_by_another_policy_than_the_stored_one(
    running: Platform, tmp_path: Path
) -> None:
    policies = KeptPolicies(running.stores.facts_rows, running.stores.events.outbox)
    await policies.store(stadion_policy(), stored_by="ops", at_utc=datetime.now(UTC))
    damaged = "UPDATE authz_policies SET text = 'p, a, wizard, PUBLIC, read, always, full, allow'"
    await running.stores.facts_rows.write(lambda c: c.exec_driver_sql(damaged))
    with pytest.raises(StoreError, match="cannot be read"):
        await policies.newest()


def test_a_policy_with_problems_is_refused_before_it_is_compared(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("p, a, anyone, PUBLIC, read, always, full, allow\n", encoding="utf-8")
    code, output = stadion("policy", "apply", str(file), "--data", str(tmp_path), "--yes")
    assert code == 1 and "no rule opens CLINICAL" in output


def test_without_a_yes_nothing_is_stored(tmp_path: Path) -> None:
    file = without(tmp_path, "audit-administrator")
    code, _ = stadion("policy", "apply", str(file), "--data", str(tmp_path))
    assert code == 1
    assert stadion("policy", "show", "--data", str(tmp_path))[1] == stadion_policy().text
