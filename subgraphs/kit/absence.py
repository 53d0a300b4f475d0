"""What is missing costs what is hidden costs: the facts about an owner are loaded either way.

A row that its caller may not see is answered as a missing one; else the time would tell which it was.
"""

from __future__ import annotations

from typing import Protocol

from authz.classes import DataClass
from authz.question import Question
from subgraphs.kit.trail import Decides, TrailedDecisions


class Decided(Protocol):
    """The part of a request's context that decides."""

    @property
    def decisions(self) -> Decides:
        """The decisions of this request."""
        ...


async def decide_as_if_hidden(context: Decided, id: str, data_class: DataClass, action: str = "read") -> None:
    """Ask what would be asked about the row `id`, were there one; nothing of it is written down."""
    decisions = context.decisions
    asks = decisions.decisions if isinstance(decisions, TrailedDecisions) else decisions
    # Nobody has such an id: nothing is known of its owner, and what is loaded is as much as of any stranger.
    await asks.decide([Question(f"absent {id}", data_class, str(action))])
