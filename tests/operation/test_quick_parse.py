"""What is read quickly is what graphql-core reads; what graphql-core refuses is never read quickly."""

from __future__ import annotations

import pytest
from graphql import GraphQLError, OperationDefinitionNode, parse
from graphql.utilities import ast_to_dict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.operation.quick_parse import quick_document
from tests.kit_planner.cases import case_names, query_of

PIECES = [
    *("{", "}", "{", "}", "(", ")", "[", "]", ":", "$", "@", "!", "...", "|", "=", "&"),
    *("query", "mutation", "subscription", "fragment", "on", "true", "null", "a", "b", "_c", "T"),
    *("1", "-2", "0", "01", "1.5", "1e3", "-0.5E-2", "1.", "-", "1a", ".5", "..", "1.5.", "٣", "é"),
    *('"s"', '""', '"é"', '"""b"""', '"\\n"', '"\\u00e9"', '"', '"\t"', '"\n"', '"\ud83d"', '"😀"', "'"),
    *("#c\n", "#", "\ufeff", ",", "\n", "\r\n", "\t", "\x00", "\u00a0", "\u2028", "?", "\\"),
    *("{a}", "{ a b { c } }", "(a: 1)", "@skip(if: $a)", "...on T", "query Q($a: [Int!]! = [1] @d)"),
]
names = st.sampled_from(["a", "b", "on", "query", "fragment", "true", "null", "_x1", "T"])


def values(depth: int = 2) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(
        [*("1", "-7", "0", "1.5", "2e3", '"s"', '""', '"{ ( #"', "true", "false", "null", "RED", "on", "$a")]
    )
    if not depth:
        return leaves
    below = values(depth - 1)
    lists = st.lists(below, max_size=3).map(lambda it: f"[{', '.join(it)}]")
    fields = st.lists(st.tuples(names, below), max_size=2)
    return leaves | lists | fields.map(lambda them: f"{{{' '.join(f'{k}: {v}' for k, v in them)}}}")


arguments = st.one_of(
    st.just(""),
    st.lists(st.tuples(names, values()), min_size=1, max_size=2).map(
        lambda them: f"({', '.join(f'{k}: {v}' for k, v in them)})"
    ),
)
directives = st.lists(st.tuples(names, arguments), max_size=2).map(
    lambda them: "".join(f" @{name}{given}" for name, given in them)
)


def selection_sets(depth: int = 2) -> st.SearchStrategy[str]:
    below = st.just("") if not depth else st.just("") | selection_sets(depth - 1)
    inside = st.just("{ a }") if not depth else selection_sets(depth - 1)
    fields = st.tuples(st.sampled_from(["", "", "x: "]), names, arguments, directives, below).map("".join)
    spreads = st.tuples(st.just("..."), st.sampled_from(["F", "G"]), directives).map("".join)
    inline = st.tuples(st.sampled_from(["...", "... on T"]), directives, inside).map(" ".join)
    return st.lists(fields | spreads | inline, min_size=1, max_size=4).map(
        lambda it: f"{{ {', '.join(it)} }}"
    )


variables = st.sampled_from(
    ["", "($a: Int)", '($a: [T!]! = [{b: ")"}] @d(x: 1), \n $b: ID = null)', "($a: Int = $b)"]
)
operations = st.one_of(
    selection_sets(),
    st.tuples(
        st.sampled_from(["query", "mutation ", "subscription\n"]),
        st.sampled_from(["", " Q", " query", " on"]),
        variables,
        directives,
        selection_sets(),
    ).map("".join),
)
fragments = st.tuples(
    st.sampled_from(["fragment F on T", "fragment on on T", "fragment G on on"]), directives, selection_sets()
).map(" ".join)
documents = st.tuples(st.lists(fragments, max_size=2), operations, st.lists(fragments, max_size=1)).map(
    lambda parts: "\n".join([*parts[0], parts[1], *parts[2]])
)


def compare(text: str, *, read: bool = False) -> None:
    read_quickly = quick_document(text, tokens_max=0)
    quick = None if read_quickly is None else read_quickly.document
    try:
        expected = parse(text, allow_empty_selection_sets=False)
    except GraphQLError:
        assert quick is None, text
        return
    assert quick is not None or not read, text
    if quick is None:
        return
    assert ast_to_dict(quick) == ast_to_dict(expected), text
    if "$" not in text:
        assert quick == parse(text, no_location=True), "and of the same classes"
    for ours, theirs in zip(quick.definitions, expected.definitions, strict=True):
        if isinstance(ours, OperationDefinitionNode) and isinstance(theirs, OperationDefinitionNode):
            pairs = zip(ours.variable_definitions or (), theirs.variable_definitions or (), strict=True)
            for one, other in pairs:
                assert one.loc is not None
                assert other.loc is not None
                assert one.loc.source.get_location(one.loc.start) == other.loc.source.get_location(
                    other.loc.start
                )


@settings(max_examples=60, deadline=None)
@given(documents)
@example("{ a(b: [1,2]) }")
def test_a_document_is_read_as_graphql_core_reads_it(text: str) -> None:
    compare(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join))
def test_any_row_of_tokens_is_judged_alike(text: str) -> None:
    compare(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(lambda it: f"{{a{''.join(it)}}}"))
def test_tokens_without_space_between_them_are_judged_alike(text: str) -> None:
    compare(text)


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(0, 400), st.sampled_from(PIECES))
def test_a_document_with_something_put_into_it_is_judged_alike(text: str, at: int, piece: str) -> None:
    compare(text[:at] + piece + text[at + 1 :])


@pytest.mark.parametrize("name", case_names())
def test_the_cases_operations_are_read_quickly(name: str) -> None:
    text = query_of(name)
    compare(text, read="#" not in text)


@pytest.mark.parametrize(
    "text",
    ["{ a # c\n }", '{ a(b: """c""") }', '{ a(b: "\\n") }', "query A { a } query B { a }", '"d" query { a }'],
)
def test_the_rest_is_left_to_graphql_core(text: str) -> None:
    assert quick_document(text, tokens_max=0) is None


def test_too_many_tokens_are_left_to_graphql_core() -> None:
    assert quick_document("{ a b }", tokens_max=3) is None
    assert quick_document("{ a b }", tokens_max=4) is not None


def test_equal_parts_of_different_texts_are_one_node() -> None:
    fragment = "fragment F on T { a b { c } }"
    first = quick_document(f"{fragment} query One {{ x {{ ...F y {{ z }} }} }}", tokens_max=0)
    second = quick_document(f"{fragment} {{ w: x {{ ...F y {{ z }} }} v }}", tokens_max=0)
    assert first is not None
    assert second is not None
    assert first.fragments is second.fragments
    one, other = (it.document.definitions[1].selection_set for it in (first, second))  # type: ignore[attr-defined]
    assert one.selections[0].selection_set is other.selections[0].selection_set


@pytest.mark.parametrize("piece", ["{b: 1}", "[{b: {c: 1}}]"])
def test_an_object_in_an_argument_is_no_selection_set(piece: str) -> None:
    compare(f"{{ a(x: {piece}) {{ b(y: {piece}) }} }}", read=True)
    compare(f"query ($v: T = {piece}) {{ a(x: $v) @d(x: {piece}) {{ b }} }}", read=True)


@pytest.mark.parametrize("text", ["{ a } b", "{ a } }", "{ a { b }", "a { b } { c }", "fragment { a } { b }"])
def test_braces_that_do_not_match_are_refused_by_graphql_core(text: str) -> None:
    compare(text)
    assert quick_document(text, tokens_max=0) is None


def test_tokens_of_known_parts_are_counted() -> None:
    text = "fragment F on T { a { b } } { x { ...F y(z: 1) { a } } }"
    count = len(text.replace("{", " { ").replace("}", " } ").replace("(", " ( ").replace("...", " ... ")
                .replace(")", " ) ").replace(":", " : ").split())  # fmt: skip
    for _ in range(2):
        assert quick_document(text, tokens_max=count) is not None
        assert quick_document(text, tokens_max=count - 1) is None
