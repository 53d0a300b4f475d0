"""What `deploy/kubernetes` sends to a cluster."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any, TypeAlias

import yaml

from tests.kit_platform.process import ROOT
from tests.servers.absent import absent
from tests.servers.deploy_tools import kustomize
from tests.servers.programs import ServerAbsent

FOLDER = ROOT / "deploy" / "kubernetes"
Object: TypeAlias = dict[str, Any]


@cache
def rendered(layout: str) -> tuple[Object, ...]:
    """The objects of a folder, as they are sent to a cluster."""
    try:
        command = kustomize()
    except ServerAbsent as why:
        absent(why)
    done = subprocess.run([*command, FOLDER / layout], check=True, capture_output=True, timeout=60)
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(layout: str, *kinds: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in rendered(layout) if each["kind"] in kinds}


def pods(layout: str) -> dict[str, Object]:
    """Each workload's template."""
    return {name: each["spec"]["template"] for name, each in of_kind(layout, "Deployment", "Job").items()}


def container(template: Object) -> Object:
    [found] = template["spec"]["containers"]
    return dict(found)
