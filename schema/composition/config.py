"""Reads the `supergraph.yaml` that Federation users know: which subgraphs, at which address, from which
file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from schema.sources import SubgraphSource
from schema.yaml_text import read_yaml


class ConfigInvalid(Exception):
    """The file cannot be read as a composition configuration."""


def load_supergraph_yaml(path: Path | str) -> list[SubgraphSource]:
    """The subgraphs that the file lists; schema files are looked up beside it.

    Each entry is `NAME: {routing_url, schema: {file}}`, with `schema: {sdl}` or a plain `schema: file` as
    well.
    Errors: ConfigInvalid, with what to correct.
    """
    path = Path(path)
    config = _read_yaml(path)
    subgraphs = config.get("subgraphs")
    if not isinstance(subgraphs, Mapping) or not subgraphs:
        raise ConfigInvalid(f"`{path}` lists no subgraphs: add `subgraphs:` with an entry for each")
    return [_source(path.parent, str(name), entry) for name, entry in subgraphs.items()]


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        config = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(f"cannot read `{path}`: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"`{path}` is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, Mapping):
        raise ConfigInvalid(f"`{path}` must be a mapping with `subgraphs:`")
    return config


def _source(folder: Path, name: str, entry: object) -> SubgraphSource:
    if not isinstance(entry, Mapping):
        raise ConfigInvalid(f"subgraph `{name}` must be a mapping with `routing_url` and `schema`")
    url = entry.get("routing_url", "")
    if not isinstance(url, str):
        raise ConfigInvalid(f"`routing_url` of subgraph `{name}` must be a string")
    return SubgraphSource(name, url, _sdl(folder, name, entry.get("schema")))


def _sdl(folder: Path, name: str, schema: object) -> str:
    file: object = schema
    if isinstance(schema, Mapping):
        sdl = schema.get("sdl")
        if isinstance(sdl, str):
            return sdl
        file = schema.get("file")
    if not isinstance(file, str):
        raise ConfigInvalid(
            f"subgraph `{name}` needs `schema: {{file: …}}`; fetching a schema by URL is not supported"
        )
    try:
        return (folder / file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigInvalid(
            f"cannot read the schema of subgraph `{name}`, `{file}`: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"the schema of subgraph `{name}`, `{file}`, is not UTF-8") from None
