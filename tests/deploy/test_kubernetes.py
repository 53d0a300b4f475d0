"""`deploy/kubernetes`: valid objects that fit together, fenced pods, nothing named that does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from deploy.config_command import read_settings
from deploy.endpoint import config_of
from deploy.settings import Settings
from deploy.stores import SUBGRAPHS
from tests.kit_deploy.kubernetes import FOLDER, Object, container, of_kind, pods, rendered
from tests.kit_platform.process import ROOT

LAYOUTS = ("migrations", "policy", "platform", "federated", "example")
SCHEMA = json.loads((ROOT / "tests" / "data" / "kubernetes" / "kubernetes-1.33.json").read_text())
INGRESS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
SECRETS = {"stadion-settings", "stadion-keys", "stadion-tls"}
"""What is made by hand, as the README says."""


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_object_is_valid_by_the_clusters_own_schema(layout: str) -> None:
    kinds = {each["$ref"].rpartition(".")[2]: each for each in SCHEMA["oneOf"]}
    for found in rendered(layout):
        validator = jsonschema_rs.validator_for({**kinds[found["kind"]], "$defs": SCHEMA["$defs"]})
        told = [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(found)]
        assert told == [], found["metadata"]["name"]
        assert not validator.is_valid({**found, "spek": {}})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pod_is_fenced_in(layout: str) -> None:
    for template in pods(layout).values():
        pod, inside = template["spec"], container(template)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "stadion")
        assert inside["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= inside["resources"]["requests"].keys()
        assert "memory" in inside["resources"]["limits"]
        assert not re.search(r":latest$|^[^:]+$", inside["image"])
    assert (
        f"USER {pods('platform')['platform']['spec']['securityContext']['runAsUser']}"
        in (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_referred_to_is_there(layout: str) -> None:
    given = of_kind(layout, "ConfigMap").keys() | of_kind(layout, "ServiceAccount").keys()
    for template in pods(layout).values():
        pod, inside = template["spec"], container(template)
        for source in inside["envFrom"]:
            [(kind, reference)] = source.items()
            assert reference["name"] in (SECRETS if kind == "secretRef" else given)
        for variable in inside.get("env", []):
            assert variable["valueFrom"]["secretKeyRef"]["name"] in SECRETS
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert {each["name"] for each in inside["volumeMounts"]} == volumes.keys()
        for volume in volumes.values():
            assert "configMap" not in volume or volume["configMap"]["name"] in given
            assert "secret" not in volume or volume["secret"]["secretName"] in SECRETS
    for service in of_kind(layout, "Service").values():
        [chosen] = [each for each in pods(layout).values() if selects(service["spec"]["selector"], each)]
        named = {port["name"] for port in container(chosen)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    deployments = of_kind(layout, "Deployment")
    scaled = of_kind(layout, "HorizontalPodAutoscaler")
    assert {each["spec"]["scaleTargetRef"]["name"] for each in scaled.values()} == deployments.keys()
    spared = of_kind(layout, "PodDisruptionBudget").values()
    for template in map(deployments.get, deployments):
        assert template is not None
        matching = [
            each
            for each in spared
            if selects(each["spec"]["selector"]["matchLabels"], template["spec"]["template"])
        ]
        assert [each["spec"]["maxUnavailable"] for each in matching] == [1]
        assert "replicas" not in template["spec"]  # the autoscaler's to say


def selects(labels: dict[str, str], template: Object) -> bool:
    return labels.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_secret_is_in_clear(layout: str) -> None:
    for found in rendered(layout):
        assert found["kind"] != "Secret"
        assert not [each for each in texts(found) if re.search(r"://[^/\s]*:[^/\s]*@", each)]


@pytest.mark.parametrize("layout", ["platform", "federated"])
def test_a_pod_that_ends_has_the_time_that_its_program_takes(layout: str) -> None:
    settings = of_kind(layout, "ConfigMap")["stadion-settings"]["data"]
    drain_s = float(settings["STADION_DRAIN_TIMEOUT_S"])
    for name, template in pods(layout).items():
        wait_s = container(template)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert template["spec"]["terminationGracePeriodSeconds"] >= wait_s + drain_s + 5, name
    router = read_settings(FOLDER / "federated" / "router-settings.yaml")
    assert router.drain_ms_max == drain_s * 1_000


@pytest.mark.parametrize("layout", LAYOUTS)
def test_settings_exist_and_may_say_what_they_say(layout: str) -> None:
    given = of_kind(layout, "ConfigMap")["stadion-settings"]["data"]
    named = {name.removeprefix("STADION_").lower(): value for name, value in given.items()}
    for template in pods(layout).values():
        for variable in container(template).get("env", []):
            assert variable["name"] == variable["valueFrom"]["secretKeyRef"]["key"]
            assert variable["name"].removeprefix("STADION_").lower() in Settings.model_fields
    assert named.keys() <= Settings.model_fields.keys()
    settings = Settings(**named)
    assert settings.migrate_at_start is False
    mounted = {each["mountPath"] for each in container(next(iter(pods("platform").values())))["volumeMounts"]}
    assert str(settings.keys_path) in mounted
    assert str(settings.data_folder.parent) in mounted


def test_the_router_lets_in_whom_the_platform_lets_in_and_calls_its_own_subgraphs(tmp_path: Path) -> None:
    router = read_settings(FOLDER / "federated" / "router-settings.yaml")
    platform = config_of(Settings(data_folder=tmp_path))
    assert router.client_classes == platform.client_classes
    assert router.demand == platform.demand
    assert router.introspection_by_caller == platform.introspection_by_caller
    assert router.introspection == platform.introspection
    assert router.expose_subgraph_errors == platform.expose_subgraph_errors
    services = of_kind("federated", "Service")
    for name in SUBGRAPHS:
        [port] = services[f"subgraph-{name}"]["spec"]["ports"]
        assert router.subgraphs.by_name[name].url == f"http://subgraph-{name}:{port['port']}/graphql"
        assert container(pods("federated")[f"subgraph-{name}"])["args"][:2] == ["subgraph", name]
    published = ROOT / "schema" / "published" / "supergraph.graphql"
    given = of_kind("federated", "ConfigMap")["stadion-supergraph"]["data"]
    assert given == {"supergraph.graphql": published.read_text()}
    kept = of_kind("federated", "ConfigMap")["stadion-router"]["data"]
    paths = [word.partition("=")[2] for word in container(pods("federated")["router"])["args"]]
    assert f"/etc/stadion/router/{next(iter(kept))}" in paths
    assert "/etc/stadion/supergraph/supergraph.graphql" in paths


@pytest.mark.parametrize("layout", ["federated", "example"])
def test_nothing_but_the_router_reaches_a_subgraph(layout: str) -> None:
    policies = of_kind(layout, "NetworkPolicy")
    closed = policies["stadion-closed"]["spec"]
    assert (closed["policyTypes"], closed.get("ingress")) == (["Ingress", "Egress"], None)
    for name, template in pods(layout).items():
        assert selects(closed["podSelector"]["matchLabels"], template)
        let_in = [
            source
            for each in policies.values()
            if selects(each["spec"]["podSelector"]["matchLabels"], template)
            for rule in each["spec"].get("ingress", [])
            for source in rule["from"]
        ]
        if name != "router":
            only, *others = sorted(let_in, key=lambda each: "podSelector" not in each)
            # Accounts gives programs their tokens, besides.
            assert [*others] == ([INGRESS] if name == "subgraph-accounts" else [])
            chosen = [
                n for n, each in pods(layout).items() if selects(only["podSelector"]["matchLabels"], each)
            ]
            assert chosen == ["router"]
        else:
            assert all("namespaceSelector" in each for each in let_in)
    stores = policies["stadion-to-stores"]["spec"]["podSelector"]["matchLabels"]
    assert not selects(stores, pods(layout)["router"])
    assert all(selects(stores, each) for name, each in pods(layout).items() if name != "router")
    assert "secretRef" not in str(container(pods(layout)["router"])["envFrom"])


def test_the_ingress_leads_to_a_subgraph_for_tokens_alone() -> None:
    [rule] = of_kind("example", "Ingress")["stadion"]["spec"]["rules"]
    led = {each["path"]: each["backend"]["service"]["name"] for each in rule["http"]["paths"]}
    assert led == {"/": "stadion", "/oauth": "subgraph-accounts"}
    assert all(name in of_kind("example", "Service") for name in led.values())


def test_the_readme_names_what_is_there() -> None:
    text = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"deploy/kubernetes/([a-z]+)", text)) - {"README"} <= {
        entry.name for entry in FOLDER.iterdir()
    }
    assert all(f"{name}/" in text for name in LAYOUTS)
    assert all(name in text for name in SECRETS)
    for name in set(re.findall(r"STADION_([A-Z_]+)", text)):
        assert name.lower() in Settings.model_fields
