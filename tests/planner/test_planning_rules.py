"""Rules of planning that one snapshot does not show: labels, order, limits, deferral, subscriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from router.errors import PlanNotFound, PlanTooComplex
from router.planner import PlannerLimits, explain_operation, plan_operation, plan_to_json
from router.planner.plan import (
    ConditionNode,
    Defer,
    Fetch,
    Flatten,
    Parallel,
    QueryPlan,
    RequiresField,
    RequiresSelection,
    Sequence,
    Subscription,
)
from schema.supergraph import read_supergraph
from tests.kit_planner.cases import SUPERGRAPHS, load_case, normal_of, plan_of, query_of
from tests.kit_planner.compare import fetches


def services(plan: QueryPlan) -> list[str]:
    return [fetch.service for fetch, _, _ in fetches(plan.node)]


def test_a_label_decides_which_side_of_an_override_serves() -> None:
    supergraph = load_case("override_by_label").supergraph
    query = "{ item { price } }"
    assert services(plan_of(supergraph, query)) == ["old"]
    assert services(plan_of(supergraph, query, "percent(50)")) == ["old", "new"]
    assert plan_of(supergraph, query, "percent(50)").override_labels == ("percent(50)",)


def test_mutation_fields_run_in_order_and_neighbours_share_a_request() -> None:
    supergraph = load_case("mutations_in_order").supergraph
    plan = plan_of(supergraph, "mutation { one: bump two: bump drop three: bump }")
    assert isinstance(plan.node, Sequence)
    assert [(f.service, f.kind.value) for f, _, _ in fetches(plan.node)] == [
        ("a", "mutation"),
        ("b", "mutation"),
        ("a", "mutation"),
    ]


def test_a_shared_mutation_is_called_once_and_completed_by_its_key() -> None:
    supergraph = load_case("mutations_in_order").supergraph
    plan = plan_of(supergraph, 'mutation { tag(id: "t") { id text } }')
    roots = [fetch for fetch, path, _ in fetches(plan.node) if not path]
    assert len(roots) == 1


def test_a_condition_that_covers_a_request_is_hoisted() -> None:
    supergraph = load_case("everyday_mix").supergraph
    plan = plan_of(supergraph, "query ($a: Boolean!) { topProducts { name inStock @include(if: $a) } }")
    assert isinstance(plan.node, Sequence)
    condition = plan.node.nodes[1]
    assert isinstance(condition, ConditionNode)
    assert condition.variable == "a"
    assert isinstance(condition.if_clause, Flatten)
    assert isinstance(condition.if_clause.node, Fetch)
    assert "@include" not in condition.if_clause.node.operation


def test_a_condition_on_a_part_stays_inside_with_its_variable_declared() -> None:
    supergraph = load_case("everyday_mix").supergraph
    plan = plan_of(supergraph, "query ($a: Boolean!) { topProducts { name price @skip(if: $a) } }")
    assert isinstance(plan.node, Fetch)
    assert "price @skip(if: $a)" in plan.node.operation
    assert plan.node.operation.startswith("query($a: Boolean!)") or "($a: Boolean!)" in plan.node.operation
    assert plan.node.variable_usages == ("a",)


def test_what_a_path_provides_is_not_fetched_again() -> None:
    supergraph = load_case("everyday_mix").supergraph
    assert services(plan_of(supergraph, "{ reviews { author { username } } }")) == ["reviews"]
    assert services(plan_of(supergraph, "{ reviews { author { username name } } }")) == [
        "reviews",
        "accounts",
    ]


def test_root_fields_of_several_subgraphs_are_fetched_together() -> None:
    supergraph = load_case("shared_roots").supergraph
    plan = plan_of(supergraph, "{ shop { id name { text } price { amount } area { size } } }")
    assert isinstance(plan.node, Parallel)
    assert sorted(services(plan)) == ["a", "c"]


def test_a_field_that_no_way_reaches_is_refused_by_name() -> None:
    supergraph = load_case("audit/corrupted-supergraph-node-id").supergraph
    with pytest.raises(PlanNotFound) as refusal:
        plan_of(supergraph, '{ node(id: "a1") { id } }')
    assert refusal.value.message == "no way through the subgraphs answers `Node.id`"


def test_limits_are_errors_not_slowness() -> None:
    supergraph = load_case("everyday_mix").supergraph
    normal = normal_of(supergraph, query_of("everyday_mix"))
    with pytest.raises(PlanTooComplex):
        plan_operation(normal, supergraph, limits=PlannerLimits(states_max=3))
    with pytest.raises(PlanTooComplex):
        plan_operation(normal, supergraph, limits=PlannerLimits(fetches_max=2))
    with pytest.raises(PlanTooComplex):
        plan_operation(normal, supergraph, limits=PlannerLimits(depth_max=1))


def test_introspection_alone_needs_no_plan() -> None:
    supergraph = load_case("everyday_mix").supergraph
    assert plan_of(supergraph, "{ __typename __schema { queryType { name } } }").node is None


def test_deferred_fragments_are_parts_that_follow() -> None:
    supergraph = load_case("everyday_mix").supergraph
    plan = plan_of(supergraph, '{ me { id ... @defer(label: "later") { name reviews { id } } } }')
    assert isinstance(plan.node, Defer)
    assert isinstance(plan.node.primary, Fetch)
    assert plan.node.primary.operation == "{me{__typename id}}"
    (part,) = plan.node.deferred
    assert (part.path, part.label) == (("me",), "later")
    assert [one.fetch_id for one in part.depends] == [plan.node.primary.id]
    assert sorted(f.service for f, _, _ in fetches(part.node)) == ["accounts", "reviews"]


def test_the_explanation_shows_alternatives_choice_groups_and_plan() -> None:
    supergraph = load_case("shared_entity_fields").supergraph
    explanation = explain_operation(normal_of(supergraph, query_of("shared_entity_fields")), supergraph)
    text = str(explanation)
    assert [word for word in ("alternatives", "choice", "groups", "plan") if f"{word}\n" in text]
    assert any(one.chosen for one in explanation.alternatives)
    assert len({one.cost for one in explanation.alternatives}) > 1
    assert "as much as possible from D: 2 requests in 1 stage (won: fewer requests)" in text


def test_the_explanation_weighs_one_subgraph_with_keys_against_several_side_by_side() -> None:
    supergraph = load_case("provides_on_lists_and_roots").supergraph
    query = query_of("provides_on_lists_and_roots")
    lines = str(explain_operation(normal_of(supergraph, query), supergraph)).splitlines()
    parted = [line for line in lines if "Query.top: from B and A" in line]
    assert parted
    assert all(line.endswith("(won: it selects less, or earlier)") for line in parted)


def test_the_json_form_renames_what_is_read_under_an_alias() -> None:
    supergraph = load_case("clashing_aliases").supergraph
    plan = plan_of(supergraph, query_of("clashing_aliases"))
    found = json.dumps(plan_to_json(plan))
    aliased = [r for f, _, _ in fetches(plan.node) for r in _fields(f.requires) if r.source != r.name]
    assert aliased
    for one in aliased:
        assert f'{{"kind": "Field", "name": "{one.name}", "alias": "{one.source}"' in found
        assert f'"{one.source}"], "renameKeyTo": "{one.name}"}}' in found


def _fields(requires: tuple[RequiresSelection, ...]) -> Iterator[RequiresField]:
    for one in requires:
        if isinstance(one, RequiresField):
            yield one
        yield from _fields(one.selections)


def test_the_json_form_has_the_kinds_that_tools_know() -> None:
    supergraph = load_case("everyday_mix").supergraph
    found = plan_to_json(plan_of(supergraph, "{ topProducts { name inStock } }"))
    assert found["kind"] == "QueryPlan"
    root, entity = found["node"]["nodes"]
    assert (root["kind"], root["serviceName"], root["operationKind"]) == ("Fetch", "products", "query")
    assert (entity["kind"], entity["path"]) == ("Flatten", ["topProducts", "@"])
    assert entity["node"]["requires"] == [
        {
            "kind": "InlineFragment",
            "typeCondition": "Product",
            "selections": [{"kind": "Field", "name": "__typename"}, {"kind": "Field", "name": "upc"}],
        }
    ]


def test_a_key_may_be_the_type_name_alone() -> None:
    text = (SUPERGRAPHS / "hive-e2e-issues" / "supergraph.1099.graphql").read_text()
    plan = plan_of(read_supergraph(text), "{ catalogEntry { sku rating { score } } }")
    assert services(plan) == ["warehouse", "reviews"]


def test_a_subscription_subscribes_once_and_plans_the_rest_for_each_event() -> None:
    case = load_case("subscription_with_rest")
    plan = plan_of(case.supergraph, query_of("subscription_with_rest"))
    assert isinstance(plan.node, Subscription)
    assert plan.node.primary.kind.value == "subscription"
    assert sorted(f.service for f, _, _ in fetches(plan.node.rest)) == ["accounts", "products"]
