"""However deep an operation nests, it is answered or refused with a code: the stack never decides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from authz.identity.subject import ANONYMOUS
from router.config import OperationLimits, RouterConfig
from router.errors import ClientError
from router.execution import IncrementalFormat
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.operation.parse import NESTING_MAX
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

SDL = "type Query { a: A l(x: [[Int]], i: I): Int } input I { i: I n: Int } type A { a: A n: Int b: [A] }"
CODES = {
    "MAX_RECURSION_LIMIT",
    "QUERY_PLAN_COMPLEXITY_EXCEEDED",
    "GRAPHQL_VALIDATION_FAILED",
    "MAX_DEPTH_LIMIT",
}
SHAPES = {
    "fields": lambda depth: "{" + "a{" * depth + "n" + "}" * depth + "}",
    "fragments": lambda depth: "{a{" + "...{" * depth + "n" + "}" * depth + "}}",
    "deferred fragments": lambda depth: "{" + "a{...@defer{" * depth + "n" + "}}" * depth + "}",
    "streamed lists": lambda depth: "{a{" + "b @stream{" * depth + "n" + "}" * depth + "}}",
    "input objects": lambda depth: "{l(i:" + "{i:" * depth + "null" + "}" * depth + ")}",
    "lists": lambda depth: "{l(x:" + "[" * depth + "1" + "]" * depth + ")}",
    "named fragments": lambda depth: (
        "{a{...f0}}"
        + "".join(f"fragment f{n} on A{{a{{...f{n + 1}}}}}" for n in range(depth))
        + f"fragment f{depth} on A{{n}}"
    ),
    "introspection": lambda depth: (
        "{__schema{types{fields{type{" + "ofType{" * depth + "name" + "}" * depth + "}}}}}"
    ),
}


class Nulls:
    """Answers null, whatever is asked."""

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        return SubgraphResponse({"a": None, "l": None})

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        yield SubgraphResponse(None)

    async def close(self) -> None:
        """Nothing to give back."""


def router_of(**limits: int) -> Router:
    config = RouterConfig(introspection=True, operation=OperationLimits(**limits))
    return Router(snapshot_of(supergraph_of(SDL), config), Nulls(), config=config)


async def outcome(router: Router, text: str) -> str:
    """The code of the refusal; empty where it is answered, in parts if it may be."""
    request = GraphQLRequest(text=text)
    try:
        document = await router.read(request, router.snapshot)
        await router.answer(request, document, ANONYMOUS, router.snapshot)
        if document.defers:
            parts = await router.parts(
                request, document, ANONYMOUS, router.snapshot, IncrementalFormat.PENDING
            )
            assert [it async for it in parts]
    except ClientError as refusal:
        return str(refusal.all_to_graphql()[0]["extensions"]["code"])
    return ""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [200, 500, 0])
async def test_every_depth_is_answered_or_refused_with_a_code(shape: str, limit: int) -> None:
    router = router_of(nesting_max=limit, depth_max=0, aliases_max=0)
    found = [await outcome(router, SHAPES[shape](depth)) for depth in (1, 60, 99, 130, 180, 198, 250, 600)]
    assert set(found) <= {"", *CODES}
    assert found[0] in {"", "GRAPHQL_VALIDATION_FAILED"}
    assert found[-1] in CODES
    await router.close()


async def test_a_higher_limit_than_the_parsers_counts_as_the_parsers() -> None:
    router = router_of(nesting_max=500)
    with pytest.raises(ClientError, match=f"deeper than {NESTING_MAX} levels"):
        await router.read(GraphQLRequest(text=SHAPES["fields"](NESTING_MAX)), router.snapshot)
    await router.close()
