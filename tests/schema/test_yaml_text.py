"""YAML that people write: a key that stands twice is a mistake, not a choice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schema.composition.config import ConfigInvalid, load_supergraph_yaml
from schema.yaml_text import read_yaml


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: {b: 1, b: 2}", "- a: 1\n  'a': 2", "a: {x: 1}\nb: {}\na: {y: 2}"]
)
def test_a_key_that_stands_twice_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"stands twice; keep one[\s\S]*line"):
        read_yaml(text)


def test_what_is_plain_is_read_as_ever() -> None:
    text = "base: &it {a: 1, b: 2}\nown: {<<: *it, b: 3}\nlist: [1, two, null, true]\n"
    assert read_yaml(text) == {
        "base": {"a": 1, "b": 2},
        "own": {"a": 1, "b": 3},
        "list": [1, "two", None, True],
    }
    assert read_yaml("") is None


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.getcwd []", "a: 1\n---\nb: 2", "? [a]\n: 1\n", "a: ["]
)
def test_objects_and_what_is_no_yaml_are_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)


def test_a_subgraph_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    entry = "{routing_url: 'http://a', schema: {sdl: 'type Query { a: Int }'}}"
    file = tmp_path / "supergraph.yaml"
    file.write_text(f"subgraphs:\n  a: {entry}\n  a: {entry}\n")
    with pytest.raises(ConfigInvalid, match="`a` stands twice"):
        load_supergraph_yaml(file)
