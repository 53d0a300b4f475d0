"""Literals lifted into variables: which, what they are worth, and never for a text that is not valid."""

from __future__ import annotations

import pytest
from graphql import build_schema, parse, validate
from graphql.language import OperationDefinitionNode
from graphql.utilities import value_from_ast
from hypothesis import given
from hypothesis import strategies as st

from router.operation.lift import form_of, lifted

SCHEMA = build_schema(
    """
    scalar Any
    enum Size { S M }
    input By { id: ID n: Int }
    type Query {
      user(id: ID!, n: Int = 3, f: Float, s: String, l: [Int], any: Any, by: By, size: Size, b: Boolean): User
    }
    type User { id: ID name(x: String): String user(n: Int!): User }
    """
)


def lift(text: str):
    form = form_of(text)
    assert form is not None
    return form, lifted(text, parse(text), SCHEMA)


def test_texts_and_numbers_become_variables_of_the_arguments_types() -> None:
    text = 'query Q($a:Int=5){user(id:"1",n:7,f:1.5,s:"a\\"b # no"){name(x:"z") user(n:$a){id}}} # "x" 1'
    form, found = lift(text)
    assert found is not None
    assert found.values(form) == {
        "_lifted1": "1", "_lifted2": 7, "_lifted3": 1.5, "_lifted4": 'a"b # no', "_lifted5": "z",
    }  # fmt: skip
    assert found.fixed(form) == ("5",)
    assert "$_lifted1: ID!" in found.text
    assert not validate(SCHEMA, parse(found.text))


@pytest.mark.parametrize(
    "text",
    [
        "{user(id:$x,l:[1,2]){id}}",
        '{user(id:$x,any:"1"){id}}',
        '{user(id:$x,by:{id:"1",n:2}){id}}',
        '{user(id:$x){name(x:"""block""")}}',
        '{user(id:$x){id @include(if:"1")}}',
        '{user(id:$x,n:"1"){id}}',
        "{user(id:$x,s:1){id}}",
        "{user(id:$x,n:1.0){id}}",
        '{__type(name:"User"){name}}',
        'query A{user(id:"1"){id}} query B{user(id:"2"){id}}',
    ],
)
def test_everything_else_stays_in_the_text(text: str) -> None:
    form = form_of(text)
    assert form is None or lifted(text, parse(text), SCHEMA) is None


def test_names_like_those_of_lifted_variables_are_left_alone() -> None:
    assert form_of('query($_lifted0:ID!){user(id:$_lifted0,s:"x"){id}}') is None
    assert form_of("{user{id}}") is None
    assert form_of('{user(id:"1"){id}}\0') is None


@pytest.mark.parametrize("literal", ['"\\x"', '"\\ud800"', '"a\tb"', "2147483648", "1e999"])
def test_a_literal_that_cannot_be_read_is_not_lifted(literal: str) -> None:
    argument = {"2": "n", "1": "f"}.get(literal[0], "s")
    good = {"n": "1", "f": "1e9", "s": '"x"'}[argument]
    _, found = lift(f'{{user(id:"1",{argument}:{good}){{id}}}}')
    form = form_of(f'{{user(id:"1",{argument}:{literal}){{id}}}}')
    assert form is not None
    assert found is not None
    assert found.values(form) is None


LITERALS = st.one_of(
    st.sampled_from(
        ['""', '"""b"""', "007", "-0", "1.", "1.50", "-1e3", "0x1", "1_0", "$v", "null", "true", "S"]
    ),
    st.integers(-(2**33), 2**33).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(alphabet='ab"\\/nu0 #\t\u00e9{}', max_size=6).map(lambda it: f'"{it}"'),
)
FIELD = st.sampled_from(["id", "n", "f", "s", "l", "any", "size", "b"])


@given(FIELD, LITERALS, LITERALS)
def test_what_is_lifted_is_valid_as_it_stands_and_worth_the_same(field: str, first: str, second: str) -> None:
    """Two texts of one form: if the second is answered by the first one's document, it is right to be."""
    texts = [f"query($v:ID!){{user(id:$v,{field}:{it}){{id}}}}" for it in (first, second)]
    forms = [form_of(it) for it in texts]
    if forms[0] is None or forms[0] != forms[1] or forms[1] is None:
        return
    try:
        found = lifted(texts[0], parse(texts[0]), SCHEMA)
    except Exception:  # not a document: nothing is lifted
        return
    if found is None or validate(SCHEMA, parse(found.text)) or found.fixed(forms[0]) != found.fixed(forms[1]):
        return
    values = found.values(forms[1])
    if values is None:
        return
    document = parse(texts[1])
    # the variable is nullable where the argument is not: the one mistake that all these texts share
    assert all("$v" in problem.message for problem in validate(SCHEMA, document))
    argument = SCHEMA.query_type.fields["user"].args[field]  # type: ignore[union-attr]
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    node = operation.selection_set.selections[0].arguments[1]  # type: ignore[union-attr]
    expected = value_from_ast(node.value, argument.type)
    assert list(values.values()) == [expected]
