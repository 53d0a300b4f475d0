"""What is checked in under `schema/published/` is what the subgraphs compose to today."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from authz.classes import DataClass
from deploy.endpoint import PUBLISHED
from deploy.publish_command import published_artefacts
from router.operation.requirements import Classified, requirements_of
from schema.supergraph import read_supergraph


@pytest.fixture(scope="module")
def artefacts() -> Mapping[str, str]:
    return published_artefacts()


def test_the_published_sdls_have_not_drifted(artefacts: Mapping[str, str]) -> None:
    drifted = [
        name
        for name, text in artefacts.items()
        if not (PUBLISHED / name).is_file() or (PUBLISHED / name).read_text(encoding="utf-8") != text
    ]
    assert drifted == [], "run `stadion publish` and commit what it wrote"
    assert {file.name for file in PUBLISHED.glob("*.graphql")} == set(artefacts)


def test_every_field_of_the_graph_has_a_data_class(artefacts: Mapping[str, str]) -> None:
    supergraph = read_supergraph(artefacts["supergraph.graphql"])
    requirements = requirements_of(supergraph)
    unclassified = []
    for name, kind in supergraph.api_schema.type_map.items():
        if name.startswith("__") or not hasattr(kind, "fields") or not hasattr(kind, "interfaces"):
            continue
        for field in kind.fields:
            classes = [one for one in requirements.of(name, field) if isinstance(one, Classified)]
            public = not requirements.of(name, field)
            if not classes and not public:
                unclassified.append(f"{name}.{field}")
    assert unclassified == []
    assert {
        one.data_class
        for name, kind in supergraph.api_schema.type_map.items()
        if hasattr(kind, "interfaces")
        for field in kind.fields
        for one in requirements.of(name, field)
        if isinstance(one, Classified)
    } >= {DataClass.CLINICAL, DataClass.TRAINING, DataClass.LOCATION, DataClass.SECURITY}
