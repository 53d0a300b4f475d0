"""The whole of composition on one page: each stage's type is what the next one takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schema.composition.merge import merge
from schema.composition.names import check_names
from schema.composition.parse import parse_subgraph
from schema.composition.post_merge import check_interfaces, check_merged
from schema.composition.print import print_supergraph
from schema.composition.satisfiability import check_satisfiability
from schema.composition.upgrade import upgrade
from schema.composition.validate import validate
from schema.problems import CompositionFailed, Problem
from schema.sources import SubgraphSource


@dataclass(frozen=True, slots=True)
class CompositionResult:
    """Either a supergraph or problems; hints in both cases."""

    supergraph_sdl: str | None
    problems: tuple[Problem, ...] = ()
    hints: tuple[Problem, ...] = ()

    def unwrap(self) -> str:
        """The supergraph's SDL. Errors: CompositionFailed."""
        if self.supergraph_sdl is None:
            raise CompositionFailed(self.problems)
        return self.supergraph_sdl


def compose(sources: Sequence[SubgraphSource], *, satisfiability: bool = True) -> CompositionResult:
    """The supergraph of these subgraphs, or every problem of the first stage that finds any.

    The order of `sources` does not matter: the same subgraphs give the same text. Without `satisfiability`, a
    supergraph is printed even if some operations cannot be answered: for graphs that are known to have
    such holes.
    """
    problems: list[Problem] = []
    hints: list[Problem] = []
    ordered = sorted(sources, key=lambda source: source.name)
    problems.extend(check_names(ordered))
    if not sources:
        problems.append(Problem("NO_QUERIES", "there are no subgraphs", mend="list at least one"))
    parsed = [p for source in ordered if (p := parse_subgraph(source, problems)) is not None]
    if problems:
        return _failed(problems, hints)
    upgraded = upgrade(parsed, problems)
    if problems:
        return _failed(problems, hints)
    valid = [validate(subgraph, problems) for subgraph in upgraded]
    if problems:
        return _failed(problems, hints)
    merged = merge(valid, problems, hints)
    check_interfaces(merged, valid, problems)
    if problems:
        return _failed(problems, hints)
    check_merged(merged, valid, problems)
    if problems:
        return _failed(problems, hints)
    if satisfiability:
        check_satisfiability(merged, valid, problems, hints)
    if problems:
        return _failed(problems, hints)
    return CompositionResult(print_supergraph(merged), (), _sorted(hints))


def _failed(problems: list[Problem], hints: list[Problem]) -> CompositionResult:
    return CompositionResult(None, _sorted(problems), _sorted(hints))


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """Each once, ordered by code and coordinate."""
    distinct = dict.fromkeys(problems)
    return tuple(sorted(distinct, key=lambda p: (p.code, p.coordinate or "", p.locations, p.message)))
