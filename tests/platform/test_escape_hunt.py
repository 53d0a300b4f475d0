"""Random operations of each role look for what the role may not know; none of it is in any answer, and no
canary at all in a log, a trace, a cache, an event or the audit log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from authz.identity.subject import ANONYMOUS, Subject
from router.errors import ClientError
from router.telemetry import TRACING
from tests.kit_platform.operations import entity_queries, queries
from tests.platform.conftest import Seeded, subject_of

ATHLETE = "demo-athlete"
SUITE_EXAMPLES, NIGHTLY_EXAMPLES = 5, 400
# What of the athlete each of them must never come by. Nothing else of the demo holds these values.
HIDDEN = {
    "tomas": ("clinical", "contact"),
    "lind": ("contact",),
    "okafor": ("clinical", "clearance", "training", "name", "contact"),
    "noor": ("clinical", "clearance", "training", "contact"),
    "ada": ("clinical", "clearance", "training", "name"),
    "nobody": ("clinical", "clearance", "training", "name", "contact"),
}
CANARIES = """
{ me { email profile { displayName }
  activities { nodes { id name } } clearance { restrictions }
  medicalRecord(purpose: PATRQT) {
    patient { text birthDate fhirId } conditions { nodes { id text onset fhirId } }
    observations(first: 50) { nodes { id text fhirId } } medications { nodes { id text fhirId } }
    reports { nodes { id fhirId } } allergies { nodes { id text fhirId } } } } }
"""
SHORTEST = 6


@dataclass(frozen=True)
class Hunt:
    """What is hunted for, by kind, and the ids a hunter may know."""

    seeded: Seeded
    canaries: Mapping[str, frozenset[str]]
    ids: tuple[str, ...]
    activities: tuple[str, ...]

    def hidden_from(self, handle: str) -> frozenset[str]:
        return frozenset().union(*(self.canaries[kind] for kind in HIDDEN[handle]))


def texts(value: object) -> Iterator[str]:
    """Every text inside, long enough to be nobody else's by chance."""
    if isinstance(value, str) and len(value) >= SHORTEST:
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.fixture(scope="module")
def hunt(seeded: Seeded) -> Hunt:
    mine = seeded.ask(CANARIES, subject_of("mira"))
    me = mine["data"]["me"]
    activities = tuple(each["id"] for each in me["activities"]["nodes"])
    names = frozenset(each["name"] for each in me["activities"]["nodes"] if each["name"])
    canaries = {
        "clinical": frozenset(texts(me["medicalRecord"])),
        "clearance": frozenset(texts(me["clearance"])),
        "training": frozenset(name for name in names if len(name) >= SHORTEST),
        "name": frozenset({me["profile"]["displayName"]}),
        "contact": frozenset({"mira@example.org"}),
    }
    assert len(canaries["clinical"]) > 20 and all(len(found) > 0 for found in canaries.values())
    resources = tuple(node["id"] for node in me["medicalRecord"]["conditions"]["nodes"])
    ids = (ATHLETE, "demo-coach", "demo-coach-link", "demo-physician", "mira", "no-such", *activities[:2])
    return Hunt(seeded, canaries, (*ids, *resources[:2]), activities)


def hunter(handle: str) -> Subject:
    return ANONYMOUS if handle == "nobody" else subject_of(handle)


def found_in(content: str, hidden: frozenset[str]) -> list[str]:
    return [canary for canary in hidden if canary in content or json.dumps(canary)[1:-1] in content]


def hunt_by_router(hunt: Hunt, handle: str, query: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    try:
        answer = json.dumps(hunt.seeded.ask(query, hunter(handle)), default=str, ensure_ascii=False)
    except ClientError as refusal:
        answer = str(refusal)
    assert found_in(answer, hunt.hidden_from(handle)) == [], query
    assert "internal error" not in answer, query
    everything = frozenset().union(*hunt.canaries.values())
    assert found_in(caplog.text, everything) == [], query


def hunt_by_entities(hunt: Hunt, handle: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(hunt.seeded.platform.subgraphs)))
    subgraph = hunt.seeded.platform.subgraphs[name]
    keys = {"User": [ATHLETE], "Activity": hunt.activities, "CoachLink": ["demo-coach-link"]}
    known = {kind: ids for kind, ids in keys.items() if kind in subgraph.schema.type_map}
    query, representations = data.draw(entity_queries(subgraph.schema, known, hunt.ids))
    asked = subgraph.execute(query, {"r": representations}, None, hunter(handle))
    answer = json.dumps(hunt.seeded.run(asked), default=str, ensure_ascii=False)
    assert found_in(answer, hunt.hidden_from(handle)) == [], (name, query, representations)
    assert "internal error" not in answer, (name, query, representations)


def hunt_in_traces(spans: InMemorySpanExporter, hunt: Hunt) -> int:
    """No canary in any span, whoever asked; how many spans there were."""
    everything, finished = frozenset().union(*hunt.canaries.values()), spans.get_finished_spans()
    for span in finished:
        assert found_in(span.to_json(), everything) == [], span.name
    spans.clear()
    return len(finished)


def kept_texts(hunt: Hunt) -> set[str]:
    """All that the router and the subgraphs keep between requests."""
    graph = hunt.seeded.routers["in-process"].snapshot
    documents = {f"{key} {document.normal}" for key, document in graph.documents.items()}
    plans = {f"{key} {compiled.plan}" for key, compiled in graph.plans.items()}
    prepared = [each._documents for each in hunt.seeded.platform.subgraphs.values()]
    return documents | plans | {query for documents in prepared for query in documents}


def hunt_in_caches(hunt: Hunt, before: set[str]) -> int:
    """No canary in what is kept since `before`; how many entries that are."""
    # Ids that hunters write into their operations are kept with the operations' texts.
    everything = frozenset().union(*hunt.canaries.values()) - set(hunt.ids)
    kept = kept_texts(hunt) - before
    for each in kept:
        assert found_in(each, everything) == []
    return len(kept)


def hunt_at_rest(hunt: Hunt) -> int:
    """No canary in what the hunt has left in the outboxes and in the audit log; how many events there are."""
    # Ids that hunters ask about are in the records of their asking.
    everything, payloads = frozenset().union(*hunt.canaries.values()) - set(hunt.ids), []
    for store in hunt.seeded.platform.stores.rows().values():
        read = store.read(lambda c: c.execute(text("SELECT payload FROM outbox")).scalars().all())
        payloads += hunt.seeded.run(read)
    assert found_in("\n".join(map(str, payloads)), everything) == []
    for file in hunt.seeded.platform.settings.data_folder.glob("audit.db*"):
        content = file.read_bytes()
        assert [canary for canary in everything if canary.encode() in content] == [], file.name
    return len(payloads)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Every span of the router and the platform, as an operator's collector would get it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(TRACING, "tracer", provider.get_tracer("hunt"))
    return exporter


RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def run_hunt(
    hunt: Hunt, handle: str, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter, *, examples: int
) -> None:
    schema = hunt.seeded.routers["in-process"].snapshot.api_schema

    @settings(max_examples=examples, **RELAXED)  # type: ignore[arg-type]
    @given(queries(schema, hunt.ids, ATHLETE), st.data())
    def search(query: str, data: st.DataObject) -> None:
        hunt_by_router(hunt, handle, query, caplog)
        hunt_by_entities(hunt, handle, data)

    before = kept_texts(hunt)  # with what others wrote into their operations
    with caplog.at_level(logging.INFO):
        search()
    assert hunt_in_traces(spans, hunt) > 0
    hunt_in_caches(hunt, before)
    assert kept_texts(hunt)
    assert hunt_at_rest(hunt) > 0


@pytest.mark.parametrize("handle", list(HIDDEN))
def test_no_operation_brings_out_what_the_role_may_not_know(
    hunt: Hunt, handle: str, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter
) -> None:
    run_hunt(hunt, handle, caplog, spans, examples=SUITE_EXAMPLES)


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("handle", list(HIDDEN))
def test_no_operation_brings_it_out_all_night(
    hunt: Hunt, handle: str, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter
) -> None:
    run_hunt(hunt, handle, caplog, spans, examples=NIGHTLY_EXAMPLES)


def test_the_hunt_finds_what_is_there(hunt: Hunt, caplog: pytest.LogCaptureFixture) -> None:
    """The hunters' eyes are open: the athlete herself finds her own values by the same means."""
    query = '{ u: user(id: "demo-athlete") { a1: medicalRecord(purpose: PATRQT) { a2: patient { text } } } }'
    answer = json.dumps(hunt.seeded.ask(query, subject_of("mira")), ensure_ascii=False)
    assert found_in(answer, hunt.canaries["clinical"])
