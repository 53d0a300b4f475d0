"""Representations of many objects of one type as generated Python: what `representations` does one by one.

Used once a fetch has proven to be hot, and only for objects whose required values are texts and integers
(or null, where null may be sent). INVARIANT: what it answers, the other way would answer alike; where it
cannot, it says so, and nothing is half done. A property test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

AllAlike: TypeAlias = Callable[[Sequence[dict[str, Any]]], "tuple[list[dict[str, Any]], Groups] | None"]
"""Each different representation once, and the objects that it stands for; None where one is out of line."""
Groups: TypeAlias = list[list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One required value: its name as it is sent, the key that it stands under, whether null is sent."""

    name: str
    source: str
    may_be_null: bool


def all_alike(typename: str, sent_as: str, leaves: Sequence[Leaf], only_type: str | None) -> AllAlike:
    """What represents objects of `typename`; those without a `__typename` are of the `only_type`."""
    values = [f"v{number}" for number in range(len(leaves))]
    reads = [f"{value} = it[{leaf.source!r}]" for value, leaf in zip(values, leaves, strict=True)]
    members = [f"{leaf.name!r}: {value}" for value, leaf in zip(values, leaves, strict=True)]
    identity = values[0] if len(values) == 1 else f"({', '.join(values)})"
    lines = [
        "def represent(found):",
        "    known, representations, groups = {}, [], []",
        "    for it in found:",
        f"        if (it.get('__typename') or {only_type!r}) != {typename!r}:",
        "            return None",
        "        try:",
        *(f"            {read}" for read in reads),
        "        except KeyError:",
        "            return None",
    ]
    for value, leaf in zip(values, leaves, strict=True):
        nothing = f"{value} is not None and " if leaf.may_be_null else ""
        # 1, 1.0 and true are equal in Python, and not in JSON
        lines.append(f"        if {nothing}{value}.__class__ is not str and {value}.__class__ is not int:")
        lines.append("            return None")
    lines += [
        f"        group = known.get({identity})",
        "        if group is not None:",
        "            group.append(it)",
        "            continue",
        f"        known[{identity}] = group = [it]",
        "        groups.append(group)",
        f"        representations.append({{'__typename': {sent_as!r}, {', '.join(members)}}})",
        "    return representations, groups",
    ]
    made: dict[str, Any] = {}
    # names come from the schema and the plan: they stand in the source as Python prints them
    exec(compile("\n".join(lines), "<representations>", "exec"), made)  # noqa: S102
    represent: AllAlike = made["represent"]
    return represent
