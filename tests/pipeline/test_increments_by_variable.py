"""`if` and `initialCount` by variable: one document, a plan for each case, refused where they cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS
from router.config import RouterConfig
from router.errors import ClientError, ValidationFailed, VariablesInvalid
from router.execution import IncrementalFormat
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from schema.composition import compose
from schema.sources import SubgraphSource
from tests.kit_federation.case_files import case_subgraphs, read_case
from tests.kit_federation.incremental_client import merged

QUERY = """query Q($late: Boolean! = true, $few: Int) {
  products @stream(if: $late, initialCount: $few) { name ... @defer(if: $late) { inStock } }
}"""
WHOLE = {"products": [{"name": "one", "inStock": True}, {"name": "two", "inStock": False}]}


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    subgraphs = case_subgraphs(read_case("everyday_mix"))
    result = compose(tuple(SubgraphSource(it.name, f"http://{it.name}/", it.sdl) for it in subgraphs))
    assert result.supergraph_sdl is not None
    config = RouterConfig()
    transport = InProcessTransport({it.name: it for it in subgraphs})
    router = Router(snapshot_of(result.supergraph_sdl, config), transport, config=config)
    yield router
    await router.close()


async def parts(router: Router, text: str = QUERY, **variables: Any) -> list[dict[str, Any]]:
    request = GraphQLRequest(text=text, variables=variables)
    document = await router.read(request, router.snapshot)
    assert document.defers
    stream = await router.parts(request, document, ANONYMOUS, router.snapshot, IncrementalFormat.PENDING)
    return [it.body() async for it in stream]


async def test_a_variable_decides_for_each_request_anew(router: Router) -> None:
    for _ in range(2):
        late = await parts(router, late=True, few=1)
        assert late[0]["data"] == {"products": [{"name": "one"}]}
        assert [it["path"] for it in late[0]["pending"]] == [["products", 0], ["products"]]
        assert merged(late, IncrementalFormat.PENDING).data == WHOLE
        assert await parts(router, late=False, few=1) == [{"data": WHOLE}]


async def test_the_variables_default_and_the_directives_default_hold(router: Router) -> None:
    late = await parts(router)
    assert late[0]["data"] == {"products": []}
    text = QUERY.replace("Boolean! = true", "Boolean")
    assert (await parts(router, text))[0]["data"] == {"products": []}


async def test_a_client_that_takes_no_parts_has_the_plan_of_the_plain_operation(router: Router) -> None:
    request = GraphQLRequest(text=QUERY, variables={"late": True})
    assert (await router.handle(request, ANONYMOUS)).body() == {"data": WHOLE}
    plain = "{ products { name inStock } }"
    read = [await router.read(GraphQLRequest(text=text), router.snapshot) for text in (QUERY, plain)]
    assert read[0].normal.selections == read[1].normal.selections


@pytest.mark.parametrize("few", [-1, None])
async def test_a_count_that_counts_nothing_is_refused(router: Router, few: int | None) -> None:
    with pytest.raises(VariablesInvalid, match=r"\$few"):
        await parts(router, few=few)


async def test_a_condition_that_is_null_is_refused(router: Router) -> None:
    with pytest.raises(VariablesInvalid, match=r"\$late"):
        await parts(router, QUERY.replace("Boolean! = true", "Boolean = true"), late=None)


async def test_a_literal_count_below_zero_is_refused(router: Router) -> None:
    with pytest.raises(ValidationFailed, match="initialCount"):
        await parts(router, "{ products @stream(initialCount: -1) { name } }")


async def test_many_variables_have_a_plan_for_each_case_that_comes(router: Router) -> None:
    fields = ["name", "inStock", "price", "shipping"]
    declared = ", ".join(f"$v{number}: Boolean!" for number in range(4))
    text = f"query ({declared}) {{ products {{ upc: price "
    text += " ".join(f"... @defer(if: $v{number}) {{ {name} }}" for number, name in enumerate(fields))
    text += " } }"
    wholes = set()
    for case in range(16):
        found = await parts(router, text, **{f"v{number}": bool(case >> number & 1) for number in range(4)})
        wholes.add(str(sorted(merged(found, IncrementalFormat.PENDING).data["products"][0].items())))
    assert len(wholes) == 1


SUBSCRIPTION = "subscription ($late: Boolean!) { ticks { at ... @defer(if: $late) { more } } }"
TICKS = """type Query { a: Int } type Subscription { ticks: Tick } type Tick { at: Int more: Int }"""


async def test_a_subscription_is_answered_whole_and_says_so() -> None:
    result = compose((SubgraphSource("only", "http://only/", TICKS),))
    assert result.supergraph_sdl is not None
    config = RouterConfig()
    router = Router(snapshot_of(result.supergraph_sdl, config), InProcessTransport({}), config=config)
    for late in (True, False):
        request = GraphQLRequest(text=SUBSCRIPTION, variables={"late": late})
        document = await router.read(request, router.snapshot)
        if not late:
            await router.events(request, document, ANONYMOUS, router.snapshot)
            continue
        with pytest.raises(ClientError, match="`@defer` is not for subscriptions") as refused:
            await router.events(request, document, ANONYMOUS, router.snapshot)
        assert refused.value.all_to_graphql()[0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    await router.close()
