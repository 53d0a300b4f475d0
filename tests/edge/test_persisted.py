"""Registered documents and the safelist."""

from __future__ import annotations

import hashlib
import json
import logging

import aiohttp
import pytest

from authz.identity.subject import Subject
from router.admission import ClientClass
from router.config import HttpLimits, PersistedConfig, RouterConfig, Safelist
from router.edge.credentials import Credentials
from router.edge.persisted import ManifestInvalid, Registered, read_manifest
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)
GRAPHQL_JSON = "application/graphql-response+json"
REGISTERED = {"hello-1": "query Hello { hello }"}
ANSWER = {"data": {"hello": "hello world"}}


def mode(safelist: Safelist, *, automatic: bool = True) -> RouterConfig:
    return RouterConfig(persisted=PersistedConfig(safelist=safelist, automatic=automatic))


async def told(router: Running, **request: object) -> tuple[int, object]:
    status, body, _ = await router.post(request, accept=GRAPHQL_JSON)
    return status, body if "errors" not in body else body["errors"][0]["extensions"]["code"]


def hashed(text: str) -> dict:
    return {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}


def named(id_: str) -> dict:
    return {"persistedQuery": {"version": 1, "sha256Hash": id_}}


@pytest.mark.parametrize("safelist", list(Safelist))
async def test_a_registered_document_is_run_by_its_id_in_every_mode(safelist) -> None:
    async with running(mode(safelist), registered=REGISTERED) as router:
        assert await told(router, documentId="hello-1") == (200, ANSWER)
        assert await told(router, extensions=named("hello-1")) == (200, ANSWER)
        assert await told(router, documentId="hello-1", query=REGISTERED["hello-1"]) == (200, ANSWER)
        assert await told(router, documentId="hello-1", query="{ me }") == (400, "CANNOT_SEND_PQ_ID_AND_BODY")
        async with router.http.get(router.url, params={"documentId": "hello-1"}) as it:
            assert await it.json() == ANSWER


async def test_ids_only_runs_nothing_else() -> None:
    async with running(mode(Safelist.IDS_ONLY), registered=REGISTERED) as router:
        assert await told(router, query="{ hello }") == (400, "PERSISTED_QUERY_ID_REQUIRED")
        assert await told(router, query=REGISTERED["hello-1"]) == (400, "PERSISTED_QUERY_ID_REQUIRED")
        assert await told(router, documentId="other") == (404, "PERSISTED_QUERY_NOT_IN_LIST")
        text = "{ me }"
        assert await told(router, query=text, extensions=hashed(text)) == (404, "PERSISTED_QUERY_NOT_IN_LIST")
        assert await told(router, extensions=hashed(text)) == (404, "PERSISTED_QUERY_NOT_IN_LIST")


async def test_known_texts_are_run_and_others_are_not() -> None:
    async with running(mode(Safelist.KNOWN_TEXTS), registered=REGISTERED) as router:
        assert await told(router, query=REGISTERED["hello-1"]) == (200, ANSWER)
        assert await told(router, query="{ hello }") == (400, "QUERY_NOT_IN_SAFELIST")


async def test_unknown_documents_are_logged_by_hash_alone(caplog) -> None:
    async with running(mode(Safelist.LOG_UNKNOWN), registered=REGISTERED) as router:
        with caplog.at_level(logging.WARNING):
            assert await told(router, query='{ hello(name: "private") }') == (
                200,
                {"data": {"hello": "hello private"}},
            )
            assert await told(router, documentId="hello-1") == (200, ANSWER)
    [record] = [one for one in caplog.records if one.name == "stadion.router.persisted"]
    assert hashlib.sha256(b'{ hello(name: "private") }').hexdigest() in record.getMessage()
    assert "private" not in record.getMessage()


async def test_hashes_of_known_texts_are_remembered_and_those_of_others_are_not() -> None:
    async with running(mode(Safelist.KNOWN_TEXTS), registered=REGISTERED) as router:
        known, other = REGISTERED["hello-1"], "{ hello }"
        for text in (known, other):
            assert await told(router, extensions=hashed(text)) == (200, "PERSISTED_QUERY_NOT_FOUND")
        assert await told(router, query=known, extensions=hashed(known)) == (200, ANSWER)
        assert await told(router, extensions=hashed(known)) == (200, ANSWER)
        assert await told(router, query=other, extensions=hashed(other)) == (400, "QUERY_NOT_IN_SAFELIST")
        assert await told(router, extensions=hashed(other)) == (200, "PERSISTED_QUERY_NOT_FOUND")
        router.app.state.persisted.take(Registered())
        assert await told(router, extensions=hashed(known)) == (400, "QUERY_NOT_IN_SAFELIST")


async def test_what_is_run_by_its_hash_is_logged_by_its_text_and_no_name_forges_a_line(caplog) -> None:
    text = "query Q { hello }"
    async with running(mode(Safelist.LOG_UNKNOWN), registered=REGISTERED) as router:
        with caplog.at_level(logging.WARNING):
            await told(router, extensions=hashed(text))
            await told(router, query=text, extensions=hashed(text), operationName="Q")
            await told(router, extensions=hashed(text), operationName="Q")
            await told(router, query=text, operationName="Q\nERROR forged")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    lines = [one.getMessage() for one in caplog.records if one.name == "stadion.router.persisted"]
    assert lines == [f"unregistered document {sha256} ({name})" for name in ("Q", "Q", None)]


async def test_an_unknown_id_is_404_and_automatic_hashes_can_be_off() -> None:
    async with running(mode(Safelist.OFF, automatic=False)) as router:
        assert await told(router, documentId="x") == (404, "PERSISTED_QUERY_NOT_IN_LIST")
        assert await told(router, extensions=hashed("{ hello }")) == (200, "PERSISTED_QUERY_NOT_SUPPORTED")


def test_both_kinds_of_manifest_are_read() -> None:
    listed = b'{"format": "x", "version": 1, "operations": [{"id": "a", "type": "query", "body": "{ a }"}]}'
    assert read_manifest(listed) == Registered({"a": "{ a }"})
    assert read_manifest(b'{"a": "{ a }", "b": "{ b }"}') == Registered({"a": "{ a }", "b": "{ b }"})
    assert read_manifest(b"{}") == Registered()


def test_a_manifest_may_have_documents_of_one_client_alone() -> None:
    found = read_manifest(
        b"""{"operations": [
          {"id": "a", "body": "{ a }", "clientName": "app"},
          {"id": "a", "body": "{ b }", "clientName": "web"},
          {"id": "c", "body": "{ c }"}
        ]}"""
    )
    assert [found.find("a", client) for client in ("app", "web", "other", None)] == [
        "{ a }",
        "{ b }",
        None,
        None,
    ]
    assert [found.find("c", client) for client in ("app", None)] == ["{ c }", "{ c }"]


async def test_each_client_runs_its_own_documents_and_each_class_by_its_own_rules() -> None:
    async def authenticate(token: str) -> Subject:
        return Subject(token, client_id=token)

    config = RouterConfig(
        client_classes={
            "partner": ClientClass(client_ids=("acme",), safelist=Safelist.IDS_ONLY),
            "web": ClientClass(client_ids=("web",), safelist=Safelist.KNOWN_TEXTS),
        }
    )
    registered = Registered(for_client={"acme": {"1": "{ hello }"}, "web": {"1": "{ me }"}})
    async with running(config, Credentials(authenticate=authenticate), registered) as router:

        async def code(client: str, **request: object) -> str | None:
            _, body, _ = await router.post(request, accept=GRAPHQL_JSON, authorization=f"Bearer {client}")
            return body["errors"][0]["extensions"]["code"] if "errors" in body else None

        assert [await code(client, documentId="1") for client in ("acme", "web")] == [None, None]
        assert await code("acme", query="{ hello }") == "PERSISTED_QUERY_ID_REQUIRED"
        assert await code("web", query="{ me }") is None
        assert await code("web", query="{ hello }") == "QUERY_NOT_IN_SAFELIST"
        assert await code("admin", query="{ hello }") is None
        assert await code("admin", documentId="1") == "PERSISTED_QUERY_NOT_IN_LIST"
        router.app.state.persisted.take(Registered(for_client={"acme": {"2": "{ hello }"}}))
        assert await code("acme", documentId="2") is None
        assert await code("acme", documentId="1") == "PERSISTED_QUERY_NOT_IN_LIST"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"[1]",
        b'{"a": 1}',
        b'{"operations": [{"id": "a"}]}',
        b'{"operations": [1]}',
        b'{"operations": [{"id": "a", "body": "x"}, {"id": "a", "body": "y"}]}',
    ],
)
def test_a_manifest_that_names_no_documents_is_refused(text) -> None:
    with pytest.raises(ManifestInvalid):
        read_manifest(text)


async def test_a_batch_mixes_files_ids_and_hashes_and_each_is_judged_by_itself() -> None:
    upload = "mutation($file: Upload!) { upload(file: $file) }"
    config = RouterConfig(http=HttpLimits(batch_operations_max=5))
    async with running(config, registered={"up": upload}) as router:
        operations = [
            {"documentId": "up", "variables": {"file": None}},
            {"query": "{ hello }", "extensions": hashed("{ hello }")},
            {"extensions": named("0" * 64)},
            {"documentId": "nobody's"},
            {"documentId": "up", "query": "{ hello }"},
        ]
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("operations", json.dumps(operations))
        form.add_field("map", json.dumps({"a": ["0.variables.file"]}))
        form.add_field("a", b"one", filename="a.txt", content_type="text/plain")
        headers = {"graphql-require-preflight": "1"}
        async with router.http.post(router.url, data=form, headers=headers) as response:
            answers = await response.json()
        again = await router.post({"extensions": hashed("{ hello }")})
    assert [one.get("data") for one in answers] == [
        {"upload": "a.txt text/plain 3 one"},
        {"hello": "hello world"},
        None,
        None,
        None,
    ]
    assert [one["errors"][0]["extensions"]["code"] for one in answers[2:]] == [
        "PERSISTED_QUERY_NOT_FOUND",
        "PERSISTED_QUERY_NOT_IN_LIST",
        "CANNOT_SEND_PQ_ID_AND_BODY",
    ]
    assert again[1] == {"data": {"hello": "hello world"}}
