"""Planning heavy operations over 10, 50 and 200 generated subgraphs: cold, warm, and how it grows.

Run it: `python tests/benchmarks/bench_planner.py [SIZE …]`. The supergraph is a chain of entities, each known
to three neighbouring subgraphs, so that an operation over all of it takes keys, requirements and lists.
`cold` is the first plan over a fresh supergraph, its query graph included; `warm` the best of `ROUNDS` more.
The router keeps finished plans by the operation's normal form: `cached` is the time to make that, which is
what an operation costs whose plan is there. `growth` is how many times `warm` grew for each time that the
supergraph did: 1 is linear, and an operation that stays the same should be far below.

Operations: `wide` asks one field of every entity, `deep` follows the references over DEPTH entities, `spread`
asks one entity for all that its subgraphs know, over and over under aliases.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.errors import PlanTooComplex
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from router.planner import plan_operation
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph

SIZES = (10, 50, 200)
ROUNDS, DEPTH, ALIASES = 3, 8, 40
LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3",'
    ' import: ["@key", "@requires", "@external"])\n'
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One operation over one supergraph: milliseconds, and the requests of its plan."""

    cold_ms: float
    warm_ms: float
    cached_ms: float
    requests_count: int


def sources(size: int) -> list[SubgraphSource]:
    """Subgraph n owns entity n, adds a field to the next one and a required one to the one after."""
    return [SubgraphSource(f"s{n}", f"http://s{n}/graphql", LINK + _sdl(n, size)) for n in range(size)]


def _sdl(n: int, size: int) -> str:
    after, second = (n + 1) % size, (n + 2) % size
    return f"""
    type Query {{ e{n}: E{n} all{n}: [E{n}!] }}
    type E{n} @key(fields: "id") {{ id: ID! name{n}: String weight{n}: Int next: E{after} list: [E{after}!] }}
    type E{after} @key(fields: "id") {{ id: ID! seen{n}: Int }}
    type E{second} @key(fields: "id") {{ id: ID! weight{second}: Int @external
      cost{n}: Int @requires(fields: "weight{second}") }}
    """


def operations(size: int) -> dict[str, str]:
    """Operation name → text."""
    deep = "id"
    for n in reversed(range(min(DEPTH, size))):
        deep = f"{_everything(n, size)} list {{ {deep} }}"
    return {
        "wide": "{" + " ".join(f"e{n} {{ name{n} cost{(n - 2) % size} }}" for n in range(size)) + "}",
        "deep": f"{{ all0 {{ {deep} }} }}",
        "spread": "{" + " ".join(f"a{one}: e0 {{ {_everything(0, size)} }}" for one in range(ALIASES)) + "}",
    }


def _everything(n: int, size: int) -> str:
    return f"id name{n} weight{n} seen{(n - 1) % size} cost{(n - 2) % size}"


def measure(sdl: str, query: str) -> Measure | None:
    """Plan one operation, over a supergraph that nothing was planned over before; None past a limit."""
    supergraph = read_supergraph(sdl)
    valid = validate(parse(query), supergraph.api_schema, None)
    operation = normalize(valid, supergraph)
    cached_ms = min(_timed(lambda: normalize(valid, supergraph)) for _ in range(ROUNDS))
    began = time.perf_counter_ns()
    try:
        plan = plan_operation(operation, supergraph)
    except PlanTooComplex:
        return None
    cold_ms = (time.perf_counter_ns() - began) / 1e6
    warm_ms = min(_timed(lambda: plan_operation(operation, supergraph)) for _ in range(ROUNDS))
    return Measure(cold_ms, warm_ms, cached_ms, str(plan).count("Fetch(service:"))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1e6


def _line(size: int, name: str, found: Measure | None, before: tuple[int, Measure] | None) -> str:
    if found is None:
        return f"{size:>9}  {name:<7} refused: past a limit of planning"
    grown = f"{(found.warm_ms / before[1].warm_ms) / (size / before[0]):>6.2f}" if before else f"{'':>6}"
    times = f"{found.cold_ms:>9.1f} {found.warm_ms:>9.1f} {found.cached_ms:>9.2f}"
    return f"{size:>9}  {name:<7} {found.requests_count:>8} {times} {grown}"


def main(sizes: Sequence[int]) -> None:
    """Print one line for each size and operation."""
    times = "".join(f" {name + ' ms':>9}" for name in ("cold", "warm", "cached"))
    print(f"{'subgraphs':>9}  {'query':<7} {'requests':>8}{times} growth")
    before: dict[str, tuple[int, Measure]] = {}
    for size in sizes:
        sdl = compose(sources(size)).supergraph_sdl
        if sdl is None:
            raise SystemExit(f"the {size} generated subgraphs do not compose")
        for name, query in operations(size).items():
            found = measure(sdl, query)
            print(_line(size, name, found, before.get(name)), flush=True)
            if found is not None:
                before[name] = (size, found)


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or SIZES)
