"""Whatever comes in, composition ends in bounded time with problems, never with a traceback."""

import time

import pytest

from schema.composition import CompositionResult, compose
from schema.composition.parse import stage as parse_stage
from schema.composition.satisfiability import walk
from schema.problems import Location
from schema.sources import SubgraphSource

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable",'
    ' "@requires", "@external", "@provides"])\n'
)


def composed(*sdls: str) -> CompositionResult:
    return compose([SubgraphSource(f"s{i}", "http://s", sdl) for i, sdl in enumerate(sdls)])


def codes(result: CompositionResult) -> set[str]:
    return {problem.code for problem in result.problems}


def test_no_subgraphs_at_all() -> None:
    assert codes(compose([])) == {"NO_QUERIES"}


@pytest.mark.parametrize(
    "sdl", ["", "   ", "\x00", "type", "{", "query { a }", "type Query { a: Int } garbage", "\ufefftype"]
)
def test_text_that_is_no_schema(sdl: str) -> None:
    assert codes(composed(sdl)) <= {"INVALID_GRAPHQL", "NO_QUERIES"}
    assert composed(sdl).supergraph_sdl is None


def test_sdl_larger_than_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_stage, "SDL_BYTES_MAX", 100)
    assert composed("type Query { a: Int } # " + "x" * 76).supergraph_sdl is not None
    (problem,) = composed("type Query { a: Int } # " + "x" * 77).problems
    assert (problem.code, problem.message) == ("INVALID_GRAPHQL", "the SDL has more than 100 bytes")


def test_bytes_are_counted_not_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_stage, "SDL_BYTES_MAX", 100)
    assert codes(composed("type Query { a: Int } # " + "€" * 26)) == {"INVALID_GRAPHQL"}
    assert codes(composed("type Query { a: Int } # \ud800")) == {"INVALID_GRAPHQL"}


def test_sdl_of_more_tokens_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_stage, "SDL_TOKENS_MAX", 100)
    assert composed("type Query { a: " + "[" * 45 + "Int" + "]" * 45 + " }").supergraph_sdl is not None
    (problem,) = composed("type Query { " + " ".join(f"f{i}: Int" for i in range(40)) + " }").problems
    assert (problem.code, problem.message) == ("INVALID_GRAPHQL", "the SDL has more than 100 tokens")
    assert problem.locations == (Location("s0"),)


@pytest.mark.parametrize(
    "sdl",
    [
        "type Query { a: " + "[" * 20_000 + "Int" + "]" * 20_000 + " }",
        "type Query { a(x: Int = " + "[" * 20_000 + "1" + "]" * 20_000 + "): Int }",
        LINK
        + 'type Query { t: T } type T @key(fields: "'
        + "a { " * 20_000
        + "}" * 20_000
        + '") { id: ID! }',
    ],
    ids=["type", "default", "field set"],
)
def test_nesting_without_end(sdl: str) -> None:
    assert composed(sdl).supergraph_sdl is None


def test_nesting_that_the_parser_still_takes() -> None:
    for depth in (50, 150, 250, 400):
        sdl = "type Query { a: " + "[" * depth + "Int" + "]" * depth + " }"
        assert codes(composed(sdl)) <= {"INVALID_GRAPHQL"}


def test_field_set_as_deep_as_its_type_recurs() -> None:
    depth = 60
    key = "t { " * depth + "id" + " }" * depth
    result = composed(LINK + f'type Query {{ t: T }} type T @key(fields: "{key}") {{ id: ID! t: T }}')
    assert result.supergraph_sdl is not None


def test_interfaces_that_implement_one_another_in_a_ring() -> None:
    sdl = """
    type Query { a: A }
    interface A implements B { x: Int }
    interface B implements C { x: Int }
    interface C implements A { x: Int }
    type T implements A & B & C { x: Int }
    """
    assert codes(composed(sdl)) <= {"INVALID_GRAPHQL"}


def test_requirements_in_a_ring_over_many_subgraphs() -> None:
    size = 12
    sdls = [LINK + "type Query { t: T }"]
    for i in range(size):
        needs = (i + 1) % size
        sdls.append(
            LINK + f'type T @key(fields: "id") {{ id: ID! f{i}: Int @requires(fields: "f{needs}")'
            f" f{needs}: Int @external }}"
        )
    sdls[0] += ' type T @key(fields: "id") { id: ID! }'
    assert codes(composed(*sdls)) == {"SATISFIABILITY_ERROR"}


def test_keys_that_need_one_another() -> None:
    a = LINK + 'type Query { t: T } type T @key(fields: "u { id }") { id: ID! @shareable u: U @shareable }'
    a += ' type U @key(fields: "t { id }") { id: ID! @shareable t: T @shareable }'
    assert composed(a, a.replace("type Query { t: T }", "")).supergraph_sdl is not None


def test_the_same_names_again_and_again() -> None:
    sdl = "type Query { a: Int }\n" * 500 + "enum E { A }\n" * 500
    assert codes(composed(sdl)) == {"INVALID_GRAPHQL"}


def test_two_subgraphs_of_one_name() -> None:
    source = SubgraphSource("one", "http://one", "type Query { a: Int }")
    assert codes(compose([source, source])) == {"INVALID_SUBGRAPH_NAME"}


def test_a_union_of_a_thousand_members() -> None:
    members = [f"M{i}" for i in range(1000)]
    types = "\n".join(f'type {m} @key(fields: "id") {{ id: ID! x: Int }}' for m in members)
    first = LINK + f"type Query {{ u: U }}\nunion U = {' | '.join(members)}\n{types}"
    second = LINK + "\n".join(f'type {m} @key(fields: "id") {{ id: ID! y: U }}' for m in members)
    second += f"\nunion U = {' | '.join(members)}"
    started = time.process_time()
    assert composed(first, second).supergraph_sdl is not None
    assert time.process_time() - started < 30


def test_two_hundred_subgraphs() -> None:
    sdls = [
        LINK + f'type Query {{ q{i}: T }} type T @key(fields: "id") {{ id: ID! f{i}: Int next{i}: T }}'
        for i in range(200)
    ]
    started = time.process_time()
    assert composed(*sdls).supergraph_sdl is not None
    assert time.process_time() - started < 30


def test_more_paths_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "STEPS_MAX", 3)
    sdl = "type Query { a: A } type A { b: B } type B { c: C } type C { d: D } type D { x: Int }"
    assert codes(composed(sdl)) == {"MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED"}


def wide_sdl(types: int) -> str:
    fields = " ".join(f"f{i}(a: Int, b: String): String" for i in range(1000))
    return "type Query { a: T0 }\n" + "\n".join(f"type T{i} {{ {fields} }}" for i in range(types))


def test_ten_megabytes_of_sdl_are_refused_at_once() -> None:
    sdl = wide_sdl(290)
    assert 9_000_000 < len(sdl) < 11_000_000
    started = time.process_time()
    assert [p.message for p in composed(sdl, "type Query { b: Int }").problems] == [
        "the SDL has more than 8,000,000 bytes"
    ]
    assert time.process_time() - started < 1


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_as_many_tokens_as_are_taken() -> None:
    """Some 470,000 tokens; beyond half a million the text is refused while it is read."""
    started = time.process_time()
    assert composed(wide_sdl(36)).supergraph_sdl is not None
    assert time.process_time() - started < 60


@pytest.mark.nightly
def test_more_tokens_than_are_taken() -> None:
    started = time.process_time()
    assert [p.message for p in composed(wide_sdl(150)).problems] == ["the SDL has more than 500,000 tokens"]
    assert time.process_time() - started < 60


def labelled(labels: int, *, key: str) -> list[str]:
    """An entity whose fields each move from `s0` to `s1` by a label of their own; `s2` needs the last one."""
    link = (
        '@link(url: "https://specs.apollo.dev/federation/v2.7", import: ["@key", "@override", "@shareable"])'
    )
    plain = " ".join(f"f{i}: Int @shareable" for i in range(labels))
    moved = " ".join(f'f{i}: Int @shareable @override(from: "s0", label: "l{i}")' for i in range(labels))
    keys = " ".join(f'@key(fields: "f{i}")' for i in range(labels))
    return [
        f'extend schema {link}\ntype Query {{ t: T }} type T @key(fields: "id") {{ id: ID! {plain} }}',
        f'extend schema {link}\ntype T @key(fields: "{key}") {{ id: ID! {moved} }}',
        f"extend schema {link}\ntype T {keys} {{ {plain} extra: Int }}",
    ]


def test_forty_override_labels_that_no_way_depends_on() -> None:
    sdls = labelled(40, key="id")
    sdls[2] = sdls[2].replace("type T ", 'type T @key(fields: "id") ').replace("{ f0", "{ id: ID! f0", 1)
    assert composed(*sdls).supergraph_sdl is not None


def test_forty_override_labels_that_all_matter_end_at_the_limit() -> None:
    found = codes(composed(*labelled(40, key="id f0")))
    assert found == {"MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED"}
