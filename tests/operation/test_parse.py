"""Texts into documents: limits, refusals, and nothing but typed refusals for any text."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import ClientError, DocumentOverLimit, ParsingFailed
from router.operation.parse import ParseLimits, parse


def refusal_of(text: str, **limits: int) -> ClientError:
    with pytest.raises(ClientError) as refused:
        parse(text, limits=ParseLimits(**limits))
    return refused.value


def test_a_document_is_known_by_the_hash_of_its_text() -> None:
    parsed = parse("{ a # ü\n }")
    assert parsed.document_hash == hashlib.sha256("{ a # ü\n }".encode()).hexdigest()


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "{}", "{ a { } }", "query", "{a(}", '{a(x:"}', "\x00", "{a}}", "#", '"""', "\ud800"],
)
def test_what_is_not_a_document_is_refused_with_its_place(text: str) -> None:
    refusal = refusal_of(text)
    assert isinstance(refusal, ParsingFailed)
    assert refusal.to_graphql()["extensions"] == {"code": "PARSING_ERROR"}
    assert refusal.locations[0].keys() == {"line", "column"}


def test_the_place_is_line_and_column_of_the_clients_text() -> None:
    assert refusal_of("{ a\n  ! }").to_graphql()["locations"] == [{"line": 2, "column": 3}]


@pytest.mark.parametrize(
    ("text", "limits", "code"),
    [
        ("{ aaaa }", {"document_bytes_max": 7}, "MAX_BYTES_LIMIT"),
        ("{ ää }", {"document_bytes_max": 7}, "MAX_BYTES_LIMIT"),
        ("{ a b c }", {"tokens_max": 4}, "MAX_TOKENS_LIMIT"),
        ("{a{b{c}}}", {"nesting_max": 2}, "MAX_RECURSION_LIMIT"),
        ("{a(x:[[[1]]])}", {"nesting_max": 3}, "MAX_RECURSION_LIMIT"),
        ("{a" * 100_000, {}, "MAX_RECURSION_LIMIT"),
        ("{a(x:" + "[" * 200_000, {}, "MAX_RECURSION_LIMIT"),
        ("query($x:" + "[" * 5_000, {}, "MAX_RECURSION_LIMIT"),
    ],
)
def test_each_limit_has_its_own_code(text: str, limits: dict[str, int], code: str) -> None:
    refusal = refusal_of(text, **limits)
    assert isinstance(refusal, DocumentOverLimit)
    assert refusal.code == code


def test_a_document_at_its_limits_passes() -> None:
    parse("{a{b{c}}}", limits=ParseLimits(nesting_max=3))
    parse("{ a b c }", limits=ParseLimits(tokens_max=6))
    parse("{a" * 199 + "{a" + "}" * 200)


def test_brackets_in_strings_and_comments_do_not_nest() -> None:
    text = '{ a(x: "' + "[" * 500 + '", y: """' + "{" * 500 + '""") # ' + "(" * 500 + "\n }"
    parse(text, limits=ParseLimits(nesting_max=3))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}[]()"\\#,:!@$. \n\tabqfon1-\ud800\x00', max_size=60))
def test_any_text_is_a_document_or_a_refusal(text: str) -> None:
    try:
        parse(text)
    except ClientError as refusal:
        assert refusal.http_status == 400
