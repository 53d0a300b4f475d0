"""The table of codes and the two families of errors."""

from __future__ import annotations

import re

import pytest

from router import errors
from router.errors import ERROR_CODES, ClientError, InternalError, RouterError, SubgraphCallFailed, masked


def subclasses(of: type[RouterError]) -> list[type[RouterError]]:
    below = of.__subclasses__()
    return [*below, *(it for one in below for it in subclasses(one))]


@pytest.mark.parametrize("entry", ERROR_CODES.values(), ids=lambda it: it.code)
def test_every_code_has_a_meaning_and_a_status(entry: errors.ErrorCode) -> None:
    assert re.fullmatch(r"[A-Z][A-Z_]+", entry.code)
    assert 200 <= entry.http_status < 600
    assert entry.meaning
    assert not entry.meaning.endswith(".")


def test_every_error_has_a_code_of_the_table() -> None:
    for kind in subclasses(ClientError) + subclasses(InternalError):
        assert kind.code in ERROR_CODES  # type: ignore[attr-defined]


def test_a_code_outside_the_table_is_a_fault() -> None:
    with pytest.raises(KeyError):
        ClientError("x", code="MADE_UP")


def test_an_entry_has_only_what_is_known() -> None:
    assert ClientError("m", code="FORBIDDEN").to_graphql() == {
        "message": "m",
        "extensions": {"code": "FORBIDDEN"},
    }
    told = ClientError("m", path=["a", 0], locations=[{"line": 1, "column": 2}], extensions={"x": 1})
    assert told.to_graphql() == {
        "message": "m",
        "locations": [{"line": 1, "column": 2}],
        "path": ["a", 0],
        "extensions": {"x": 1, "code": "BAD_REQUEST"},
    }


def test_a_subgraph_failure_names_the_subgraph_and_its_status() -> None:
    told = SubgraphCallFailed("stock", "answered HTTP 503", http_answer_status=503).to_graphql()
    assert told["extensions"] == {
        "code": "SUBREQUEST_HTTP_ERROR",
        "service": "stock",
        "reason": "answered HTTP 503",
        "http": {"status": 503},
    }


def test_what_is_masked_says_nothing() -> None:
    assert masked(trace_id="t") == {
        "message": "internal error",
        "extensions": {"code": "INTERNAL_SERVER_ERROR", "traceId": "t"},
    }
