"""What the quick look accepts is valid by graphql-core; most of what is valid it accepts."""

import pytest
from graphql import GraphQLError, build_schema, parse, validate
from hypothesis import event, given, settings
from hypothesis import strategies as st

from router.operation.accept import accepts
from router.operation.quick_parse import quick_document
from router.operation.validate import executable_schema
from tests.kit_planner.cases import case_names, load_case, query_of

SCHEMA = executable_schema(
    build_schema("""
    scalar Time
    enum Kind { RUN RIDE }
    input Range { from: Int! = 1, to: Int, kind: Kind, inner: Range, tags: [String!] }
    input Must { id: ID!, range: Range }
    input One @oneOf { a: Int, b: String }
    interface Named { name: String, self: Named }
    type Person implements Named { name: String, self: Person, age: Int!, friends(first: Int = 3): [Person!]!,
        rides(range: Range, kinds: [Kind!]): [Ride], best(must: Must!): Ride, at(time: Time): Int }
    type Ride implements Named { name: String, self: Ride, km(unit: String! = "km"): Float!, by: Person,
        kind: Kind }
    type Rock { weight: Float, label(one: One): String }
    union Thing = Person | Ride | Rock
    type Query { me: Person, named: Named, things: [Thing!], ride(id: ID!): Ride, flag(on: Boolean): Boolean }
    type Mutation { rename(id: ID!, name: String!): Person }
    type Subscription { ridden: Ride }
    """)
)
FIELDS = {
    "Query": ["me", "named", "things", "ride(id: 1)", 'ride(id: "a")', "ride(id: $id)", "flag(on: $yes)"],
    "Person": [
        *("name", "self", "age", "friends", "friends(first: 2)", "friends(first: $count)", "at"),
        *("rides(range: {from: 2, kind: RUN})", "rides(range: {to: $count})", "rides(kinds: [RUN, RIDE])"),
        *("rides(kinds: RUN)", "rides(kinds: $kinds)", "best(must: {id: 3})", "best(must: $must)"),
        *('rides(range: {tags: ["a"]})', "friends(first: null)", "rides(range: {inner: {from: 3}})"),
    ],
    "Ride": ["name", "self", "km", 'km(unit: "mi")', "by", "kind", "km(unit: $unit)"],
    "Rock": ["weight", "label"],
    "Named": ["name", "self"],
    "Thing": ["__typename"],
}
ODD_FIELDS = {
    "Query": ["ride", "flag(on: $id)", "__schema { queryType { name } }", "ride(id: 1.5)"],
    "Person": [
        *("weight", "rides(range: {to: 1, to: 2})", "rides(range: {too: 1})", "best(must: {})", "best"),
        *("rides(range: {inner: {from: null}})", 'rides(range: {tags: ["a", null]})', "at(time: 3)"),
        *("friends(first: 3000000000)", "friends(first: 1, first: 1)", "friends(last: 1)"),
        *('friends(first: "1")', "at(time: $id)", 'rides(kinds: ["RUN"])', "rides(kinds: [SWIM])"),
    ],
    "Ride": ["km(unit: null)", "km(unit: KM)", "km(unit: $id)", "age"],
    "Rock": ["label(one: {a: 1})", "label(one: {a: 1, b: null})"],
    "Named": ["age"],
    "Thing": ["name"],
}
TARGETS = {
    ("Query", "me"): "Person",
    ("Query", "named"): "Named",
    ("Query", "things"): "Thing",
    ("Query", "ride"): "Ride",
    ("Person", "self"): "Person",
    ("Person", "friends"): "Person",
    ("Person", "rides"): "Ride",
    ("Person", "best"): "Ride",
    ("Ride", "self"): "Ride",
    ("Ride", "by"): "Person",
    ("Named", "self"): "Named",
}
NARROWER = {"Named": ["Person", "Ride", "Named"], "Thing": ["Person", "Ride", "Rock", "Named"]}
CONDITIONS = [" @skip(if: true)", " @include(if: $yes)", " @include(if: $yes) @skip(if: $yes)"]
ODD_CONDITIONS = [
    *(" @skip(if: $id)", " @skip", " @other", " @skip(if: true) @skip(if: false)", " @defer"),
    *(' @include(if: "x")', " @skip(if: true, if: true)", " @include(unless: true)"),
]
VARIABLES = {
    "id": ["ID!", "ID! = 1"],
    "yes": ["Boolean!", "Boolean = true"],
    "count": ["Int", "Int!", "Int = 3"],
    "kinds": ["[Kind!]", "[Kind!]!", "[Kind!] = RUN"],
    "must": ["Must!", "Must! = {id: 1}"],
    "unit": ["String!", 'String = "km"', "String"],
}
ODD_VARIABLES = {
    "id": ["ID", "Int", '[ID!] = ["a"]'],
    "yes": ["Boolean", "Boolean = null", "String!"],
    "count": ["Float", 'Int = "3"'],
    "kinds": ["[Kind]", "Kind", "[Sort]"],
    "must": ["Must", "Must = {id: null}", "Ride"],
    "unit": ["[String]", "String! = null"],
}


@st.composite
def usually(draw: st.DrawFn, usual: list[str], odd: list[str]) -> str:
    """One of `odd` in some thirty."""
    return draw(st.sampled_from(odd if odd and draw(st.integers(0, 29)) == 17 else usual))


@st.composite
def selections(draw: st.DrawFn, of: str, depth: int) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        condition = draw(usually(["", "", "", *CONDITIONS], ODD_CONDITIONS))
        match draw(st.sampled_from(["field", "field", "field", "inline", "spread", "typename"])):
            case "spread":
                name = draw(usually({"Person": ["F"], "Ride": ["G"]}.get(of, ["__typename"]), ["F", "G"]))
                parts.append(f"...{name}{condition}" if len(name) == 1 else name)
            case "inline" if depth:
                target = draw(usually(NARROWER.get(of, [of]), ["Rock", "Person", "Time", "Nobody"]))
                below = draw(selections(target if target in FIELDS else of, depth - 1))
                parts.append(f"... on {target}{condition} {{ {below} }}")
            case "typename":
                parts.append(f"__typename{condition}")
            case _:
                parts.append(draw(field_of(of, depth, condition)))
    return " ".join(parts)


@st.composite
def field_of(draw: st.DrawFn, of: str, depth: int, condition: str) -> str:
    leaves = [each for each in FIELDS[of] if (of, each.partition("(")[0]) not in TARGETS] or ["__typename"]
    text = draw(usually(FIELDS[of] if depth else leaves, ODD_FIELDS[of]))
    target = TARGETS.get((of, text.partition("(")[0]), "")
    # An alias that tells the field, mostly, so that equal names mean equal fields.
    own = f"{text.partition('(')[0].strip('_')}{sum(map(ord, text)) % 997}: "
    alias = draw(usually([own], ["", "a: ", "name: "])) if "__schema" not in text else ""
    below = target if draw(usually(["due"], ["turned"])) == "due" else ("" if target else "Rock")
    return f"{alias}{text}{condition}" + (
        f" {{ {draw(selections(below, max(0, depth - 1)))} }}" if below else ""
    )


@st.composite
def documents(draw: st.DrawFn) -> str:
    body = draw(selections("Query", 4))
    fragments, declared = [], {}
    text = body
    for name, of in (("F", "Person"), ("G", "Ride")):
        if f"...{name}" in text or draw(st.integers(0, 60)) == 7:
            below = draw(selections(draw(usually([of], ["Query", "Named"])), 2)).replace(f"...{name}", "name")
            fragments.append(f"fragment {name} on {of} {{ {below} }}")
            text += fragments[-1]
    for name in VARIABLES:
        if f"${name}" in text or draw(st.integers(0, 80)) == 7:
            declared[name] = draw(usually(VARIABLES[name], ODD_VARIABLES[name]))
    head = " ".join(f"${name}: {type_}" for name, type_ in declared.items())
    kind = draw(usually(["query"], ["mutation", "subscription"]))
    more = draw(usually([""], [" query B { me { name } }", " type X { a: Int }"]))
    return f"{kind} A{f'({head})' if head else ''} {{ {body} }} {' '.join(fragments)}{more}"


def check(text: str) -> None:
    try:
        document = parse(text)
    except GraphQLError:
        event("no document")
        return
    valid = not validate(SCHEMA, document)
    accepted = accepts(document, SCHEMA)
    event(f"valid {valid}, accepted {accepted}")
    assert valid or not accepted, text
    quick = quick_document(text, tokens_max=0)
    if quick is not None:
        assert accepts(quick.document, SCHEMA, quick.fragments) is accepted, (
            "whatever is known of other texts"
        )


@settings(deadline=None, max_examples=400)
@given(documents())
def test_what_is_accepted_is_valid(text: str) -> None:
    check(text)


@pytest.mark.nightly
@settings(deadline=None, max_examples=40_000)
@given(documents())
def test_what_is_accepted_is_valid_for_long(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    "text",
    [
        "{ me { name } }",
        "query A($id: ID!) { ride(id: $id) { by { ...F } } me { ...F } } fragment F on Person { age name }",
        'query ($n: Int) { me { friends(first: $n) { age } rides(range: {to: $n, tags: ["a"]}) { kind } } }',
        'query ($u: String = "km") { ride(id: 1) { km(unit: $u) } }',
        "{ things { __typename ... on Person { age } ... on Ride { km } ... on Named { name } } }",
        "{ me { name @skip(if: true) name self { age } self { age name } } }",
        "query ($yes: Boolean!) { flag(on: $yes) me @include(if: $yes) { age } }",
        'mutation { rename(id: 1, name: "x") { name } }',
    ],
)
def test_what_clients_write_every_day_is_accepted(text: str) -> None:
    assert accepts(parse(text), SCHEMA)
    assert validate(SCHEMA, parse(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{ me }",
        "{ me { nothing } }",
        "{ me { age { a } } }",
        "{ ride { km } }",
        "{ ride(id: 1.5) { km } }",
        "{ ride(id: 1, id: 1) { km } }",
        "{ me { name name: age } }",
        "{ me { friends(first: 1) { age } friends(first: 2) { age } } }",
        "{ me { self { name } self { name: age } } }",
        "{ me { ...F } } fragment F on Ride { km }",
        "{ me { ...F } } fragment F on Person { self { ...F } }",
        "{ me { ...F } } fragment F on Person { self { ...G } } fragment G on Person { self { ...F } }",
        "{ me { name } } fragment F on Person { name }",
        "{ me { name } ...F }",
        "query ($id: ID) { ride(id: $id) { km } }",
        "query ($id: ID!, $id: ID!) { ride(id: $id) { km } }",
        "query ($id: ID!, $other: ID) { ride(id: $id) { km } }",
        "{ ride(id: $id) { km } }",
        "query ($r: [Range]) { me { rides(range: $r) { km } } }",
        "{ me { best(must: {range: {}}) { km } } }",
        "{ me { name @skip(if: null) } }",
        "{ me { name @skip(unless: true) } }",
        "query A { me { name } } query A { me { name } }",
        "{ __schema { nothing } }",
        "{ me { rides(kinds: [SWIM]) { km } } }",
        '{ me { rides(kinds: ["RUN"]) { km } } }',
    ],
)
def test_what_is_invalid_is_not_accepted(text: str) -> None:
    assert not accepts(parse(text), SCHEMA)
    assert validate(SCHEMA, parse(text)) != []


def test_fragments_in_fragments_end_in_bounded_time() -> None:
    doubled = " ".join(
        f"fragment F{n} on Person {{ a: self {{ ...F{n + 1} }} b: self {{ ...F{n + 1} }} }}"
        for n in range(30)
    )
    text = f"{{ me {{ ...F0 }} }} {doubled} fragment F30 on Person {{ age }}"
    assert not accepts(parse(text), SCHEMA)


def test_the_operations_of_the_plan_cases_are_mostly_accepted() -> None:
    asked = accepted = 0
    for name in case_names():
        schema = executable_schema(load_case(name).supergraph.api_schema)
        document = parse(query_of(name))
        if not validate(schema, document):
            asked += 1
            accepted += accepts(document, schema)
    assert asked > 20
    assert accepted / asked > 0.6
