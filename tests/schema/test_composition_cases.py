"""Every composition case gives what its folder says, whatever the order of the subgraphs."""

import pytest

from schema.composition import compose
from schema.problems import CODES, HINTS, NOT_GIVEN
from schema.supergraph import read_supergraph
from tests.kit_composition.cases import IS_UPDATING, Case, cases

ALL = cases()


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.folder.name)
def test_case_composes_as_written(case: Case) -> None:
    outcome = case.outcome()
    if IS_UPDATING:
        case.accept(outcome)
    assert outcome == case.expected()


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.folder.name)
def test_order_of_subgraphs_does_not_matter(case: Case) -> None:
    assert compose(case.sources) == compose(case.sources[::-1])


@pytest.mark.parametrize(
    "case", [c for c in ALL if not c.folder.name.startswith("bad_")], ids=lambda case: case.folder.name
)
def test_supergraph_names_the_subgraphs_it_was_made_of(case: Case) -> None:
    supergraph = read_supergraph(compose(case.sources).unwrap())
    assert sorted(s.name for s in supergraph.subgraphs.values()) == sorted(s.name for s in case.sources)


def test_bad_cases_fail_and_the_others_compose() -> None:
    composed = {c.folder.name: compose(c.sources).supergraph_sdl is not None for c in ALL}
    assert [name for name, ok in composed.items() if ok == name.startswith("bad_")] == []


def test_each_case_says_its_code_in_words() -> None:
    """A case of a failure begins with the code, or the code's name is all there is to say."""
    silent = []
    for case in ALL:
        if case.folder.name.startswith("bad_"):
            code = (case.folder / "case.md").read_text("utf-8").split(":")[0].strip()
            if code not in {p.code for p in compose(case.sources).problems}:
                silent.append((case.folder.name, code))
    assert silent == []


def test_every_code_has_a_case() -> None:
    seen = {problem.code for case in ALL for problem in compose(case.sources).problems}
    without = (
        set(CODES) - seen - {"MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED"}
    )  # tests/schema/test_hostile_input.py
    assert without == set()
    assert seen <= set(CODES)


def test_every_problem_says_where_and_how_to_mend_it() -> None:
    lost = [
        (case.folder.name, problem.code)
        for case in ALL
        for problem in compose(case.sources).problems
        if not problem.locations and problem.code != "NO_QUERIES"
    ]
    assert lost == []


def test_every_hint_has_a_case_and_the_severity_that_is_listed() -> None:
    seen = {(hint.code, hint.severity) for case in ALL for hint in compose(case.sources).hints}
    assert seen == {(hint.code, hint.severity) for hint in HINTS.values()}


def test_a_code_is_given_or_not() -> None:
    assert not NOT_GIVEN.keys() & (CODES.keys() | HINTS.keys())
