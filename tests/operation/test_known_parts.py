"""What is known of parts of earlier texts changes nothing: each text is read as if it were the first."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from random import Random

import pytest

from router.errors import ClientError
from router.operation.accept import accepts
from router.operation.known_sets import OfSets
from router.operation.limits import extent_of
from router.operation.model import NormalOperation, ValidOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import executable_schema, validate
from schema.supergraph import Supergraph
from tests.kit_planner.cases import audit_names, case_names, load_case
from tests.kit_planner.operations import Operations

GRAPHS = [*case_names(), *(f"audit/{name}" for name in audit_names())]
INNERMOST = re.compile(r"\.\.\. on (\w+) (\{[^{}]*\})")


def with_named_fragments(text: str, random: Random) -> str:
    """Some inline fragments spread by name; the same names stand for other fragments in other texts."""
    named: dict[str, str] = {}

    def spread(match: re.Match[str]) -> str:
        name = f"F{len(named)}"
        if random.random() < 0.3 or "$" in match[2]:
            return match[0]
        named[name] = f"fragment {name} on {match[1]} {match[2]}"
        return f"...{name}"

    for _ in range(3):
        text = INNERMOST.sub(spread, text)
    return " ".join([text, *named.values()])


def alone(valid: ValidOperation, supergraph: Supergraph) -> NormalOperation:
    """Normalised without anything known."""
    known = vars(supergraph).pop("_known_selections", None)
    try:
        return normalize(replace(valid, parsed=replace(valid.parsed, fragments=None)), supergraph)
    finally:
        vars(supergraph)["_known_selections"] = known
        if known is None:
            del vars(supergraph)["_known_selections"]


def compare(name: str, seed: int, count: int) -> int:
    supergraph, random, known = load_case(name).supergraph, Random(seed), 0
    source = Operations(supergraph.api_schema, random, size_max=24)
    schema = executable_schema(supergraph.api_schema)
    for _ in range(count):
        text = with_named_fragments(source.draw()[0], random)
        parsed = parse(text)
        assert accepts(parsed.document, schema, parsed.fragments) == accepts(parsed.document, schema)
        try:
            valid = validate(parsed, supergraph.api_schema)
        except ClientError:
            continue
        known += parsed.fragments is not None
        assert normalize(valid, supergraph) == alone(valid, supergraph), text
        assert extent_of(valid) == extent_of(replace(valid, parsed=replace(parsed, fragments=None)))
    return known


@pytest.mark.parametrize("name", GRAPHS)
def test_any_text_is_read_as_if_it_were_the_first(name: str) -> None:
    compare(name, zlib.crc32(name.encode()), 12)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", GRAPHS)
def test_many_texts_are_read_as_if_each_were_the_first(name: str) -> None:
    assert sum(compare(name, seed, 60) for seed in range(20)) > 60


def test_a_set_among_other_fragments_is_another_set() -> None:
    supergraph = load_case(case_names()[0]).supergraph
    texts = [
        f"{{ __schema {{ ...F }} }} fragment F on __Schema {{ {inner} }}"
        for inner in ("types { name }", "queryType { name }", "types { kind }")
    ]
    signatures = [normalize(validate(parse(it), supergraph.api_schema), supergraph).signature for it in texts]
    assert signatures == [
        "query (){__schema{types{name}}}",
        "query (){__schema{queryType{name}}}",
        "query (){__schema{types{kind}}}",
    ]


def test_what_is_remembered_of_sets_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.operation.known_sets.ENTRIES_MAX", 2)
    known: OfSets[int] = OfSets()
    parsed = [parse(f"{{ a {{ b{number} }} }}") for number in range(3)]
    for number, one in enumerate(parsed):
        assert one.fragments is not None
        known.put(one.fragments, one.document.definitions[0].selection_set, number)  # type: ignore[attr-defined]
    found = [known.get(one.fragments, one.document.definitions[0].selection_set) for one in parsed]  # type: ignore[attr-defined, arg-type]
    assert found == [None, None, 2]


def test_texts_that_are_kept_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.operation.known_sets.CHARS_MAX", 20)
    first = parse("{ a { c d e f g } }").document
    parse("{ a { h i j k l m n o p q } }")
    again = parse("{ a { c d e f g } }").document
    assert first == again
    below = [it.definitions[0].selection_set.selections[0].selection_set for it in (first, again)]  # type: ignore[attr-defined]
    assert below[0] is not below[1]
