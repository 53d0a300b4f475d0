"""A subgraph called past the router: unsigned it refuses; a forged entity loads the real row."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest

from authz.identity.internal import HEADER_NAME, call_key, sign_call
from deploy.transports import internal_secret
from tests.platform.conftest import Seeded, subject_of

ENTITIES = """
query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    ... on User { id clearance { status } medicalRecord(purpose: TREAT) { patient { birthDate } } }
  }
}
"""


def signed(
    seeded: Seeded, body: bytes, *, name: str, handle: str, at: datetime | None = None
) -> dict[str, str]:
    """The headers that the router would send."""
    key = call_key(internal_secret(seeded.platform))
    digest = hashlib.sha256(body).hexdigest()
    signature = sign_call(subject_of(handle), name, digest, key, at or datetime.now(UTC))
    return {"content-type": "application/json", HEADER_NAME: signature}


def body_of(query: str, **variables: Any) -> bytes:
    return orjson.dumps({"query": query, "variables": variables})


@pytest.mark.parametrize("name", ["accounts", "profiles", "training", "medical", "audit"])
def test_without_the_routers_signature_nothing_runs(seeded: Seeded, name: str) -> None:
    body = body_of("{ __typename }")
    stale = datetime.now(UTC) - timedelta(minutes=5)
    other = "accounts" if name != "accounts" else "medical"
    for headers in (
        {"content-type": "application/json"},
        {"content-type": "application/json", HEADER_NAME: "forged"},
        signed(seeded, b"another body", name=name, handle="mira"),
        signed(seeded, body, name=other, handle="mira"),
        signed(seeded, body, name=name, handle="mira", at=stale),
    ):
        answer = httpx2.post(seeded.urls[name], content=body, headers=headers)
        assert answer.status_code == 403
        assert "data" not in answer.json()


def test_a_forged_representation_loads_the_real_row(seeded: Seeded) -> None:
    forged = {
        "__typename": "User", "id": "demo-athlete", "ownerId": "demo-other-physician",
        "clearance": {"status": "CLEARED"}, "medicalRecord": {"patient": {"birthDate": "1900-01-01"}},
    }  # fmt: skip
    body = body_of(ENTITIES, representations=[forged])
    seen = httpx2.post(
        seeded.urls["medical"], content=body, headers=signed(seeded, body, name="medical", handle="lind")
    ).json()["data"]["_entities"][0]
    assert seen["clearance"] == {"status": "RESTRICTED"}
    assert seen["medicalRecord"]["patient"]["birthDate"] != "1900-01-01"
    body = body_of(ENTITIES, representations=[forged])
    refused = httpx2.post(
        seeded.urls["medical"], content=body, headers=signed(seeded, body, name="medical", handle="okafor")
    ).json()
    assert refused["data"]["_entities"] == [{"id": "demo-athlete", "clearance": None, "medicalRecord": None}]
    assert sorted(error["path"][-1] for error in refused["errors"]) == ["clearance", "medicalRecord"]


def test_an_unknown_representation_fails_alone(seeded: Seeded) -> None:
    body = body_of(
        ENTITIES,
        representations=[{"__typename": "Nope", "id": "1"}, {"__typename": "User", "id": "demo-athlete"}],
    )
    answer = httpx2.post(
        seeded.urls["medical"], content=body, headers=signed(seeded, body, name="medical", handle="lind")
    ).json()
    assert answer["data"]["_entities"][0] is None
    assert answer["data"]["_entities"][1]["id"] == "demo-athlete"
    assert [error["path"] for error in answer["errors"]] == [["_entities", 0]]
