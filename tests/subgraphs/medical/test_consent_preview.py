"""What a consent would do is told before it is given, and is then what happens."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from tests.kit_medical import ATHLETE, COACH, PHYSICIAN, Medical

PREVIEW = """query($draft: GrantConsentInput!, $filter: ConsentEffectFilter, $first: Int, $after: String,
  $last: Int,
  $before: String) {
  consentPreview(draft: $draft, filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    nodes { viewer { id } dataClass label purpose before after rule ruleBefore obligation } } }"""
GRANT = "mutation($input: GrantConsentInput!) { grantConsent(input: $input) { userErrors { code } } }"
ADD = "mutation($input: AddToCareTeamInput!) { addToCareTeam(input: $input) { userErrors { code } } }"


async def preview(medical: Medical, **draft: Any) -> list[dict[str, Any]]:
    answer = await medical.ask(ATHLETE, PREVIEW, draft=draft)
    assert "errors" not in answer, answer
    nodes: list[dict[str, Any]] = answer["data"]["consentPreview"]["nodes"]
    return nodes


async def take_on(medical: Medical) -> None:
    given = {"userId": "athlete", "practitionerId": "physician", "purpose": "PATRQT"}
    assert "errors" not in await medical.ask(ATHLETE, ADD, input=given)


def seen(effects: list[dict[str, Any]], when: str) -> dict[tuple[str, str | None], bool]:
    return {(each["viewer"]["id"], each["label"]): each[when] for each in effects}


async def test_a_permit_opens_its_label_to_who_treats_and_nothing_else(medical: Medical) -> None:
    await take_on(medical)
    effects = await preview(medical, decision="PERMIT", dataClass="CLINICAL_RESTRICTED", labels=["mental"])
    assert seen(effects, "before") == {("physician", None): True, ("physician", "mental"): False}
    assert seen(effects, "after") == {("physician", None): True, ("physician", "mental"): True}


async def test_a_consent_alone_opens_nothing_to_who_does_not_treat(medical: Medical) -> None:
    effects = await preview(
        medical, decision="PERMIT", dataClass="CLINICAL_RESTRICTED", labels=["hiv"], actorId="stranger"
    )
    assert seen(effects, "after") == {("stranger", None): False, ("stranger", "hiv"): False}


@pytest.mark.parametrize(
    ("decision", "data_class", "actor"),
    list(
        itertools.product(
            ["PERMIT", "DENY"], ["CLINICAL", "CLINICAL_RESTRICTED"], [None, "physician", "stranger"]
        )
    ),
)
async def test_what_is_previewed_is_what_happens(
    medical: Medical, decision: str, data_class: str, actor: str | None
) -> None:
    await take_on(medical)
    labels = ["mental"] if data_class == "CLINICAL_RESTRICTED" else []
    draft: dict[str, Any] = {
        "decision": decision,
        "dataClass": data_class,
        "labels": labels,
        "actorId": actor,
    }
    told = await preview(medical, **draft)
    assert await preview(medical, **draft) == told  # nothing was stored by asking
    granted = await medical.ask(ATHLETE, GRANT, input=draft)
    assert granted["data"]["grantConsent"]["userErrors"] == []
    assert seen(await preview(medical, **draft), "before") == seen(told, "after")


async def test_a_preview_refuses_what_a_grant_would(medical: Medical) -> None:
    draft = {"decision": "PERMIT", "dataClass": "CLINICAL_RESTRICTED"}
    answer = await medical.ask(ATHLETE, PREVIEW, draft=draft)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["LABELS_MISSING"]


async def test_a_preview_is_about_ones_own_record(medical: Medical) -> None:
    await take_on(medical)
    draft = {"decision": "DENY", "dataClass": "CLINICAL"}
    of_coach = await medical.ask(COACH, PREVIEW, draft=draft)
    assert of_coach["data"]["consentPreview"]["nodes"] == []
    of_physician = await medical.ask(PHYSICIAN, PREVIEW, draft=draft)
    assert of_physician["data"]["consentPreview"]["nodes"] == []


async def pages(medical: Medical, **given: Any) -> dict[str, Any]:
    answer = await medical.ask(ATHLETE, PREVIEW, draft={"decision": "DENY", "dataClass": "CLINICAL"}, **given)
    assert "errors" not in answer, answer
    page: dict[str, Any] = answer["data"]["consentPreview"]
    return page


async def test_effects_come_in_pages_both_ways(medical: Medical) -> None:
    await take_on(medical)
    whole = await pages(medical, first=50)
    assert whole["totalCount"] == len(whole["nodes"]) == 6  # what is not restricted, and five labels
    forward, backward, after, before = [], [], None, None
    for _ in range(3):
        page = await pages(medical, first=2, after=after)
        forward += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        back = await pages(medical, last=2, before=before)
        backward = back["nodes"] + backward
        before = back["pageInfo"]["startCursor"]
    assert forward == backward == whole["nodes"]
    assert not page["pageInfo"]["hasNextPage"] and not back["pageInfo"]["hasPreviousPage"]
    stolen = await medical.ask(
        ATHLETE, PREVIEW, draft={"decision": "PERMIT", "dataClass": "CLINICAL"}, after=after
    )
    assert [error["extensions"]["code"] for error in stolen["errors"]] == ["BAD_CURSOR"]


@pytest.mark.parametrize(
    ("chosen", "labels"),
    [
        ({"changed": True}, [None]),
        ({"changed": False}, ["genetic", "hiv", "mental", "reproductive", "substance"]),
        ({"after": True}, []),
        ({"dataClass": "CLINICAL"}, [None]),
        ({"label": "hiv"}, ["hiv"]),
        ({"viewerId": "physician", "dataClass": "CLINICAL"}, [None]),
        ({"viewerId": "stranger"}, []),
    ],
    ids=str,
)
async def test_effects_are_chosen_by_viewer_part_and_change(
    medical: Medical, chosen: dict[str, Any], labels: list[str | None]
) -> None:
    await take_on(medical)
    page = await pages(medical, filter=chosen)
    assert [each["label"] for each in page["nodes"]] == labels and page["totalCount"] == len(labels)
    for each in page["nodes"]:
        if each["label"] is None:
            assert (each["ruleBefore"], each["rule"]) == ("clinical-treating", "consent-deny-clinical")


async def test_a_consent_that_is_to_end_is_previewed_as_over_afterwards(medical: Medical) -> None:
    await take_on(medical)
    query = """query($draft: GrantConsentInput!, $at: DateTime) {
      consentPreview(draft: $draft, at: $at) { nodes { viewer { id } label before after } } }"""
    until = medical.clock() + timedelta(days=3)
    draft = {"decision": "DENY", "dataClass": "CLINICAL", "labels": [], "validUntil": until.isoformat()}
    found = []
    for at in (None, until - timedelta(seconds=1), until):
        answer = await medical.ask(ATHLETE, query, draft=draft, at=None if at is None else at.isoformat())
        assert "errors" not in answer, answer
        nodes = answer["data"]["consentPreview"]["nodes"]
        found += [(each["before"], each["after"]) for each in nodes if each["label"] is None]
    assert found == [(True, False), (True, False), (True, True)]
    past = await medical.ask(ATHLETE, query, draft=draft, at="2020-01-01T00:00:00Z")
    assert past["errors"][0]["extensions"]["code"] == "BAD_INPUT"
