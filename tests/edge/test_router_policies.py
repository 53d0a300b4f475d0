"""`stadion router --policies`: `@policy` of any supergraph, answered by Casbin rules and by hooks."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from authz.errors import PolicyInvalid
from authz.identity.subject import ANONYMOUS, Subject
from authz.policies.named import NamedPolicies
from deploy.named_policies import KeptPolicies, policies_in
from router.config import RouterConfig, read_config
from router.execution.transports.in_process import InProcessTransport
from router.hooks import HookedRouter, Hooks
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest
from router.snapshot import snapshot_of
from tests.edge.test_router_command import ask, run, started, subgraph
from tests.kit_edge.running import running
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(60)
SDL = """
type Query {
  hello: String @policy(policies: [["never"], ["greet", "smile"]])
  hidden: String @policy(policies: [["greet", "never"]])
}
"""
RULES = "p, anyone, greet, allow\np, anyone, smil*, allow\n"


async def test_a_file_of_rules_says_who_holds_a_policy(tmp_path: Path) -> None:
    file, rules = tmp_path / "supergraph.graphql", tmp_path / "policies.csv"
    rules.write_text(RULES)
    async with subgraph() as (url, _, _, _), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of(SDL, url=url))
        async with started(file, "--policies", str(rules)) as (_, router):
            answer = await ask(http, router, "{ hello hidden }")
    assert answer["data"] == {"hello": "there", "hidden": None}
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["hidden"], "UNAUTHORIZED_FIELD_OR_TYPE")


def test_rules_that_cannot_be_believed_are_refused_in_one_line(tmp_path: Path) -> None:
    file, rules = tmp_path / "supergraph.graphql", tmp_path / "policies.csv"
    file.write_text(supergraph_of(SDL))
    rules.write_text("p, everybody, greet, allow\n")
    code, _, said = run("router", "--supergraph", str(file), "--port", "0", "--policies", str(rules))
    assert (code, said.count("\n")) == (1, 1)
    assert "line 1: nobody is `everybody`" in said


async def test_a_changed_file_is_in_force_and_a_broken_one_is_not(tmp_path: Path) -> None:
    rules = tmp_path / "policies.csv"
    rules.write_text(RULES)
    kept: KeptPolicies = policies_in(rules)
    assert kept.grants(ANONYMOUS, "greet")
    rules.write_text("p, user:anna, greet, allow\n")
    assert kept.grants(ANONYMOUS, "greet")
    await kept.renew()
    assert not kept.grants(ANONYMOUS, "greet")
    assert kept.grants(Subject("anna"), "greet")
    rules.write_text("nonsense\n")
    with pytest.raises(PolicyInvalid):
        await kept.renew()
    assert kept.grants(Subject("anna"), "greet")


@pytest.mark.parametrize("rights", [Rights(), Rights(grants=lambda _, name: name == "smile")])
async def test_hooks_grant_beside_what_the_router_asks(rights: Rights) -> None:
    config = RouterConfig()
    hooks = Hooks(grants=(lambda caller, name: caller.id == "anna" and name == "greet",))
    graph = snapshot_of(supergraph_of(SDL), config)
    router = HookedRouter(graph, InProcessTransport({}), config=config, hooks=hooks, rights=rights)
    document = await router.read(GraphQLRequest(text="{ hello }"), graph)
    for caller in (ANONYMOUS, Subject("anna")):
        denied = router._allowed(document, caller, graph).denials
        assert (denied == ()) is (caller.id == "anna" and rights.grants is not None)
    await router.close()


@pytest.mark.parametrize(
    ("rules", "granted", "forbidden", "held"),
    [
        ("p, anyone, greet, allow\n", (), (), True),
        ("p, anyone, greet, deny\n", ("greet",), (), False),
        ("p, anyone, greet, allow\np, client:kiosk, gr*, deny\n", ("greet",), (), False),
        ("p, user:anna, greet, deny\n", ("greet",), (), True),
        ("# nobody yet\n", ("greet",), (), True),
        ("# nobody yet\n", (), (), False),
        ("p, anyone, greet, allow\n", ("greet",), ("greet",), False),
        ("p, anyone, greet, allow\n", (), ("smile",), False),
    ],
    ids=[
        "a rule", "a rule denies", "a narrower rule denies", "a rule denies another", "a hook alone",
        "nobody", "a hook forbids", "a hook forbids what goes with it",
    ],
)  # fmt: skip
async def test_one_deny_beats_every_grant_whoever_says_either(
    rules: str, granted: tuple[str, ...], forbidden: tuple[str, ...], held: bool
) -> None:
    policies = NamedPolicies(rules + "p, anyone, smile, allow\n")
    config = RouterConfig()
    hooks = Hooks(
        grants=(lambda _, name: name in granted,),
        forbids=(lambda _, name: name in forbidden,),
    )
    graph = snapshot_of(supergraph_of(SDL), config)
    rights = Rights(grants=policies.grants, forbids=policies.forbids)
    router = HookedRouter(graph, InProcessTransport({}), config=config, hooks=hooks, rights=rights)
    document = await router.read(GraphQLRequest(text="{ hello }"), graph)
    caller = Subject("kim", client_id="kiosk")
    assert (router._allowed(document, caller, graph).denials == ()) is held
    await router.close()


async def test_a_refused_operation_is_403_with_each_path_and_no_data() -> None:
    config = read_config({"authorization": {"directives": {"reject_unauthorized": True}}})
    async with running(config) as router:
        request = {"query": "{ hello s: secret }"}
        status, body, _ = await router.post(request, accept="application/graphql-response+json")
        assert status == 403
        assert "data" not in body
        [error] = body["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["s"], "UNAUTHORIZED_FIELD_OR_TYPE")
        status, body, _ = await router.post({"query": "{ hello }"})
        assert (status, body) == (200, {"data": {"hello": "hello world"}})
