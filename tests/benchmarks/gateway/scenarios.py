"""The benchmark's scenarios: what is asked, and what the answer must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

HERE = Path(__file__).parent
HEAVY = (HERE / "operation.graphql").read_text(encoding="utf-8")
EXPECTED = orjson.loads((HERE / "expected_response.json").read_bytes())["data"]

SMALL = "query { me { id name } }"
HOP2 = "query { topProducts(first: 10) { upc shippingEstimate inStock } }"
FLAT = "query { topProducts(first: 1000) { upc name price weight notes internal } }"
LARGE_ITEMS = 80_000
LARGE = FLAT.replace("1000", str(LARGE_ITEMS))
WIDE_FIELDS = tuple(f"v{number}" for number in range(0, 200, 20))
WIDE = f"query {{ item {{ id {' '.join(WIDE_FIELDS)} }} }}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`body(i)` is the i-th request; `check` says what is wrong with an answer, or None.

    `connections` where they are not as many as the options say; `graph` is the supergraph that it is asked;
    `relayed`: one subgraph would answer the same request alike.
    """

    name: str
    says: str
    body: Callable[[int], bytes]
    headers: Callable[[int], str]
    check: Callable[[bytes], str | None]
    connections: int | None = None
    graph: str = "public"
    relayed: bool = False


def request(text: str) -> bytes:
    """A GraphQL request without variables."""
    return orjson.dumps({"query": text})


def same_each_time(text: str) -> Callable[[int], bytes]:
    """The same request for every i."""
    body = request(text)
    return lambda _: body


def no_headers(_: int) -> str:
    """Nothing that tells requests apart."""
    return ""


def own_authorization(i: int) -> str:
    """Each request has its own caller: nothing may be shared between requests."""
    return f"authorization: Bearer caller-{i}\r\n"


def equals(expected: object) -> Callable[[bytes], str | None]:
    """The data must equal `expected`; a body seen before is not parsed again."""
    good: set[bytes] = set()

    def check(body: bytes) -> str | None:
        if body in good:
            return None
        answer = orjson.loads(body)
        if answer.get("data") == expected and not answer.get("errors"):
            if len(good) < 64:
                good.add(body)
            return None
        return f"wrong answer: {body[:200]!r}"

    return check


def counts(key: str, length: int) -> Callable[[bytes], str | None]:
    """The data's `key` must be a list of `length` objects without errors."""
    good: set[bytes] = set()

    def check(body: bytes) -> str | None:
        if body in good:
            return None
        answer = orjson.loads(body)
        found = (answer.get("data") or {}).get(key)
        if answer.get("errors") or not isinstance(found, list) or len(found) != length or None in found:
            return f"wrong answer: {body[:200]!r}"
        if len(good) < 64:
            good.add(body)
        return None

    return check


def literal_text(i: int) -> bytes:
    """The same shape with another literal in each text."""
    return request(f'query {{ user(id: "{i + 1}") {{ id name username reviews {{ id body }} }} }}')


def literal_is_right(body: bytes) -> str | None:
    """The user is there with two reviews."""
    answer = orjson.loads(body)
    user = (answer.get("data") or {}).get("user")
    good = user and len(user["reviews"]) == 2 and not answer.get("errors")
    return None if good else f"wrong answer: {body[:200]!r}"


def novel_text(i: int) -> bytes:
    """A text never seen before: another alias each time."""
    return request(
        HEAVY.replace("topProducts {", f"fresh{i}: topProducts {{", 1).replace(
            "users {", f"u{i}: users {{", 1
        )
    )


def novel_is_right(body: bytes) -> str | None:
    """Two root fields, the expected numbers of items, no errors."""
    answer = orjson.loads(body)
    lengths = sorted(len(value) for value in (answer.get("data") or {}).values())
    return None if lengths == [5, 6] and not answer.get("errors") else f"wrong answer: {body[:200]!r}"


def other_length(i: int) -> bytes:
    """A thousand flat items and some more, so that no answer is as long as those before it."""
    text = FLAT.replace("query", "query($first: Int)").replace("1000", "$first")
    return orjson.dumps({"query": text, "variables": {"first": 1_000 + i % 400}})


def flat_is_right(body: bytes) -> str | None:
    """Whole, with a thousand items or more."""
    whole = body.startswith(b'{"data":{"topProducts":[{"upc":') and body.endswith(b"}]}}")
    return None if whole and body.count(b'"upc":') >= 1_000 else f"wrong answer: {body[:200]!r}"


EQUALS_HEAVY = equals(EXPECTED)
EQUALS_SMALL = equals({"me": {"id": "1", "name": EXPECTED["users"][0]["name"]}})

SCENARIOS = (
    Scenario("heavy", "the public operation, identical", same_each_time(HEAVY), no_headers, EQUALS_HEAVY),
    Scenario(
        "heavy-fresh", "each with its own caller", same_each_time(HEAVY), own_authorization, EQUALS_HEAVY
    ),
    Scenario(
        "small", "one fetch, two fields", same_each_time(SMALL), own_authorization, EQUALS_SMALL, relayed=True
    ),
    Scenario(
        "hop2", "two hops with @requires", same_each_time(HOP2), own_authorization, counts("topProducts", 10)
    ),
    Scenario(
        "flat1000", "1 000 flat items", same_each_time(FLAT), own_authorization,
        counts("topProducts", 1000), relayed=True,
    ),
    Scenario(
        "flat-differs", "another answer each time", other_length, own_authorization,
        flat_is_right, relayed=True,
    ),
    Scenario("literals", "another literal in each text", literal_text, own_authorization, literal_is_right),
    Scenario("novel", "another text each time", novel_text, own_authorization, novel_is_right),
    Scenario(
        "large", "an answer of 10 MB", same_each_time(LARGE), own_authorization,
        counts("topProducts", LARGE_ITEMS), connections=4, relayed=True,
    ),
    Scenario(
        "clients1000", "small, of 1 000 clients at once", same_each_time(SMALL), own_authorization,
        EQUALS_SMALL, connections=1_000, relayed=True,
    ),
    Scenario(
        "wide200", "ten of 200 subgraphs", same_each_time(WIDE), own_authorization,
        equals({"item": {"id": "1", **{name: int(name[1:]) for name in WIDE_FIELDS}}}), graph="wide",
    ),
)  # fmt: skip
