"""Header rules of one subgraph, compiled: which of the client's headers a call carries, and which others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from router.header_settings import OF_ONE_CALL, HeaderRule, Inserted, Propagated, Removed

_Step: TypeAlias = Callable[[Mapping[str, str], dict[str, str]], None]
"""The client's headers, and those of the call so far, which it changes."""


class HeaderRules:
    """The rules of one subgraph in their order. Names are lower case."""

    __slots__ = ("_steps",)

    def __init__(self, rules: Sequence[HeaderRule]) -> None:
        self._steps = tuple(_step(rule) for rule in rules)

    def apply(self, client: Mapping[str, str], headers: dict[str, str]) -> None:
        """Change `headers`, which go on without a rule, by the rules."""
        client = {name.lower(): value for name, value in client.items()}
        for step in self._steps:
            step(client, headers)


def _step(rule: HeaderRule) -> _Step:
    if rule.insert != Inserted():
        name, value = rule.insert.name.lower(), rule.insert.value
        return lambda _, headers: headers.update({name: value})
    if rule.remove != Removed():
        return _removing(rule.remove)
    return _propagating(rule.propagate)


def _removing(removed: Removed) -> _Step:
    goes = _matcher(removed.named, removed.matching)

    def step(_: Mapping[str, str], headers: dict[str, str]) -> None:
        for name in [one for one in headers if goes(one)]:
            del headers[name]

    return step


def _propagating(rule: Propagated) -> _Step:
    if rule.named:
        name = rule.named.lower()
        target = (rule.rename or rule.named).lower()

        def one(client: Mapping[str, str], headers: dict[str, str]) -> None:
            value = client.get(name) or rule.default
            if value and target not in OF_ONE_CALL:
                headers[target] = value

        return one
    goes = _matcher("", rule.matching)

    def all_of_them(client: Mapping[str, str], headers: dict[str, str]) -> None:
        headers.update(
            {name: value for name, value in client.items() if name not in OF_ONE_CALL and goes(name)}
        )

    return all_of_them


def _matcher(named: str, matching: str) -> Callable[[str], bool]:
    if named:
        wanted = named.lower()
        return lambda name: name == wanted
    pattern = re.compile(matching, re.IGNORECASE)
    return lambda name: pattern.fullmatch(name) is not None
