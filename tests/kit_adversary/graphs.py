"""Random federated graphs: a world schema, cut into subgraphs in all the ways that federation allows."""

from __future__ import annotations

from random import Random

from tests.kit_adversary.draw_directives import (
    draw_federation_1,
    draw_interface_object,
    draw_override,
    draw_provision,
    draw_requirement,
)
from tests.kit_adversary.drawing import KEY_FIELDS, KEYS, SCALARS, Cut, Drawing, Part, wrapped

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v{version}", import: ["@key", "@tag",'
    ' "@shareable", "@external", "@requires", "@provides", "@override", "@inaccessible", "@interfaceObject"])'
)


def draw_graph(seed: int) -> dict[str, str]:
    """Subgraph name → SDL; most sets compose, some are refused."""
    drawing = Drawing(Random(seed))
    random = drawing.random
    drawing.graphs = {name: {"Query": Part()} for name in "abcde"[: random.randint(2, 5)]}
    drawing.version = random.choice(["2.0", "2.3", "2.3", "2.5", "2.7", "2.9"])
    _draw_world(drawing)
    _cut_entities(drawing)
    _cut_fields(drawing)
    _cut_roots(drawing)
    for _ in range(random.randint(0, 3)):
        draw_requirement(drawing)
    for _ in range(random.randint(0, 2)):
        draw_provision(drawing)
    if drawing.chance(0.35):
        draw_override(drawing)
    if drawing.chance(0.35):
        draw_interface_object(drawing)
    if drawing.chance(0.25):
        draw_federation_1(drawing)
    _finish_interfaces(drawing)
    if drawing.chance(0.95):
        _share(drawing)
    if drawing.chance(0.2):
        _hide(drawing)
    return {name: _print(drawing, name) for name in drawing.graphs}


def _draw_world(it: Drawing) -> None:
    random = it.random
    it.entities = [f"E{i}" for i in range(random.randint(2, 4))]
    it.values = [f"V{i}" for i in range(random.randint(0, 2))]
    objects = it.entities + it.values
    for i in range(random.randint(0, 2)):
        it.members[f"Face{i}"] = it.some(it.entities, 1)
    for i in range(random.randint(0, 2)):
        it.members[f"Any{i}"] = it.some(objects, 2, 4)
    composites = objects + list(it.members)
    for type_name in objects:
        fields: dict[str, tuple[str, str]] = {}
        for i in range(random.randint(2, 5) if type_name in it.entities else random.randint(1, 3)):
            base = random.choice(composites) if it.chance(0.4) else random.choice(SCALARS)
            arguments = random.choice(["(n: Int)", "(n: Int = 3)", "(c: Color!)"]) if it.chance(0.12) else ""
            # one name in two types now and then, so that fragments meet under one response key
            name = f"f{i}" if it.chance(0.3) else f"{type_name.lower()}f{i}"
            fields[name] = (wrapped(it, base), arguments)
        it.fields_of[type_name] = fields
    for face, members in it.members.items():
        if face.startswith("Face"):
            for i in range(random.randint(0, 2)):
                type_text = wrapped(it, random.choice(SCALARS + tuple(composites)))
                for member in members:
                    it.fields_of[member][f"{face.lower()}c{i}"] = (type_text, "")


def _cut_entities(it: Drawing) -> None:
    """Each entity has `id` everywhere, or a chain of keys of which two neighbours share one."""
    for type_name in it.entities:
        homes = it.some(list(it.graphs), 1)
        it.random.shuffle(homes)
        chain = it.chance(0.3)
        ring = it.random.sample(KEYS, len(homes)) if chain else []
        for i, graph in enumerate(homes):
            keys = ring[max(0, i - 1) : i + 1] if chain else ["id"]
            if not chain and it.chance(0.3):
                keys.append(it.random.choice(KEYS))
            it.random.shuffle(keys)
            for one in dict.fromkeys(keys):
                it.add_key(graph, type_name, one)
            it.graphs[graph][type_name].resolvable = not it.chance(0.03)
        it.ways_in[type_name] = ring[:-1] or ring or ["id"]


def _cut_fields(it: Drawing) -> None:
    graphs = list(it.graphs)
    for type_name in it.entities:
        for name in it.fields_of[type_name]:
            there = [g for g in graphs if type_name in it.graphs[g] and it.graphs[g][type_name].resolvable]
            owners = it.some(there or graphs, 1, 1 if it.chance(0.7) else 3)
            for graph in owners:
                it.part(graph, type_name)
                it.put(graph, type_name, name, ["@shareable"] if len(owners) > 1 else [])


def _cut_roots(it: Drawing) -> None:
    fields = it.fields_of["Query"] = {}
    composites = it.entities + it.values + list(it.members)
    for graph in it.graphs:
        for i in range(it.random.randint(1, 3)):
            base = it.random.choice(composites) if it.chance(0.92) else it.random.choice(SCALARS)
            fields[f"{graph}{i}"] = (wrapped(it, base), "(n: Int)" if it.chance(0.1) else "")
            it.put(graph, "Query", f"{graph}{i}", [])
    if it.chance(0.5):
        fields["shared"] = (wrapped(it, it.random.choice(composites)), "")
        for graph in it.some(list(it.graphs), 2):
            it.put(graph, "Query", "shared", ["@shareable"])
    if it.chance(0.2):
        fields = it.fields_of["Mutation"] = {}
        for i in range(it.random.randint(1, 3)):
            fields[f"do{i}"] = (wrapped(it, it.random.choice(composites)), "")
            it.put(it.random.choice(list(it.graphs)), "Mutation", f"do{i}", [])


def _finish_interfaces(it: Drawing) -> None:
    for parts in it.graphs.values():
        for name, part in list(parts.items()):
            if part.kind != "interface":
                continue
            common = set.intersection(*(set(parts[m].fields) for m in part.members))
            for member in part.members:
                parts[member].implements.add(name)
            first = parts[min(part.members)]
            for one in sorted(common):
                texts = {parts[m].fields[one].type_text for m in part.members}
                arguments = {parts[m].fields[one].arguments for m in part.members}
                shown = one in part.keys or one in ("id", "asked") or one.startswith(name.lower())
                if len(texts) == 1 and len(arguments) == 1 and (shown or it.chance(0.3)):
                    part.fields[one] = Cut(first.fields[one].type_text, first.fields[one].arguments)
            if not part.fields:
                # an interface cannot be empty, and a field of all is at hand
                for member in part.members:
                    _add_key_field(parts[member])
                part.fields["id"] = Cut("ID!")


def _add_key_field(part: Part) -> None:
    part.fields.setdefault("id", Cut("ID!", "", [] if "id" in part.keys else ["@shareable"]))


def _share(it: Drawing) -> None:
    """Marks what several subgraphs resolve."""
    for type_name in sorted({name for parts in it.graphs.values() for name in parts}):
        having: dict[str, list[str]] = {}
        provided: set[str] = set()
        for graph, parts in it.graphs.items():
            for name, cut in parts.get(type_name, Part()).fields.items():
                if not cut.external:
                    having.setdefault(name, []).append(graph)
                elif it.chance(0.98):
                    provided.add(name)
        for name, graphs in having.items():
            cuts = [it.graphs[g][type_name].fields[name] for g in graphs]
            overridden = any("@override" in d for c in cuts for d in c.directives)
            for graph, cut in zip(graphs, cuts, strict=True):
                part = it.graphs[graph][type_name]
                in_key = name in KEY_FIELDS and any(name in k.split() for k in part.keys)
                fits = part.kind == "type" and graph not in it.federation_1 and not in_key
                many = name in provided or len(graphs) > (2 if overridden else 1)
                if many and fits and "@shareable" not in cut.directives:
                    cut.directives.append("@shareable")


def _hide(it: Drawing) -> None:
    graph = it.random.choice([g for g in it.graphs if g not in it.federation_1] or [""])
    spots = [
        cut
        for type_name, part in it.graphs.get(graph, {}).items()
        if part.kind == "type" and type_name != "Query"
        for name, cut in part.fields.items()
        if len(part.fields) > 1 and not cut.external
    ]
    if spots:
        it.random.choice(spots).directives.append("@inaccessible")


def _print(it: Drawing, graph: str) -> str:
    lines = (
        []
        if graph in it.federation_1
        else [LINK.format(version=it.version if it.version != "2.0" else "2.3")]
    )
    parts = it.graphs[graph]
    if any("Color" in c.type_text + c.arguments for p in parts.values() for c in p.fields.values()):
        lines.append("enum Color { RED GREEN BLUE }")
    for name, part in parts.items():
        if part.kind == "union":
            lines.append(f"union {name} = {' | '.join(sorted(part.members))}")
            continue
        if not part.fields:
            continue
        head = f"{part.kind} {name}"
        if part.implements:
            head += f" implements {' & '.join(sorted(part.implements))}"
        for key in part.keys:
            head += f' @key(fields: "{key}"{"" if part.resolvable else ", resolvable: false"})'
        if part.object_of_interface:
            head += " @interfaceObject"
        extended = graph in it.federation_1 and part.keys and it.chance(0.6)
        lines.append(("extend " if extended else "") + head + " {")
        for field_name, cut in part.fields.items():
            directives = list(cut.directives)
            if extended and field_name in " ".join(part.keys).split() and not directives:
                directives.append("@external")
            lines.append(f"  {field_name}{cut.arguments}: {' '.join([cut.type_text, *directives])}")
        lines.append("}")
    return "\n".join(lines) + "\n"
