"""`QueryPlan` → `CompiledPlan`: everything about an operation that does not depend on the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from graphql import GraphQLSchema

from router.execution.fetches import RootFetch
from router.execution.paths import TreePath
from router.execution.portions import Portions, portions_of
from router.execution.projection import HOT_AFTER_RUNS, Projection
from router.execution.schedule import compile_schedule
from router.execution.shape import answer_shape, condition_variables
from router.execution.steps import Step
from router.execution.type_facts import TypeFacts, type_facts_of
from router.execution.whole import whole_fetch
from router.operation.introspect import introspect, introspection_document, uses_variables
from router.operation.model import AllowedOperation, OperationKind
from router.planner.plan import QueryPlan, Subscription
from schema.supergraph import Supergraph

PROJECTIONS_MAX: Final = 64
"""Projections kept for one plan: one an assignment of its @skip and @include variables."""


class CompiledPlan:
    """A plan ready to run, any number of times and side by side. Belongs to one event loop's thread."""

    __slots__ = (
        "_api_schema",
        "_condition_variables",
        "_introspected",
        "_introspection",
        "_is_repeated",
        "_only_fetch",
        "_portions",
        "_projections",
        "_supergraph",
        "_visible",
        "_whole",
        "_whole_after_runs",
        "allowed",
        "event",
        "facts",
        "kind",
        "plan",
        "step",
    )

    def __init__(
        self,
        plan: QueryPlan,
        allowed: AllowedOperation,
        supergraph: Supergraph,
        visible: GraphQLSchema | None = None,
    ) -> None:
        self.plan = plan
        self.allowed = allowed
        self.kind: OperationKind = allowed.original.kind
        self.facts: TypeFacts = type_facts_of(supergraph)
        self.step: Step | None = None
        self.event: RootFetch | None = None
        """The subscribing fetch of a subscription; `step` is then what runs for each event."""
        self._compile()
        self._api_schema: GraphQLSchema = supergraph.api_schema
        self._visible = visible or supergraph.api_schema
        self._introspection = introspection_document(allowed.normal)
        self._introspected: dict[str, Any] | None = None
        self._condition_variables = condition_variables(allowed.original)
        self._projections: dict[tuple[frozenset[int], bool, tuple[bool, ...]], Projection] = {}
        self._is_repeated = False
        self._only_fetch = self._introspection is None and self.kind is OperationKind.QUERY
        self._portions: Portions | Literal[False] | None = False
        self._supergraph = supergraph
        self._whole: RootFetch | None = None
        self._whole_after_runs = HOT_AFTER_RUNS

    def _compile(self) -> None:
        node = self.plan.node
        if isinstance(node, Subscription):
            self.event = RootFetch(node.primary, TreePath((), self.facts), self.facts)
            node = node.rest
        if node is not None:
            self.step = compile_schedule(node, self.facts)

    def introspected(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `__schema` and `__type` answer, by response key; None where they are not asked."""
        document = self._introspection
        if document is None:
            return None
        if uses_variables(document):
            return introspect(document, self._visible, variables)
        if self._introspected is None:
            self._introspected = introspect(document, self._visible, {})
        return self._introspected

    def projection(
        self, variables: Mapping[str, Any], *, late: frozenset[int] = frozenset(), shared: bool = False
    ) -> Projection:
        """How the answer is built for these variables, without the fragments that come `late`.

        `shared`: one object of the tree may stand at many places.
        """
        truths = tuple(bool(variables.get(name)) for name in self._condition_variables)
        known = self._projections.get((late, shared, truths))
        if known is None:
            by_name = dict(zip(self._condition_variables, truths, strict=True))
            shape = answer_shape(self.allowed, self._api_schema, by_name, late=late)
            known = Projection(shape, shared=shared)
            if not self._is_repeated:
                # most texts come once: what costs most memory of a plan is not kept for them
                self._is_repeated = True
                return known
            if len(self._projections) >= PROJECTIONS_MAX:
                self._projections.clear()
            self._projections[late, shared, truths] = known
        return known

    def whole(self) -> RootFetch | None:
        """The plan's only fetch where its bytes can be the answer; found out once the plan is hot."""
        if self._whole_after_runs > 0:
            self._whole_after_runs -= 1
            if (
                self._whole_after_runs == 0
                and isinstance(self.step, RootFetch)
                and whole_fetch(self.plan.node, self.allowed, self._supergraph) is not None
            ):
                self._whole = self.step
        return self._whole

    def only_fetch(self) -> RootFetch | None:
        """The plan's only fetch, where nothing else makes the answer."""
        step = self.step
        return step if self._only_fetch and isinstance(step, RootFetch) and step.is_at_root else None

    def portions(self) -> Portions | None:
        """The plan cut for incremental delivery; None where nothing is delivered later."""
        if self._portions is False:
            subscribes = self.event is not None
            self._portions = (
                None if subscribes else portions_of(self.plan.node, self.allowed.normal, self.facts)
            )
        return self._portions


def compile_plan(
    plan: QueryPlan,
    allowed: AllowedOperation,
    supergraph: Supergraph,
    *,
    visible: GraphQLSchema | None = None,
) -> CompiledPlan:
    """The plan's steps, representation builders and projections; parts are finished when first used.

    `visible` is the schema that introspection tells of, the whole API schema when not given.
    Errors: `PlanInvariantBroken` where the plan asks for what cannot be done.
    """
    return CompiledPlan(plan, allowed, supergraph, visible)
