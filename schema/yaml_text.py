"""YAML that people write, as plain values: no objects, and no key that takes another's place unseen."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import ConstructorError


class _Plain(yaml.SafeLoader):
    """YAML's safe loader takes the last of equal keys; this one refuses the second."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Errors: ConstructorError, where a key stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise ConstructorError(None, None, f"`{key.value}` stands twice; keep one", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """What the text says. Errors: yaml.YAMLError, with its place."""
    return yaml.load(text, _Plain)  # noqa: S506  # the loader is a safe one
