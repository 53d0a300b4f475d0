"""A federated graph while it is drawn: how each subgraph has each type and field."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

KEYS = ("id", "sku", "id sku", "ref { code }", "sku ref { code zone }", "tags", "parts { pid }")
KEY_FIELDS = {
    "id": "ID!",
    "sku": "Int!",
    "ref": "Ref!",
    "tags": "[String!]!",
    "parts": "[Part!]!",
}
SCALARS = ("Int", "String", "Boolean", "Float", "Color", "ID")


@dataclass
class Cut:
    """How one subgraph has one field."""

    type_text: str
    arguments: str = ""
    directives: list[str] = field(default_factory=list)

    @property
    def external(self) -> bool:
        """Whether the subgraph only names the field."""
        return "@external" in self.directives


@dataclass
class Part:
    """How one subgraph has one type."""

    kind: str = "type"
    keys: list[str] = field(default_factory=list)
    resolvable: bool = True
    implements: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    fields: dict[str, Cut] = field(default_factory=dict)
    object_of_interface: bool = False


def named(type_text: str) -> str:
    """The type without lists and marks."""
    return type_text.strip("[]!")


@dataclass
class Drawing:
    """A federated graph while it is drawn; `subgraphs` are the SDLs in the end."""

    random: Random
    entities: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    graphs: dict[str, dict[str, Part]] = field(default_factory=dict)
    fields_of: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    ways_in: dict[str, list[str]] = field(default_factory=dict)
    federation_1: set[str] = field(default_factory=set)
    version: str = "2.3"

    def chance(self, share: float) -> bool:
        """True in this share of draws."""
        return self.random.random() < share

    def some(self, names: list[str], at_least: int = 1, at_most: int | None = None) -> list[str]:
        """A part of the names, in order."""
        count = self.random.randint(min(at_least, len(names)), min(at_most or len(names), len(names)))
        return sorted(self.random.sample(sorted(names), count))

    def part(self, graph: str, type_name: str) -> Part:
        """The type in the subgraph; made there as a stub or a shared value if it is not yet there."""
        parts = self.graphs[graph]
        if type_name not in parts:
            parts[type_name] = Part()
            if type_name in self.entities:
                self.add_key(graph, type_name, self.random.choice(self.ways_in.get(type_name, ["id"])))
                parts[type_name].resolvable = False
            elif type_name in self.values:
                whole = self.fields_of[type_name]
                for name in whole if self.chance(0.92) else self.some(list(whole)):
                    self.put(graph, type_name, name, ["@shareable"])
        return parts[type_name]

    def add_key(self, graph: str, type_name: str, key: str) -> None:
        """The key and its fields into the subgraph's type."""
        part = self.graphs[graph].setdefault(type_name, Part())
        if key not in part.keys:
            part.keys.append(key)
        for name in KEY_FIELDS:
            if name in key.split():
                part.fields[name] = Cut(KEY_FIELDS[name])
                if name == "ref":
                    ref = self.graphs[graph].setdefault("Ref", Part())
                    ref.fields.update({n: Cut("String!", "", ["@shareable"]) for n in ("code", "zone")})
                if name == "parts":
                    item = self.graphs[graph].setdefault("Part", Part())
                    item.fields["pid"] = Cut("Int!", "", ["@shareable"])

    def put(self, graph: str, type_name: str, name: str, directives: list[str]) -> Cut:
        """The field into the subgraph, with the types it needs there."""
        type_text, arguments = self.fields_of[type_name][name]
        part = self.graphs[graph].setdefault(type_name, Part())
        if name in part.fields and name in KEY_FIELDS:
            return part.fields[name]
        if name in part.fields and not part.fields[name].external:
            return part.fields[name]
        cut = part.fields[name] = Cut(type_text, arguments, list(directives))
        if "@external" not in directives and type_text.endswith("!") and self.chance(0.06):
            cut.type_text = type_text[:-1]
        self.need(graph, named(type_text))
        return cut

    def need(self, graph: str, type_name: str) -> None:
        """The type in the subgraph, however small."""
        if type_name in self.entities or type_name in self.values:
            self.part(graph, type_name)
        elif type_name.startswith(("Face", "Any")) and type_name not in self.graphs[graph]:
            part = self.graphs[graph][type_name] = Part("interface" if type_name[0] == "F" else "union")
            part.members = set(self.some(self.members[type_name], 1 if self.chance(0.3) else 2))
            for member in sorted(part.members):
                self.part(graph, member)


def wrapped(it: Drawing, base: str) -> str:
    """The type in lists and with marks, as drawn."""
    marks = ("{}", "{}", "{}!", "[{}]", "[{}!]", "[{}!]!") if it.chance(0.95) else ("[[{}]]",)
    if base in it.values or base in it.entities:
        marks = ("{}", "{}", "[{}]", "[{}!]!")
    return it.random.choice(marks).format(base)
