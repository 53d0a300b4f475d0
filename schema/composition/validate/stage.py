"""Runs every rule over one subgraph and adds the facts that merging asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schema.composition.facts import FieldFacts, field_facts
from schema.composition.subgraph import Subgraph
from schema.composition.upgrade import UpgradedSubgraph
from schema.composition.validate.rules.authorization import authorization
from schema.composition.validate.rules.contexts import contexts
from schema.composition.validate.rules.costs import costs
from schema.composition.validate.rules.directives_in_place import directives_in_place
from schema.composition.validate.rules.externals import externals
from schema.composition.validate.rules.field_sets import field_sets
from schema.composition.validate.rules.filled_types import filled_types
from schema.composition.validate.rules.implementations import implementations
from schema.composition.validate.rules.interface_objects import interface_objects
from schema.composition.validate.rules.known_types import known_types
from schema.composition.validate.rules.literals import literals
from schema.composition.validate.rules.sharing import sharing
from schema.composition.validate.rules.tags import tags
from schema.problems import Problem

Rule = Callable[[Subgraph, FieldFacts], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    known_types,
    filled_types,
    implementations,
    directives_in_place,
    literals,
    field_sets,
    externals,
    sharing,
    interface_objects,
    costs,
    authorization,
    tags,
    contexts,
)


@dataclass(frozen=True, slots=True)
class ValidSubgraph:
    """A subgraph that is sound by itself, with its facts at hand."""

    graph: Subgraph
    facts: FieldFacts
    was_fed1: bool


def validate(upgraded: UpgradedSubgraph, problems: list[Problem]) -> ValidSubgraph:
    """The subgraph with its facts; whatever breaks a rule is added to `problems`."""
    facts = field_facts(upgraded.graph)
    for rule in RULES:
        problems.extend(rule(upgraded.graph, facts))
    return ValidSubgraph(upgraded.graph, facts, upgraded.was_fed1)
