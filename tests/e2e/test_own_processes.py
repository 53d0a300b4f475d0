"""The platform as six processes: five subgraphs and the router; the same six answers as in one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from deploy.stores import SUBGRAPHS
from tests.kit_platform.client import Caller, log_in
from tests.kit_platform.own_processes import Processes, own_processes, started
from tests.kit_platform.process import run_stadion
from tests.kit_platform.questions import SIX_ANSWERS

pytestmark = pytest.mark.timeout(180)
nightly = pytest.mark.nightly
SEES = {
    "mira": {"name", "activities", "load", "clearance", "record"},
    "tomas": {"name", "activities", "load", "clearance"},
    "lind": {"name", "activities", "load", "clearance", "record"},
    "okafor": set(),
    "noor": {"name"},
    "ada": set(),
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with own_processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


def seen(answer: dict) -> set[str]:
    user = answer["data"]["user"]
    values = {
        "name": user["profile"] and user["profile"]["displayName"],
        **{name: user[name] for name in ("activities", "load", "clearance")},
        "record": user["medicalRecord"],
    }
    return {name for name, value in values.items() if value is not None}


@nightly
@pytest.mark.parametrize("handle", list(SEES))
def test_each_of_six_gets_the_same_answer_as_from_one_process(processes: Processes, handle: str) -> None:
    answer = log_in(processes.graphql, handle).ask(SIX_ANSWERS, id="demo-athlete")
    assert seen(answer) == SEES[handle]
    errors = answer.get("errors", [])
    assert len(errors) == 5 - len(SEES[handle])
    assert {error["extensions"]["code"] for error in errors} <= {"FORBIDDEN_FIELD"}


@nightly
def test_a_token_of_nobody_is_refused_and_no_token_is_anonymous(processes: Processes) -> None:
    forged = Caller(processes.graphql, "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoieCIsInR5cCI6ImF0K2p3dCJ9.e30.AA")
    assert [one["extensions"]["code"] for one in forged.ask("{ __typename }")["errors"]] == ["AUTH_ERROR"]
    assert Caller(processes.graphql).data("{ __typename }") == {"__typename": "Query"}


@nightly
def test_what_one_process_commits_reaches_the_others(processes: Processes) -> None:
    person = {"handle": "petra", "email": "petra@example.org", "password": "correct horse battery"}
    register = (
        "mutation R($input: RegisterInput!) { register(input: $input) { userErrors { code message } } }"
    )
    log_in_ = "mutation L($input: LogInInput!) { logIn(input: $input) { accessToken } }"
    anonymous = Caller(processes.graphql)
    assert anonymous.data(register, input=person)["register"]["userErrors"] == []
    given = {"login": "petra", "password": person["password"]}
    petra = Caller(processes.graphql, anonymous.data(log_in_, input=given)["logIn"]["accessToken"])
    until = time.monotonic() + 30
    # accounts publishes the registration; profiles has begun a profile once the event is relayed
    while (me := petra.ask("{ me { handle profile { displayName } } }")["data"]["me"])["profile"] is None:
        assert time.monotonic() < until, me
    assert me["handle"] == "petra"


@nightly
@pytest.mark.parametrize("name", SUBGRAPHS)
def test_a_call_that_no_router_signed_is_403(processes: Processes, name: str) -> None:
    url = f"http://127.0.0.1:{processes.ports[name]}/graphql"
    answer = httpx2.post(url, json={"query": "{ __typename }"}, timeout=30)
    assert answer.status_code == 403
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["INVALID_CALL"]


@nightly
def test_only_accounts_publishes_keys(processes: Processes) -> None:
    for name, port in processes.ports.items():
        answer = httpx2.get(f"http://127.0.0.1:{port}/.well-known/jwks.json", timeout=30)
        assert answer.status_code == (200 if name == "accounts" else 404)


@nightly
def test_a_second_process_of_a_subgraph_is_refused_in_one_line(processes: Processes) -> None:
    data = next(Path(one) for one in processes.running["accounts"].args if str(one).endswith("/data"))  # type: ignore[union-attr]
    for arguments in (("subgraph", "accounts", "--port", "0"), ("up", "--port", "0")):
        outcome = run_stadion(*arguments, "--data", str(data))
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert "is in use by process" in outcome.stderr


@nightly
def test_ctrl_c_stops_each_with_code_0(processes: Processes) -> None:
    for process in processes.running.values():
        process.send_signal(signal.SIGINT)
    assert {process.wait(20) for process in processes.running.values()} == {0}


def test_one_subgraph_says_one_line_serves_signed_callers_alone_and_stops(tmp_path: Path) -> None:
    with started("subgraph", "accounts", "--port", "0", "--data", str(tmp_path / "data")) as (process, port):
        url = f"http://127.0.0.1:{port}"
        answer = httpx2.post(f"{url}/graphql", json={"query": "{ __typename }"}, timeout=30)
        assert answer.status_code == 403
        [key] = httpx2.get(f"{url}/.well-known/jwks.json", timeout=30).json()["keys"]
        assert "d" not in key
        assert httpx2.get(f"{url}/health/ready", timeout=30).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
