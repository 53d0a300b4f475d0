"""How often compiled selection sets left an object to the ordinary execution, and over what.

To decline is right where a value is denied, masked or not plain. A fault is answered rightly too, only
slower: so that a mistake of the generator is seen, it is counted and told once for a type and its selection.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from subgraphs.kit.leaves import Declined

log = logging.getLogger("stadion.subgraphs")

TOLD_MAX: Final = 1_000
"""So many types and selections are told of; from then on they are only counted."""
DECLINED: Final = "declined"


class Declines:
    """One a subgraph. `counted` has how often by type and reason: `declined`, or the class of a fault.

    `metric`, where one was set, is told of each: subgraph, type and reason.
    """

    __slots__ = ("_subgraph", "_told", "counted", "metric")

    def __init__(self, subgraph: str) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self.metric: Callable[[str, str, str], None] | None = None
        self._subgraph = subgraph
        self._told: set[tuple[str, tuple[str, ...], str]] = set()

    def count(self, type_name: str, fields: Sequence[str], fault: Exception) -> None:
        """Note an object of this type, of which these fields were to be read; a fault without its text, which
        may hold a value."""
        reason = DECLINED if isinstance(fault, Declined) else type(fault).__name__
        self.counted[type_name, reason] += 1
        if self.metric is not None:
            self.metric(self._subgraph, type_name, reason)
        told = (type_name, tuple(fields), reason)
        if reason == DECLINED or told in self._told or len(self._told) >= TOLD_MAX:
            return
        self._told.add(told)
        log.warning(
            "the compiled selection of `%s` in subgraph `%s` raised %s while it read %s; such objects are"
            " executed field by field",
            type_name,
            self._subgraph,
            reason,
            ", ".join(f"`{name}`" for name in fields),
        )
