"""A whole federation in one process: compose, plan and execute as the router does, and count the calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from authz.identity.subject import ANONYMOUS, Subject
from router.errors import ClientError
from router.execution import (
    CompiledPlan,
    ExecutionOptions,
    GraphQLResponse,
    compile_plan,
    execute,
    subscribe,
)
from router.execution.transport import SubgraphTransport
from router.execution.transports.in_process import InProcessTransport
from router.operation.model import AllowedOperation, NormalOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from router.operation.variables import coerce
from router.planner import plan_operation
from router.planner.plan import QueryPlan
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_federation.mock_subgraph import MockSubgraph


@dataclass(frozen=True, slots=True)
class Federation:
    """Subgraphs and the supergraph that they make."""

    subgraphs: tuple[MockSubgraph, ...]
    supergraph: Supergraph

    def normal(self, query: str, operation_name: str | None = None) -> NormalOperation:
        """parse → validate → normalise."""
        valid = validate(parse(query), self.supergraph.api_schema, operation_name)
        return normalize(valid, self.supergraph)

    def plan(self, query: str) -> QueryPlan:
        """The plan of an operation of which nothing is denied."""
        return plan_operation(self.normal(query), self.supergraph)

    def compiled(self, query: str, operation_name: str | None = None) -> CompiledPlan:
        """As `plan`, ready to run."""
        normal = self.normal(query, operation_name)
        plan = plan_operation(normal, self.supergraph)
        return compile_plan(plan, AllowedOperation(normal=normal, original=normal), self.supergraph)

    async def ask(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        transport: SubgraphTransport | None = None,
        subject: Subject = ANONYMOUS,
        options: ExecutionOptions | None = None,
    ) -> GraphQLResponse:
        """The answer; a refusal is an answer without data, as it is for clients."""
        try:
            compiled = self.compiled(query)
            return await self.run(compiled, variables, transport=transport, subject=subject, options=options)
        except ClientError as refusal:
            return GraphQLResponse(data=None, errors=tuple(refusal.all_to_graphql()))

    async def run(
        self,
        compiled: CompiledPlan,
        variables: Mapping[str, Any] | None = None,
        *,
        transport: SubgraphTransport | None = None,
        subject: Subject = ANONYMOUS,
        options: ExecutionOptions | None = None,
    ) -> GraphQLResponse:
        """As `ask`, by a plan that is there already.  Errors: `VariablesInvalid`."""
        coerced = coerce(variables, compiled.allowed.original.variables, self.supergraph.api_schema)
        return await execute(
            compiled, coerced, subject, transport or self.in_process(), options=options or ExecutionOptions()
        )

    def events(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        transport: SubgraphTransport | None = None,
    ) -> AsyncIterator[GraphQLResponse]:
        """The responses of a subscription."""
        compiled = self.compiled(query)
        coerced = coerce(variables, compiled.allowed.original.variables, self.supergraph.api_schema)
        return subscribe(compiled, coerced, ANONYMOUS, transport or self.in_process())

    def in_process(self) -> InProcessTransport:
        """Calls the subgraphs as objects."""
        return InProcessTransport({it.name: it for it in self.subgraphs})

    def calls(self) -> dict[str, int]:
        """How often each subgraph was called; those that were not are left out."""
        return {it.name: len(it.calls) for it in self.subgraphs if it.calls}


def federation_of(subgraphs: Sequence[MockSubgraph]) -> Federation:
    """Compose them with our own composer; a composition problem fails the test with all its messages."""
    sources = tuple(SubgraphSource(it.name, f"http://{it.name}/graphql", it.sdl) for it in subgraphs)
    return Federation(tuple(subgraphs), _supergraph_of(sources))


@cache
def _supergraph_of(sources: tuple[SubgraphSource, ...]) -> Supergraph:
    result = compose(sources)
    assert result.supergraph_sdl is not None, "\n".join(str(it) for it in result.problems)
    return read_supergraph(result.supergraph_sdl)
