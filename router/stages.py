"""The stages of reading and of planning, each put together: text → document, document → compiled plan.

What is known is kept by whoever calls them (`pipeline`); nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from graphql import GraphQLSchema

from router.config import RouterConfig
from router.errors import ClientError, PlanTooComplex
from router.execution import CompiledPlan, compile_plan
from router.operation.authorize import needed_by
from router.operation.increments import (
    at_once,
    check_counts,
    decided,
    deciding_variables,
    defers,
    truths_of,
)
from router.operation.introspect import asks_for_schema
from router.operation.limits import check_extent
from router.operation.model import AllowedOperation, ValidOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.requirements import Requirement
from router.operation.validate import validate
from router.operation.visible import visible_schema
from router.planner import plan_operation
from router.snapshot import Cache, Document, Snapshot
from router.telemetry import plan_duration_s, stage

DENIED_SETS_PER_DOCUMENT_MAX = 64
VARIANTS_PER_DOCUMENT_MAX = 16


def suggests(config: RouterConfig) -> bool:
    """Whether errors may name what a client did not write. One wording for all callers: where some may not
    read the schema, errors tell nobody of it."""
    return (
        config.introspection
        and not config.introspection_by_caller
        and all(one.introspection for one in config.client_classes.values())
    )


def read_document(text: str, operation_name: str | None, graph: Snapshot, config: RouterConfig) -> Document:
    """parse → validate → normalise. Errors: ClientError."""
    with stage("parse"):
        parsed = parse(text, limits=graph.parse_limits)
    with stage("validate"), _within_the_stack():
        valid = validate(parsed, graph.api_schema, operation_name, suggestions=suggests(config))
        check_extent(valid, config.operation)
    with _within_the_stack():
        is_incremental = defers(valid)
        document = document_of(at_once(valid) if is_incremental else valid, graph)
    if document.reads_schema and not config.introspection:
        raise ClientError("introspection is off", code="INTROSPECTION_DISABLED")
    if is_incremental:
        return replace(document, deferring=valid, deciding=deciding_variables(valid))
    return document


def document_of(valid: ValidOperation, graph: Snapshot) -> Document:
    """normalise.  Errors: PlanTooComplex."""
    with stage("normalize"):
        normal = normalize(valid, graph.supergraph)
    return Document(
        kind=valid.kind,
        normal=normal,
        reads_schema=asks_for_schema(normal.selections),
        needed=needed_by(normal, graph.requirements),
        allowed=Cache("allowed", entries_max=DENIED_SETS_PER_DOCUMENT_MAX),
    )


def in_parts(document: Document, variables: Mapping[str, Any], graph: Snapshot) -> Document:
    """The document with `@defer` and `@stream` as these variables want them.  Errors: ClientError."""
    if document.deferring is None:
        return document
    truths = truths_of(document.deciding, variables)
    case = tuple(truths.values())
    known = document.variants.get(case)
    if known is None:
        if len(document.variants) >= VARIANTS_PER_DOCUMENT_MAX:
            document.variants.clear()
        with _within_the_stack():
            known = document.variants[case] = document_of(decided(document.deferring, truths), graph)
    check_counts(known.normal, variables)
    return known


def plan_and_compile(
    allowed: AllowedOperation,
    graph: Snapshot,
    labels: frozenset[str],
    hidden: frozenset[Requirement],
    *,
    steps_max: int = 0,
) -> CompiledPlan:
    """plan → compile. Errors: PlanNotFound, PlanTooComplex; INTROSPECTION_DISABLED where all is hidden;
    PlanTakesLong as `plan_operation`."""
    began = time.perf_counter()
    with _within_the_stack(), stage("plan"):
        plan = plan_operation(allowed.normal, graph.supergraph, override_labels=labels, steps_max=steps_max)
        compiled = compile_plan(plan, allowed, graph.supergraph, visible=_visible(graph, hidden))
    plan_duration_s.record(time.perf_counter() - began)
    return compiled


@contextmanager
def _within_the_stack() -> Iterator[None]:
    """What nests too deeply for a stage is refused as such.  Errors: PlanTooComplex."""
    try:
        yield
    except RecursionError:
        raise PlanTooComplex("the operation nests too deeply to be planned") from None


def _visible(graph: Snapshot, hidden: frozenset[Requirement]) -> GraphQLSchema:
    if not hidden:
        return graph.api_schema
    visible = graph.visible.get(hidden) or visible_schema(graph.api_schema, graph.requirements, hidden)
    if visible is None:
        raise ClientError("introspection is off for this caller", code="INTROSPECTION_DISABLED")
    graph.visible.put(hidden, visible)
    return visible
