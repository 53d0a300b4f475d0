"""Makes subgraph sets from a seed: valid and invalid ones, with every directive that merging cares about."""

from __future__ import annotations

from random import Random

from schema.sources import SubgraphSource

_LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable",'
    ' "@external", "@requires", "@provides", "@override", "@inaccessible", "@tag", "@interfaceObject"])'
)
_SCALARS = ("Int", "String", "Boolean", "ID")
_ENTITIES = ("A", "B", "C")


def subgraph_sets(seed: int) -> list[SubgraphSource]:
    """Two to four subgraphs; the same seed gives the same ones."""
    random = Random(seed)
    plan = _Plan(random)
    names = ["one", "two", "three", "four"][: random.randint(2, 4)]
    return [SubgraphSource(name, f"http://{name}/graphql", plan.sdl(name, names)) for name in names]


class _Plan:
    """What the whole graph has; each subgraph takes a part of it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.shape = {
            entity: {f"f{i}": self._type() for i in range(random.randint(2, 4))} for entity in _ENTITIES
        }
        self.arguments = {f"f{i}": self._arguments() if i else "" for i in range(4)}
        self.has_interface = random.random() < 0.5
        self.home_of_interface = random.choice(["one", "two"])
        self.shares = random.choice([1.0, 1.0, 1.0, 0.9])

    def _type(self) -> str:
        base = self.random.choice([*_SCALARS, *_ENTITIES, "V", "E", "U"])
        return self.random.choice([base, base, f"{base}!", f"[{base}]"])

    def _arguments(self) -> str:
        return self.random.choice(["", "", "(x: Int)", "(x: Int = 1)", "(i: I)"])

    def sdl(self, name: str, names: list[str]) -> str:
        types = [self._entity(entity, name, names) for entity in _ENTITIES]
        return "\n".join([_LINK, *types, self._values(), self._interface(name), self._query(name)])

    def _entity(self, entity: str, name: str, names: list[str]) -> str:
        pick = self.random.random
        key = "" if pick() < 0.05 else ' @key(fields: "id")'
        if key and pick() < 0.15:
            key += ' @key(fields: "id f0")' if self.shape[entity]["f0"].strip("!") in _SCALARS else ""
        if key and pick() < 0.04:
            key = key.replace(")", ", resolvable: false)", 1)
        fields = ["id: ID!" + ("" if key else " @shareable")]
        interface = " implements N" if self._knows_interface(name) and entity != "C" else ""
        if interface:
            fields.append("n: Int @shareable")
        for field, type_name in self.shape[entity].items():
            if pick() < 0.5 or ("f0" in key and field == "f0"):
                fields.append(self._field(field, type_name, name, names))
        if pick() < 0.25 and "f1" in self.shape[entity] and not any(f.startswith("f1") for f in fields):
            scalar = self.shape[entity]["f1"]
            if scalar.strip("![]") in _SCALARS:
                fields.append(f"f1{self.arguments['f1']}: {scalar} @external")
                fields.append(f'r{name}: Int @requires(fields: "f1")')
        body = "\n  ".join(fields)
        return f"type {entity}{interface}{key} {{\n  {body}\n}}"

    def _field(self, field: str, type_name: str, name: str, names: list[str]) -> str:
        pick = self.random.random
        if pick() < 0.01:
            type_name = self._type()
        elif pick() < 0.15:
            type_name = type_name.removesuffix("!")
        directives = " @shareable" if pick() < self.shares else ""
        if pick() < 0.07:
            directives += f' @override(from: "{self.random.choice([n for n in names if n != name])}")'
        if pick() < 0.03:
            directives += " @inaccessible"
        if pick() < 0.05:
            directives += f' @tag(name: "{self.random.choice("xyz")}")'
        arguments = self.arguments[field] if pick() < 0.98 or field == "f0" else self._arguments()
        return f"{field}{arguments}: {type_name}{directives}"

    def _knows_interface(self, name: str) -> bool:
        return self.has_interface and name == self.home_of_interface

    def _values(self) -> str:
        pick = self.random.random
        values = "P Q" if pick() < 0.95 else self.random.choice(["P", "Q R", "P Q R @inaccessible"])
        inputs = (
            "a: Int e: E"
            if pick() < 0.95
            else self.random.choice(["a: Int", "a: Int! e: E", "a: Int e: E z: Int"])
        )
        members = "A | B" if pick() < 0.9 else self.random.choice(["A", "A | C", "B | C"])
        value_fields = (
            "v: Int w: String" if pick() < 0.95 else self.random.choice(["v: Int", "v: Int! w: String"])
        )
        return (
            f"enum E {{ {values} }}\ninput I {{ {inputs} }}\nunion U = {members}\n"
            f"type V @shareable {{ {value_fields} }}"
        )

    def _interface(self, name: str) -> str:
        if self._knows_interface(name):
            return "interface N { id: ID! n: Int }\n"
        return ""

    def _query(self, name: str) -> str:
        targets = self.random.sample([*_ENTITIES, "U", "V"], k=2)
        fields = [f"{name}{target}: {target}" for target in targets]
        if self._knows_interface(name):
            fields.append("nodes: [N]")
        fields.append("both(e: E): E @shareable")
        body = "\n  ".join(fields)
        return f"type Query {{\n  {body}\n}}"
