"""Reads the `@link`s of a schema: which specifications it uses, in which version and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import (
    DirectiveNode,
    EnumValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from schema.composition.parse.place import place
from schema.composition.subgraph import Import, Link
from schema.federation.directives import FEDERATION_DIRECTIVES, FEDERATION_SCALARS, OWN_SPECS
from schema.federation.urls import (
    CORE_IDENTITY,
    FEDERATION_IDENTITY,
    FEDERATION_MINOR_MAX,
    LINK_IDENTITY,
    Version,
    feature_url,
    is_namespace,
)
from schema.problems import Location, Problem

FED1 = Version(1, 0)


def read_links(
    subgraph: str, directives: Iterable[DirectiveNode], problems: list[Problem]
) -> tuple[Link, ...]:
    """All links of the schema, the link to the link specification included when it is written."""
    nodes = list(directives)
    names = _link_directive_names(nodes)
    links = [
        link
        for node in nodes
        if node.name.value in names and (link := _read_link(subgraph, node, problems)) is not None
    ]
    _check_conflicts(links, problems)
    return tuple(links)


def federation_version(links: tuple[Link, ...], problems: list[Problem]) -> Version:
    """The Federation version that the links choose; 1.0 when there is none."""
    for link in links:
        if link.url.identity != FEDERATION_IDENTITY:
            continue
        version = link.url.version
        if version is None or version.major != 2 or version.minor > FEDERATION_MINOR_MAX:
            problems.append(
                Problem(
                    "UNKNOWN_FEDERATION_LINK_VERSION",
                    f"`{link.url}` is no version of the federation specification known here",
                    locations=(link.at,),
                    mend=f"link a version from v2.0 to v2.{FEDERATION_MINOR_MAX}",
                )
            )
            return Version(2, FEDERATION_MINOR_MAX)
        return version
    return FED1


def canonical_directives(links: tuple[Link, ...], version: Version) -> dict[str, str]:
    """Written name → canonical name, for each specification directive that this schema may use."""
    if version.major == 1:
        names = {name: name for name, spec in FEDERATION_DIRECTIVES.items() if spec.in_fed1}
    else:
        names = {}
    for link in links:
        for name in _directives_of(link, version):
            names[link.written(f"@{name}")[1:]] = name
    return names


def spec_type_names(links: tuple[Link, ...]) -> frozenset[str]:
    """Names of types that the specifications own in this schema: never merged."""
    names: set[str] = set()
    for link in links:
        if link.url.identity in OWN_SPECS or link.url.identity == FEDERATION_IDENTITY:
            names.update(link.written(scalar) for scalar in FEDERATION_SCALARS)
        if link.url.identity == LINK_IDENTITY:
            names.update(link.written(element) for element in ("Import", "Purpose"))
    return frozenset(names)


def _directives_of(link: Link, version: Version) -> Iterator[str]:
    if link.url.identity == FEDERATION_IDENTITY:
        yield from (name for name, spec in FEDERATION_DIRECTIVES.items() if spec.since <= version)
    else:
        yield from OWN_SPECS.get(link.url.identity, ())


def _link_directive_names(nodes: list[DirectiveNode]) -> frozenset[str]:
    names = {"link", "core"}
    for node in nodes:
        url = _string(node, "url") or _string(node, "feature")
        identity = feature_url(url).identity if url else None
        if identity in (LINK_IDENTITY, CORE_IDENTITY):
            names.add(_string(node, "as") or identity.rsplit("/", 1)[-1])
    return frozenset(names)


def _read_link(subgraph: str, node: DirectiveNode, problems: list[Problem]) -> Link | None:
    at = place(subgraph, node)
    text = _string(node, "url") or _string(node, "feature")
    if text is None:
        problems.append(_misuse("`@link` needs a `url`", at, 'write `@link(url: "https://…/name/v1.0")`'))
        return None
    url = feature_url(text)
    namespace = _string(node, "as")
    if namespace is not None and not is_namespace(namespace):
        problems.append(
            Problem(
                "INVALID_LINK_IDENTIFIER",
                f"`{namespace}` cannot be the namespace of `{url}`",
                "schema",
                (at,),
                "use a GraphQL name without `__`, not ending in `_`",
            )
        )
    if url.identity == LINK_IDENTITY and (url.version is None or url.version > Version(1, 0)):
        problems.append(
            Problem(
                "UNKNOWN_LINK_VERSION", f"`{url}` is not known here", "schema", (at,), "link `…/link/v1.0`"
            )
        )
    imports = tuple(_imports(node, at, problems))
    link = Link(url, namespace, _enum(node, "for"), imports, at)
    _check_imports(link, problems)
    return link


def _imports(node: DirectiveNode, at: Location, problems: list[Problem]) -> Iterator[Import]:
    value = _argument(node, "import")
    if value is None or isinstance(value, NullValueNode):
        return
    for item in value.values if isinstance(value, ListValueNode) else (value,):
        read = _import(item)
        if read is None:
            problems.append(
                _misuse("an import is a name, or `{name: …, as: …}`", at, 'write `import: ["@key"]`')
            )
        elif read.name.startswith("@") != read.alias.startswith("@"):
            problems.append(
                _misuse(
                    f"`{read.name}` cannot be imported as `{read.alias}`",
                    at,
                    "directives carry `@` in both names",
                )
            )
        else:
            yield read


def _import(item: ValueNode) -> Import | None:
    if isinstance(item, StringValueNode):
        return Import(item.value, item.value)
    if not isinstance(item, ObjectValueNode):
        return None
    parts = {f.name.value: f.value.value for f in item.fields if isinstance(f.value, StringValueNode)}
    name = parts.get("name")
    return Import(name, parts.get("as", name)) if name else None


def _check_imports(link: Link, problems: list[Problem]) -> None:
    if link.url.identity != FEDERATION_IDENTITY:
        return
    version = link.url.version or Version(2, 0)
    for imported in link.imports:
        since = _since(imported.name)
        if since is None or since > version:
            why = (
                "is not an element of the federation specification" if since is None else f"came with {since}"
            )
            problems.append(
                _misuse(
                    f"cannot import `{imported.name}` from `{link.url}`: it {why}",
                    link.at,
                    "correct the name" if since is None else f"link federation {since} or later",
                )
            )


def _since(element: str) -> Version | None:
    if element.startswith("@"):
        spec = FEDERATION_DIRECTIVES.get(element[1:])
        return None if spec is None else spec.since
    return FEDERATION_SCALARS.get(element)


def _check_conflicts(links: list[Link], problems: list[Problem]) -> None:
    seen: dict[str, Link] = {}
    for link in links:
        other = seen.setdefault(link.url.identity, link)
        if other is not link:
            problems.append(
                Problem(
                    "INVALID_LINK_DIRECTIVE_USAGE",
                    f"`{link.url.identity}` is linked twice",
                    locations=(other.at, link.at),
                    mend="keep one of the two links",
                )
            )


def _misuse(message: str, at: Location, mend: str) -> Problem:
    return Problem("INVALID_LINK_DIRECTIVE_USAGE", message, "schema", (at,), mend)


def _argument(node: DirectiveNode, name: str) -> ValueNode | None:
    return next((a.value for a in node.arguments or () if a.name.value == name), None)


def _string(node: DirectiveNode, name: str) -> str | None:
    value = _argument(node, name)
    return value.value if isinstance(value, StringValueNode) else None


def _enum(node: DirectiveNode, name: str) -> str | None:
    value = _argument(node, name)
    return value.value if isinstance(value, EnumValueNode | StringValueNode) else None
