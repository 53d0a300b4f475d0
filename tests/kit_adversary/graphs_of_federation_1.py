"""Random graphs of Federation 1: an entity has one owner, others extend it; value types are the same."""

from __future__ import annotations

from random import Random

_SCALARS = ("Int", "String", "Boolean", "Float", "ID")
_KEYS = {"id": "id: ID!", "sku": "sku: Int!", "id sku": "id: ID! sku: Int!", "ref { code }": "ref: Ref!"}
_VALUES = "type Ref { code: String! zone: String! }"


def draw_graph_of_federation_1(seed: int) -> dict[str, str]:
    """Subgraph name → SDL without any link."""
    random = Random(seed)
    graphs = "abcd"[: random.randint(2, 4)]
    entities = [f"E{i}" for i in range(random.randint(2, 4))]
    owner = {name: random.choice(graphs) for name in entities}
    keys = {name: random.sample(list(_KEYS), random.randint(1, 2)) for name in entities}
    united = sorted(random.sample(entities, 2))
    body: dict[str, dict[str, list[str]]] = {graph: {} for graph in graphs}
    scalars: dict[str, list[tuple[str, str]]] = {name: [] for name in entities}
    counter = 0
    for name in entities:
        for graph in [owner[name], *random.sample(graphs, random.randint(0, 2))]:
            fields = body[graph].setdefault(name, [])
            for _ in range(random.randint(1, 2)):
                counter += 1
                base = random.choice([*_SCALARS, *entities, "Ref", "Any"])
                form = random.choice(["{}", "{}!", "[{}]", "[{}!]!"])
                fields.append(f"f{counter}: {form.format(base)}")
                if graph == owner[name] and base in _SCALARS:
                    scalars[name].append((f"f{counter}", form.format(base)))
    roots = {graph: _roots(random, graph, [*entities, "Ref", "Any"]) for graph in graphs}
    _draw_externals(random, body, owner, scalars, counter)
    return {graph: _print(random, graph, body[graph], roots[graph], owner, keys, united) for graph in graphs}


def _roots(random: Random, graph: str, composites: list[str]) -> list[str]:
    forms = ("{}", "[{}]", "[{}!]!")
    return [
        f"{graph}{i}: {random.choice(forms).format(random.choice(composites))}"
        for i in range(random.randint(1, 3))
    ]


def _draw_externals(
    random: Random,
    body: dict[str, dict[str, list[str]]],
    owner: dict[str, str],
    scalars: dict[str, list[tuple[str, str]]],
    counter: int,
) -> None:
    """Requirements and provisions of the owner's scalars, in subgraphs that extend the entity."""
    for graph, types in body.items():
        for name, fields in types.items():
            if owner[name] == graph or not scalars[name] or random.random() < 0.4:
                continue
            external, type_text = random.choice(scalars[name])
            fields.append(f"{external}: {type_text} @external")
            counter += 1
            fields.append(f'r{counter}_{graph}: Int @requires(fields: "{external}")')
            for others in types.values():
                for i, text in enumerate(others):
                    leads = text.strip("[]!").endswith(f": {name}") or text.endswith(
                        (f"[{name}]", f"[{name}!]!")
                    )
                    if leads and "@" not in text and random.random() < 0.7:
                        others[i] = f'{text} @provides(fields: "{external}")'


def _print(
    random: Random,
    graph: str,
    types: dict[str, list[str]],
    roots: list[str],
    owner: dict[str, str],
    keys: dict[str, list[str]],
    united: list[str],
) -> str:
    text = " ".join([*roots, *(field for fields in types.values() for field in fields)])
    words = set(text.replace("[", " ").replace("]", " ").replace("!", " ").split())
    needed = {name for name in owner if name in words or name in types}
    if "Any" in words:
        needed |= set(united)
    lines = [f"extend type Query {{ {' '.join(roots)} }}", _VALUES]
    for name in sorted(needed):
        own = owner[name] == graph
        used = keys[name] if own else keys[name][:1]
        key_fields = dict.fromkeys(
            part for key in used for part in _KEYS[key].replace(" sku", "\nsku").split("\n")
        )
        listed = [part if own else f"{part} @external" for part in key_fields]
        listed += types.get(name, [])
        applied = " ".join(f'@key(fields: "{key}")' for key in used)
        head = "type" if own else "extend type"
        lines.append(f"{head} {name} {applied} {{ {' '.join(listed)} }}")
    if "Any" in words:
        lines.append(f"union Any = {' | '.join(united)}")
    return "\n".join(lines) + "\n"
