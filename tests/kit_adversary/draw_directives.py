"""What federation adds to a drawn graph: requirements, provisions, overrides, interface objects, old SDL."""

from __future__ import annotations

from tests.kit_adversary.drawing import KEY_FIELDS, SCALARS, Cut, Drawing, Part, named, wrapped


def _selection(
    it: Drawing, graph: str, type_name: str, depth: int, *, arguments_too: bool = True
) -> str | None:
    """A field set on the type whose leaves become external in the subgraph; None where nothing suits."""
    part = it.graphs[graph].get(type_name)
    if part is None or part.kind == "union":
        return None
    names = [
        name
        for name, cut in it.fields_of[type_name].items()
        if (name not in part.fields or part.fields[name].external)
        and any(name in g[type_name].fields for g in it.graphs.values() if type_name in g)
    ]
    it.random.shuffle(names)
    for name in names:
        type_text, arguments = it.fields_of[type_name][name]
        base, given = named(type_text), ""
        if arguments and not arguments_too:
            continue
        if arguments:
            given = {"(c: Color!)": "(c: RED)"}.get(arguments, "(n: 7)")
        if base in SCALARS:
            it.put(graph, type_name, name, ["@external"])
            return f"{name}{given}"
        below = None
        if depth > 0:
            existed = base in it.graphs[graph]
            it.need(graph, base)
            below = _below(it, graph, base, depth - 1, existed)
        if below is not None:
            it.put(graph, type_name, name, ["@external"])
            return f"{name}{given} {{ {below} }}"
    return None


def _below(it: Drawing, graph: str, base: str, depth: int, existed: bool) -> str | None:
    if base in it.values:
        names = [n for n, c in it.graphs[graph][base].fields.items() if named(c.type_text) in SCALARS]
        bare = [n for n in names if not it.fields_of[base][n][1]]
        return it.random.choice(bare) if bare else None
    if base in it.entities:
        if it.chance(0.4):
            keys = [k for k in it.graphs[graph][base].fields if k in ("id", "sku")]
            return keys[0] if keys else None
        return _selection(it, graph, base, depth)
    parts = []
    for member in it.some(sorted(it.graphs[graph][base].members), 1, 2):
        if member in it.entities:
            inside = _below(it, graph, member, depth, existed)
            if inside is not None:
                parts.append(f"... on {member} {{ {inside} }}")
    return " ".join(parts) or None


def draw_requirement(it: Drawing) -> None:
    """A field that requires what other subgraphs have, also nested, with arguments and through fragments."""
    graph = it.random.choice(list(it.graphs))
    there = [n for n, p in it.graphs[graph].items() if n in it.entities and p.resolvable]
    if not there:
        return
    type_name = it.random.choice(there)
    chosen = {_selection(it, graph, type_name, 2) for _ in range(it.random.randint(1, 2))}
    texts = sorted(text for text in chosen if text)
    if len({text.split("(")[0].split(" ")[0] for text in texts}) < len(texts) or not texts:
        texts = texts[:1]
    if texts:
        number = sum(len(f) for f in it.fields_of.values())
        name = f"r{number}"
        it.fields_of[type_name][name] = (wrapped(it, it.random.choice(SCALARS)), "")
        it.put(graph, type_name, name, [f'@requires(fields: "{" ".join(texts)}")'])


def draw_provision(it: Drawing) -> None:
    """A path that provides what its subgraph has not, also by member."""
    graph = it.random.choice(list(it.graphs))
    spots = [
        (type_name, name)
        for type_name, part in it.graphs[graph].items()
        for name, cut in part.fields.items()
        if name not in KEY_FIELDS
        and not cut.external
        and not any("@provides" in d for d in cut.directives)
        and (named(cut.type_text) in it.entities or named(cut.type_text) in it.members)
    ]
    if not spots:
        return
    type_name, name = it.random.choice(spots)
    cut = it.graphs[graph][type_name].fields[name]
    base = named(cut.type_text)
    if base in it.entities:
        text = _selection(it, graph, base, 1, arguments_too=False)
    else:
        parts = []
        for member in it.some(sorted(it.graphs[graph][base].members), 1, 2):
            inside = _selection(it, graph, member, 0, arguments_too=False) if member in it.entities else None
            if inside:
                parts.append(f"... on {member} {{ {inside} }}")
        text = " ".join(parts)
    if text:
        cut.directives.append(f'@provides(fields: "{text}")')


def draw_override(it: Drawing) -> None:
    """A field that moves to another subgraph."""
    spots = [
        (graph, type_name, name)
        for graph, parts in it.graphs.items()
        for type_name, part in parts.items()
        if type_name in it.entities
        for name, cut in part.fields.items()
        if name not in KEY_FIELDS and not cut.directives
    ]
    if not spots:
        return
    graph, type_name, name = it.random.choice(spots)
    others = [g for g in it.graphs if g != graph and type_name in it.graphs[g]]
    others = [g for g in others if name not in it.graphs[g][type_name].fields]
    if others:
        target = it.random.choice(others)
        it.put(target, type_name, name, [f'@override(from: "{graph}")'])


def draw_interface_object(it: Drawing) -> None:
    """An interface object beside the whole interface, now and then with a requirement."""
    faces = [face for face in it.members if face.startswith("Face")]
    if not faces or it.version == "2.0":
        return
    face = it.random.choice(faces)
    members = it.members[face]
    owner = it.random.choice(list(it.graphs))
    hosts = [g for g in it.graphs if g != owner and not ({face, *members} & set(it.graphs[g]))]
    if not hosts:
        return
    it.need(owner, face)
    whole = it.graphs[owner][face]
    whole.members = set(members)
    for member in members:
        it.part(owner, member).resolvable = True
        it.add_key(owner, member, "id")
    whole.keys = ["id"]
    for host in it.some(hosts, 1, 2):
        part = it.graphs[host][face] = Part(keys=["id"], object_of_interface=True)
        part.fields["id"] = Cut("ID!")
        for i in range(it.random.randint(1, 2)):
            type_text = wrapped(it, it.random.choice(SCALARS + tuple(it.entities)))
            if named(type_text) in members:
                type_text = "Int"
            part.fields[f"{host}x{i}"] = Cut(type_text)
            it.need(host, named(type_text))
        it.graphs[host]["Query"].fields[f"{host}face"] = Cut(it.random.choice([face, f"[{face}]"]))
        if it.chance(0.4):
            _require_of_interface(it, owner, host, face, part)


def _require_of_interface(it: Drawing, owner: str, host: str, face: str, part: Part) -> None:
    for member in it.members[face]:
        it.fields_of[member]["asked"] = ("String", "")
        it.put(owner, member, "asked", [])
    part.fields["asked"] = Cut("String", "", ["@external"])
    part.fields[f"{host}needs"] = Cut("Int", "", ['@requires(fields: "asked")'])


def draw_federation_1(it: Drawing) -> None:
    """One subgraph without links: what Federation 2 alone has is taken from it."""
    graph = it.random.choice(list(it.graphs))
    parts = it.graphs[graph]
    text = " ".join(d for p in parts.values() for c in p.fields.values() for d in c.directives)
    if "@override" in text or any(
        p.object_of_interface or (p.kind == "interface" and p.keys) for p in parts.values()
    ):
        return
    if any(not p.resolvable for p in parts.values()):
        return
    it.federation_1.add(graph)
    for part in parts.values():
        for cut in part.fields.values():
            cut.directives = [d for d in cut.directives if d != "@shareable"]
