"""Normal form: expanded, merged, decided; the signature is the same for operations that mean the same."""

from __future__ import annotations

from typing import Any

import pytest

from router.operation import normalize
from router.operation.print_normal import print_selections
from schema.supergraph import read_supergraph
from tests.kit_planner.cases import TESTS, load_case, normal_of


@pytest.mark.parametrize(
    ("query", "normal"),
    [
        ("{ me { id ...F } } fragment F on User { name ... on User { id } }", "{me{id name}}"),
        ("{ me { id } me { name id } }", "{me{id name}}"),
        ("{ me { id @include(if: true) name @skip(if: true) } }", "{me{id}}"),
        ("query ($a: Boolean!) { me { id @include(if: $a) id } }", "{me{id}}"),
        (
            "query ($a: Boolean!) { me { ... @skip(if: $a) { name } } }",
            "{me{... on User @skip(if: $a) {name}}}",
        ),
        ("query ($a: Boolean!) { me { ... @skip(if: $a) { name } name } }", "{me{name}}"),
        ("{ topProducts(first: 3) { n: name } }", "{topProducts(first: 3){n: name}}"),
        ("{ me { ... @skip(if: true) { id } } }", "{me{... on User {}}}"),
    ],
)
def test_normal_form(query: str, normal: str) -> None:
    supergraph = load_case("everyday_mix").supergraph
    assert print_selections(normal_of(supergraph, query).selections) == normal


def test_branches_that_can_never_occur_are_dropped() -> None:
    supergraph = load_case("unions_with_partial_members").supergraph
    query = "{ book { ... on Book { title ... on Media { ... on Song { title } } } } }"
    assert print_selections(normal_of(supergraph, query).selections) == "{book{... on Book {title}}}"


def test_equal_meanings_have_equal_signatures() -> None:
    supergraph = load_case("everyday_mix").supergraph
    one = normal_of(supergraph, "{ me { id name } }")
    other = normal_of(supergraph, "{ me { ...F name } } fragment F on User { id }")
    assert one.signature == other.signature
    assert one.signature != normal_of(supergraph, "{ me { name id } }").signature


def test_fragments_that_nest_are_expanded_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of a kilobyte would otherwise keep the event loop for as long as it can multiply."""
    expanded: list[object] = []
    field = normalize._field

    def counted(node: Any, *rest: Any) -> Any:
        expanded.append(node)
        return field(node, *rest)

    monkeypatch.setattr(normalize, "_field", counted)
    supergraph = read_supergraph((TESTS / "benchmarks" / "gateway" / "supergraph.graphql").read_text())
    levels = "".join(
        f"fragment F{level} on Product {{ {f'reviews {{ product {{ ...F{level + 1} }} }} ' * 2} }} "
        for level in range(11)
    )
    query = f"{{ topProducts {{ ...F0 }} }} {levels} fragment F11 on Product {{ upc }}"
    normal = normal_of(supergraph, query)
    # equal sets are expanded once as well: the second `{ product … }` of each level
    assert len(expanded) == 1 + 11 * 3 + 1
    assert normal.signature.count("reviews") == 11
