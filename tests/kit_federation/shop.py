"""A small supergraph for tests of single stages, and a transport whose answers are written in the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution import ExecutionOptions, GraphQLResponse, compile_plan, execute
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import read_answer
from router.operation.model import AllowedOperation, NormalOperation, OperationKind
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from router.planner import plan
from router.planner.plan import (
    Fetch,
    Flatten,
    PathKey,
    PathList,
    PathStep,
    PlanNode,
    QueryPlan,
    RequiresField,
    RequiresFragment,
    RequiresSelection,
)
from schema.supergraph import Supergraph, read_supergraph

SHOP_SDL = """
schema
  @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION)
  @link(url: "https://specs.apollo.dev/inaccessible/v0.2", for: SECURITY)
{ query: Query mutation: Mutation subscription: Subscription }

directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false,
  resolvable: Boolean! = true, isInterfaceObject: Boolean! = false)
  repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String,
  external: Boolean, override: String, usedOverridden: Boolean)
  repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__implements(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE
directive @join__unionMember(graph: join__Graph!, member: String!) repeatable on UNION
directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE
directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ENUM_VALUE | ENUM | SCALAR
scalar join__FieldSet
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
enum join__Graph {
  CATALOG @join__graph(name: "catalog", url: "http://catalog/graphql")
  STOCK @join__graph(name: "stock", url: "http://stock/graphql")
}
type Query @join__type(graph: CATALOG) @join__type(graph: STOCK) {
  items: [Item!] @join__field(graph: CATALOG)
  item(sku: ID): Item @join__field(graph: CATALOG)
  must: Item! @join__field(graph: CATALOG)
  things: [Thing] @join__field(graph: CATALOG)
  medium: Medium @join__field(graph: CATALOG)
}
type Mutation @join__type(graph: CATALOG) @join__type(graph: STOCK) {
  rename(sku: ID!, name: String): Item @join__field(graph: CATALOG)
  refill(sku: ID!): Int @join__field(graph: STOCK)
}
type Subscription @join__type(graph: CATALOG) { itemChanged: Item }
interface Thing @join__type(graph: CATALOG) { id: ID! label: String }
interface Medium @join__type(graph: CATALOG, key: "id")
  @join__type(graph: STOCK, key: "id", isInterfaceObject: true)
{ id: ID! rank: Int @join__field(graph: STOCK) }
type Film implements Medium @join__implements(graph: CATALOG, interface: "Medium")
  @join__type(graph: CATALOG, key: "id") { id: ID! rank: Int @join__field }
type Tool implements Thing @join__implements(graph: CATALOG, interface: "Thing") @join__type(graph: CATALOG)
{ id: ID! label: String weight: Int }
type Toy implements Thing @join__implements(graph: CATALOG, interface: "Thing") @join__type(graph: CATALOG)
{ id: ID! label: String! age: Int }
type Secret implements Thing @join__implements(graph: CATALOG, interface: "Thing") @join__type(graph: CATALOG)
  @inaccessible { id: ID! label: String }
enum State @join__type(graph: STOCK) {
  FULL @join__enumValue(graph: STOCK)
  EMPTY @join__enumValue(graph: STOCK)
  LOST @join__enumValue(graph: STOCK) @inaccessible
}
type Maker @join__type(graph: CATALOG) { name: String! city: String }
type Place @join__type(graph: STOCK) { shelf: String! box: Int }
type Item @join__type(graph: CATALOG, key: "sku") @join__type(graph: STOCK, key: "sku") {
  sku: ID
  name: String @join__field(graph: CATALOG)
  weight: Int @join__field(graph: CATALOG) @join__field(graph: STOCK, external: true)
  maker: Maker @join__field(graph: CATALOG) @join__field(graph: STOCK, external: true)
  makers: [Maker!] @join__field(graph: CATALOG)
  parent: Item @join__field(graph: CATALOG)
  left: Int! @join__field(graph: STOCK)
  state: State @join__field(graph: STOCK)
  fee: Int @join__field(graph: STOCK, requires: "weight maker { name }")
  place: Place @join__field(graph: STOCK)
}
"""

SHOP: Supergraph = read_supergraph(SHOP_SDL)

Answer = Mapping[str, Any] | SubgraphCallFailed | Callable[[SubgraphRequest], Any]


class ScriptedTransport:
    """Answers each service's calls in turn from a list; the requests are kept."""

    def __init__(self, **answers: Sequence[Answer]) -> None:
        self._answers = {name: list(it) for name, it in answers.items()}
        self.requests: list[SubgraphRequest] = []

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """The next answer; an exception is raised, a function is asked."""
        self.requests.append(request)
        answer = self._answers[request.service].pop(0)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, SubgraphCallFailed):
            raise answer
        return read_answer(request.service, answer)

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Every answer of the service's list is an event."""
        self.requests.append(request)
        for answer in self._answers[request.service]:
            if isinstance(answer, SubgraphCallFailed):
                raise answer
            yield read_answer(request.service, answer)

    async def close(self) -> None:
        """Nothing to give back."""

    def representations(self, number: int) -> list[dict[str, Any]]:
        """What the call of this number asked entities for."""
        found: list[dict[str, Any]] = self.requests[number].variables["representations"]
        return found


def normal_of(query: str) -> NormalOperation:
    """A valid operation on the shop in normal form."""
    return normalize(validate(parse(query), SHOP.api_schema), SHOP)


def path_of(text: str) -> tuple[PathStep, ...]:
    """`items.@.parent` as a flatten path."""
    return tuple(PathList() if it == "@" else PathKey(it) for it in text.split("."))


def root(service: str = "catalog", kind: OperationKind = OperationKind.QUERY, **more: Any) -> Fetch:
    """A root fetch whose text does not matter to the test."""
    return Fetch(id=1, service=service, kind=kind, operation="{ __typename }", **more)


def entities(
    path: str, *requires: RequiresSelection | str, on: str = "Item", service: str = "stock", **more: Any
) -> Flatten:
    """An entity fetch under `path`; strings stand for plain required fields."""
    fields = tuple(RequiresField(it, it) if isinstance(it, str) else it for it in ("__typename", *requires))
    fetch = Fetch(
        id=2,
        service=service,
        kind=OperationKind.QUERY,
        operation="query($representations:[_Any!]!){_entities(representations:$representations){__typename}}",
        requires=(RequiresFragment(on, fields),),
        **more,
    )
    return Flatten(path_of(path), fetch)


async def run_plan(
    query: str,
    node: PlanNode | None,
    transport: ScriptedTransport,
    *,
    variables: Mapping[str, Any] | None = None,
    allowed: AllowedOperation | None = None,
    options: ExecutionOptions | None = None,
) -> GraphQLResponse:
    """The answer to `query` by a plan that the test wrote itself."""
    normal = normal_of(query)
    allowed = allowed or AllowedOperation(normal=normal, original=normal)
    compiled = compile_plan(QueryPlan(node), allowed, SHOP)
    return await execute(
        compiled, variables or {}, ANONYMOUS, transport, options=options or ExecutionOptions()
    )


def in_order(*nodes: PlanNode) -> plan.Sequence:
    """Nodes one after another."""
    return plan.Sequence(nodes)
