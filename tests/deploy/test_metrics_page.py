"""Every metric that any package counts is on a page: the router's on its own, others on that of subgraphs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import authz
import datastores
import deploy
import subgraphs
from router import reference
from router.telemetry import instruments

ROOT = Path(deploy.__file__).parents[1]


def test_what_is_counted_outside_the_router_is_on_the_page_of_subgraphs_as_it_is() -> None:
    for package in (authz, datastores, deploy, subgraphs):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations." not in module.name and not module.name.endswith("__main__"):
                import_module(module.name)
    of_router = {one.name for one in reference.metrics()}
    others = [one for one in instruments if one.name not in of_router]
    assert {one.name for one in others} == {"stadion.subgraph.selection.declined"}
    page = (ROOT / "subgraphs" / "README.md").read_text(encoding="utf-8")
    for one in others:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        assert f"| `{one.name}` | {labels} | {one.kind}: {one.description} |" in page
