"""A new user's first day, with nothing but the README: the platform as a process, real files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from tests.kit_platform.client import Caller, log_in
from tests.kit_platform.process import ROOT, Running, run_stadion, stadion_up

FIT = ROOT / "tests" / "data" / "activities" / "fit" / "run-garmin-vivoactive-hr.fit"
UPLOAD = """
mutation Upload($file: Upload!) {
  uploadActivityFile(file: $file) {
    activities { id sport summary { distanceM elapsedS } }
    alreadyImported warnings { code } userErrors { code message }
  }
}
"""
REGISTER = """
mutation Register($input: RegisterInput!) {
  register(input: $input) { user { id } userErrors { code field message } }
}
"""
LOG_IN = """
mutation LogIn($input: LogInInput!) { logIn(input: $input) { accessToken userErrors { code } } }
"""
IMPORT = """
mutation Import($input: ImportBundleInput!) {
  importBundle(input: $input) {
    result { added errorCount errors { code message } } userErrors { code message }
  }
}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One demo platform for the module."""
    with stadion_up(tmp_path_factory.mktemp("first-day") / "data") as running:
        yield running


def test_the_first_start_says_what_to_open_and_who_may_log_in(up: Running) -> None:
    mira = log_in(up.graphql, "mira")
    text = "".join(up.lines)
    assert f"open {up.graphql}" in text
    for handle in ("mira", "tomas", "lind", "okafor", "noor", "ada"):
        assert f"stadion-demo-{handle}" in text
    assert mira.data("{ me { id handle } }") == {"me": {"id": "demo-athlete", "handle": "mira"}}


def test_a_real_file_is_uploaded_listed_and_received_by_subscription(up: Running) -> None:
    mira = log_in(up.graphql, "mira")
    received = asyncio.run(upload_while_subscribed(up, mira))
    uploaded = received["payload"]["data"]["uploadActivityFile"]
    assert uploaded["userErrors"] == []
    (activity,) = uploaded["activities"]
    # expected.json: the device's own total for this file
    assert activity["summary"]["distanceM"] == pytest.approx(4840, rel=0.01)
    assert received["event"] == {"activityAdded": {"id": activity["id"], "sport": "RUNNING"}}
    listed = mira.data("{ me { activities(first: 50) { nodes { id } } } }")["me"]["activities"]["nodes"]
    assert activity["id"] in [each["id"] for each in listed]
    again = mira.upload(UPLOAD, FIT, "file")["data"]["uploadActivityFile"]
    assert (again["alreadyImported"], [each["id"] for each in again["activities"]]) == (
        True,
        [activity["id"]],
    )


async def upload_while_subscribed(up: Running, caller: Caller) -> dict[str, dict[str, object]]:
    """Subscribe over WebSocket, upload, and give both the payload and the event."""
    transport = WebsocketsTransport(
        url=up.graphql.replace("http", "ws"), init_payload={"authorization": f"Bearer {caller.token}"}
    )
    async with Client(transport=transport) as session:
        events = session.subscribe(gql("subscription { activityAdded { id sport } }"))
        first = asyncio.ensure_future(anext(events))
        # The server answers operations of one socket in order: when this one is answered, it listens.
        await session.execute(gql("{ me { id } }"))
        payload = await asyncio.to_thread(caller.upload, UPLOAD, FIT, "file")
        event = await asyncio.wait_for(first, 10)
        await events.aclose()
    return {"payload": payload, "event": event}


def test_a_new_person_registers_and_imports_a_clinical_record(up: Running) -> None:
    newcomer = Caller(up.graphql)
    given = {"handle": "sanna", "email": "sanna@example.org", "password": "seventeen llamas swim"}
    registered = newcomer.data(REGISTER, input=given)["register"]
    assert registered["userErrors"] == []
    user_id = registered["user"]["id"]
    payload = newcomer.data(LOG_IN, input={"login": "sanna", "password": given["password"]})["logIn"]
    sanna = Caller(up.graphql, payload["accessToken"])
    document = (ROOT / "deploy" / "demo" / "files" / "synthea-collection-alfonzo.json").read_text("utf-8")
    imported = sanna.data(IMPORT, input={"userId": user_id, "purpose": "PATRQT", "json": document})
    imported = imported["importBundle"]
    # The bundle holds 69 observations, 13 conditions, 11 reports and the patient.
    assert imported == {"result": {"added": 94, "errorCount": 0, "errors": []}, "userErrors": []}
    asked = "{ me { medicalRecord(purpose: PATRQT) { observations(first: 1) { totalCount } } } }"
    assert sanna.data(asked)["me"]["medicalRecord"]["observations"]["totalCount"] == 69
    # Nobody else sees it, the demo's physician included.
    lind = log_in(up.graphql, "lind").ask(
        "query($id: ID!) { user(id: $id) { medicalRecord(purpose: TREAT) { patient { id } } } }", id=user_id
    )
    assert lind["data"] == {"user": {"medicalRecord": None}}
    assert [error["path"] for error in lind["errors"]] == [["user", "medicalRecord"]]


def test_a_bundle_with_the_wrong_shape_gets_a_clear_error_and_changes_nothing(up: Running) -> None:
    mira = log_in(up.graphql, "mira")
    given = {"userId": "demo-athlete", "purpose": "PATRQT", "json": json.dumps({"no": "bundle"})}
    payload = mira.data(IMPORT, input=given)["importBundle"]
    assert payload["userErrors"] == []
    assert payload["result"]["added"] == 0
    (error,) = payload["result"]["errors"]
    assert "resourceType" in error["message"]


def test_the_command_line_says_that_the_folder_is_in_use(up: Running, tmp_path: Path) -> None:
    folder = next(tmp_path.parent.glob("first-day*/data"), None)
    assert folder is not None
    refused = run_stadion("import", "--as", "mira", "--data", str(folder), str(FIT))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "is in use by process" in refused.stderr
