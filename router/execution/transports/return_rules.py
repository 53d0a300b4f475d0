"""Return rules, compiled: which headers of subgraphs' answers go on to the client.

INVARIANT: what belongs to one connection, one body or the router itself never does, whatever a rule says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from router.execution.answer_cache.freshness import STALE, freshness_of, tell
from router.execution.returned import returned_now
from router.execution.transports.http_wire import is_line
from router.header_settings import Inserted, Merging, Removed, Returning, ReturnRule, stays_here
from router.traffic import Traffic

FRESHNESS: Final = "cache-control"
_Told: TypeAlias = Mapping[str, Sequence[str]]
"""An answer's headers: lower-case name → values, in their order."""
_Own: TypeAlias = dict[str, tuple[Sequence[str], Merging]]
"""What goes on of one answer."""
_Step: TypeAlias = Callable[[_Told, _Own], None]


class ReturnRules:
    """The rules of all subgraphs. Calls to those without a rule on it say nothing of how long they are good:
    where others do, an answer that they have part in is not to be kept by anybody."""

    __slots__ = ("_of", "_tells_freshness", "_traffic")

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._tells_freshness = traffic.returns_freshness
        self._of: dict[str, _OfOne] = {}

    def tell(self, service: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """A call to this subgraph was answered with these headers."""
        told: dict[str, list[str]] = {}
        for name, value in headers:
            told.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        self.tell_of(service, told)

    def tell_of(self, service: str, told: _Told) -> None:
        """As `tell`, of headers by lower-case name."""
        rules = self._of.get(service)
        if rules is None:
            rules = self._of[service] = _OfOne(self._traffic.of(service).response_headers)
        own = rules.of(told)
        values, _ = own.pop(FRESHNESS, ((), Merging.LAST))
        if self._tells_freshness and not self._traffic.of(service).cache.enabled:
            # where answers are kept, who keeps them tells: by hints and defaults, too
            tell(freshness_of(", ".join(values)) or STALE)
        returned = returned_now()
        if returned is None:
            return
        for name, (given, merging) in own.items():
            fit = [value for value in given if is_line(name, value) and _is_latin(value)]
            if fit:
                returned.add(name, fit, merging)
                returned.is_personal |= name not in rules.inserted


class _OfOne:
    """The rules of one subgraph in their order."""

    __slots__ = ("_steps", "inserted")

    def __init__(self, rules: Sequence[ReturnRule]) -> None:
        self._steps = tuple(_step(rule) for rule in rules)
        self.inserted = {rule.insert.name.lower() for rule in rules if rule.insert != Inserted()}

    def of(self, told: _Told) -> _Own:
        """What goes on of an answer with these headers."""
        own: _Own = {}
        for step in self._steps:
            step(told, own)
        return own


def _is_latin(value: str) -> bool:
    return value.isascii() or all(ord(one) < 256 for one in value)


def _step(rule: ReturnRule) -> _Step:
    if rule.insert != Inserted():
        name, values = rule.insert.name.lower(), (rule.insert.value,)
        return lambda _, own: own.update({name: (values, Merging.LAST)})
    if rule.remove != Removed():
        goes = _matcher(rule.remove.named, rule.remove.matching)

        def removing(_: _Told, own: _Own) -> None:
            for name in [one for one in own if goes(one)]:
                del own[name]

        return removing
    return _propagating(rule.propagate)


def _propagating(rule: Returning) -> _Step:
    merging = rule.merging
    if rule.named:
        name, target = rule.named.lower(), (rule.rename or rule.named).lower()

        def one(told: _Told, own: _Own) -> None:
            values = told.get(name) or ((rule.default,) if rule.default else ())
            if values:
                own[target] = values, merging

        return one
    goes = _matcher("", rule.matching)

    def all_of_them(told: _Told, own: _Own) -> None:
        own.update(
            {name: (values, merging) for name, values in told.items() if goes(name) and not stays_here(name)}
        )

    return all_of_them


def _matcher(named: str, matching: str) -> Callable[[str], bool]:
    if named:
        wanted = named.lower()
        return lambda name: name == wanted
    pattern = re.compile(matching, re.IGNORECASE)
    return lambda name: pattern.fullmatch(name) is not None
