"""Subgraph sets drawn by Hypothesis: valid and invalid ones, that shrink to the few lines that matter.

One plan of the whole graph is drawn first; each subgraph takes a part of it, now and then with a twist. The
simplest choice comes first everywhere, so that what is left of a counterexample is what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from schema.sources import SubgraphSource

_LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v{version}", import: ["@key",'
    ' "@shareable", "@external", "@requires", "@provides", "@override", "@inaccessible", "@tag",'
    ' "@interfaceObject"{more}])'
)
_AUTHORIZATION = ', "@authenticated", "@requiresScopes"'
_SCALARS = ("Int", "String", "ID")
_ENTITIES = ("A", "B")
_NAMES = ("one", "two", "three")
_ARGUMENTS = ("", "(x: Int)", "(x: Int = 1)", "(i: I)", "(e: E)")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the graph has: fields of entities with type and arguments, and which features it plays with."""

    fields: dict[str, dict[str, str]]
    names: tuple[str, ...]
    interface_home: str | None
    interface_object: str | None
    has_labels: bool
    has_authorization: bool
    fed1: frozenset[str]


@st.composite
def subgraph_sets(draw: st.DrawFn) -> list[SubgraphSource]:
    """Two or three subgraphs."""
    plan = _plan(draw)
    return [SubgraphSource(name, f"http://{name}/graphql", _sdl(draw, plan, name)) for name in plan.names]


def _plan(draw: Any) -> _Plan:
    names = _NAMES[: 2 + draw(st.integers(0, 1))]
    types = st.sampled_from([*_SCALARS, *_ENTITIES, "V", "E", "U"])
    shapes = st.sampled_from(["{}", "{}!", "[{}]", "[{}!]!"])
    fields = {
        entity: {
            f"f{i}": f"{draw(st.sampled_from(_ARGUMENTS)) if i else ''}: {draw(shapes).format(draw(types))}"
            for i in range(draw(st.integers(1, 3)))
        }
        for entity in _ENTITIES
    }
    home = draw(st.sampled_from([None, *names]))
    away = draw(st.sampled_from([None, *(n for n in names if n != home)])) if home else None
    fed1 = frozenset(n for n in names if n not in (home, away) and _rarely(draw, 6))
    return _Plan(fields, names, home, away, _rarely(draw, 3), _rarely(draw, 4), fed1)


def _rarely(draw: Any, one_in: int) -> bool:
    """True once in so many draws; shrinks to False."""
    return bool(draw(st.integers(0, one_in - 1)) == one_in - 1)


def _sdl(draw: Any, plan: _Plan, name: str) -> str:
    if name == plan.interface_object and not _rarely(draw, 10):
        parts = [_interface(draw, plan, name), f"type Query {{ {name}: N }}"]
    else:
        parts = [_entity(draw, plan, name, entity) for entity in _ENTITIES]
        parts += [_values(draw, plan, name), _interface(draw, plan, name), _query(draw, plan, name)]
    if name not in plan.fed1:
        version = "2.7" if plan.has_labels else "2.5"
        parts.insert(0, _LINK.format(version=version, more=_AUTHORIZATION if plan.has_authorization else ""))
    return "\n".join(part for part in parts if part)


def _entity(draw: Any, plan: _Plan, name: str, entity: str) -> str:
    if _rarely(draw, 8):
        return f'type {entity} @key(fields: "id") {{ id: ID! }}'
    key = "" if _rarely(draw, 16) else ' @key(fields: "id")'
    if key and _rarely(draw, 8):
        key = ' @key(fields: "id", resolvable: false)' if _rarely(draw, 2) else key + ' @key(fields: "id f0")'
    is_fed1 = name in plan.fed1
    lines = ["id: ID!" + ("" if key or is_fed1 else " @shareable")]
    shape = plan.fields[entity]
    lines += [
        f"{field}{_type(draw, shape[field])}{_directives(draw, plan, name)}"
        for field in shape
        if draw(st.booleans()) or (field == "f0" and "f0" in key)
    ]
    if "f1" in shape and not any(line.startswith("f1") for line in lines) and _rarely(draw, 4):
        lines += [f"f1{shape['f1']} @external", f'r{name}: Int @requires(fields: "{_picked(shape["f1"])}")']
    implements = " implements N" if plan.interface_home == name else ""
    lines += [f"n: Int{'' if is_fed1 else ' @shareable'}"] if implements else []
    return f"type {entity}{implements}{key} {{\n  " + "\n  ".join(lines) + "\n}"


def _picked(written: str) -> str:
    """How a field set picks `f1` of this type."""
    base = written.rpartition(":")[2].strip(" []!")
    inner = {"A": " { id }", "B": " { id }", "V": " { v }", "U": " { __typename }"}
    return f"f1{inner.get(base, '')}"


def _type(draw: Any, written: str) -> str:
    if _rarely(draw, 12):
        return written.removesuffix("!")
    if _rarely(draw, 30):
        return draw(st.sampled_from([": Int", "(x: Int!): Int", "(x: Int = 2): String", ": [A]", ": V!"]))
    return written


def _directives(draw: Any, plan: _Plan, name: str) -> str:
    if name in plan.fed1:
        return ""
    found = "" if _rarely(draw, 20) else " @shareable"
    if _rarely(draw, 10):
        label = ', label: "l"' if plan.has_labels and draw(st.booleans()) else ""
        others = [other for other in _NAMES if other != name or _rarely(draw, 10)]
        found += f' @override(from: "{draw(st.sampled_from(others))}"{label})'
    found += " @inaccessible" if _rarely(draw, 25) else ""
    found += f' @tag(name: "{draw(st.sampled_from("xy"))}")' if _rarely(draw, 12) else ""
    if plan.has_authorization and _rarely(draw, 6):
        found += draw(st.sampled_from([" @authenticated", ' @requiresScopes(scopes: [["s"], ["t"]])']))
    return found


def _values(draw: Any, plan: _Plan, name: str) -> str:
    def twist(usual: str, *others: str) -> str:
        return draw(st.sampled_from(others)) if _rarely(draw, 12) else usual

    values = twist("P Q", "P", "Q R", 'P Q R @tag(name: "r")') if name not in plan.fed1 else "P Q"
    inputs = twist(
        "a: Int e: E = P", "a: Int", "a: Int! e: E = P", "a: Int e: E z: Int = 3", "a: Int e: E = Q"
    )
    members = twist("A | B", "A", "A | V", "B | V")
    fields = twist("v: Int w: String", "v: Int", "v: Int! w: String", "v: Int w: [String]")
    shareable = "" if name in plan.fed1 else " @shareable"
    return (
        f"enum E {{ {values} }}\ninput I {{ {inputs} }}\nunion U = {members}\n"
        f"type V{shareable} {{ {fields} }}"
    )


def _interface(draw: Any, plan: _Plan, name: str) -> str:
    if plan.interface_home == name:
        key = ' @key(fields: "id")' if plan.interface_object else ""
        return f"interface N{key} {{ id: ID! n: Int }}"
    if plan.interface_object == name:
        more = "" if _rarely(draw, 4) else f" m: Int{_directives(draw, plan, name)}"
        return f'type N @key(fields: "id") @interfaceObject {{ id: ID!{more} }}'
    return ""


def _query(draw: Any, plan: _Plan, name: str) -> str:
    targets = draw(st.lists(st.sampled_from(["A", "B", "U", "V"]), min_size=1, max_size=2, unique=True))
    lines = [f"{name}{target}: {target}" for target in targets]
    lines += ["nodes: [N]"] if plan.interface_home == name else []
    shareable = "" if name in plan.fed1 else " @shareable"
    lines.append(f"both(e: E, i: I): E{shareable}" if draw(st.booleans()) else f"{name}: Int")
    return "type Query {\n  " + "\n  ".join(lines) + "\n}"
