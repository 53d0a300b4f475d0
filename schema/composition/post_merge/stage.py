"""Runs every check on the merged graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from schema.composition.merge.model import MergedGraph
from schema.composition.post_merge.authorization import transitive_requirements
from schema.composition.post_merge.inaccessible import inaccessible
from schema.composition.post_merge.interfaces import interface_fields, interface_keys, interface_objects
from schema.composition.post_merge.links import import_names, supported_features
from schema.composition.post_merge.one_of import one_of_inputs
from schema.composition.post_merge.places import Merged
from schema.composition.post_merge.requires import required_arguments
from schema.composition.post_merge.roots import has_queries
from schema.composition.post_merge.validity import valid_schema
from schema.composition.validate import ValidSubgraph
from schema.problems import Problem

CHECKS: tuple[Callable[[Merged], Iterator[Problem]], ...] = (
    has_queries,
    import_names,
    supported_features,
    interface_fields,
    required_arguments,
    one_of_inputs,
    transitive_requirements,
)


def check_interfaces(graph: MergedGraph, subgraphs: Sequence[ValidSubgraph], problems: list[Problem]) -> None:
    """Add to `problems` what is wrong with keyed interfaces and interface objects, whatever else is."""
    merged = Merged(graph, tuple(subgraphs))
    problems.extend(interface_keys(merged))
    problems.extend(interface_objects(merged))


def check_merged(graph: MergedGraph, subgraphs: Sequence[ValidSubgraph], problems: list[Problem]) -> None:
    """Add to `problems` whatever the subgraphs bring about only together.

    What clients see of the schema is looked at only when there is one.
    """
    merged = Merged(graph, tuple(subgraphs))
    for checks in (CHECKS, (valid_schema,), (inaccessible,)):
        for check in checks:
            problems.extend(check(merged))
        if problems:
            return
