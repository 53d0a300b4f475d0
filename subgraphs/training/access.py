"""Which rows of an athlete a caller may see, as a filter value; asked of the one authorizer."""

from __future__ import annotations

from authz.classes import DataClass, Visibility
from authz.question import Question
from subgraphs.kit.guard import Decides, RowAccess
from subgraphs.training.model import Activity, VisibleRows

HEART_RATE = "heart_rate"
"""The metric by which a coach link may open WELLNESS."""
SUMMARY = "summary"
TRIMMED = "trimmed"
ROUNDED = "rounded"


def row_access(activity: Activity) -> RowAccess:
    """What a decision about an activity needs to know."""
    return RowAccess(owner_id=activity.athlete_id, visibility=activity.visibility, metric=HEART_RATE)


def athlete_access(athlete_id: str) -> RowAccess:
    """What a decision about an athlete's lists needs to know: friends may enter, rows guard themselves."""
    return RowAccess(owner_id=athlete_id, visibility=Visibility.FRIENDS, metric=HEART_RATE)


async def visible_rows(decisions: Decides, athlete_id: str) -> VisibleRows:
    """The row filter of lists: a row is in the list exactly where reading it is allowed."""
    levels = list(Visibility)
    rows = [RowAccess(owner_id=athlete_id, visibility=level, metric=HEART_RATE) for level in levels]
    asked = [row.question(DataClass.TRAINING, "read") for row in rows]
    answers = await decisions.decide(asked)
    allowed = frozenset(level for level, answer in zip(levels, answers, strict=True) if answer.allowed)
    return VisibleRows(athlete_id, allowed)


async def may_write(decisions: Decides, athlete_id: str, *, action: str = "write") -> bool:
    """Whether the caller may add to, change or (`delete`) remove what is this athlete's."""
    [answer] = await decisions.decide(
        [Question(owner_id=athlete_id, data_class=DataClass.TRAINING, action=action)]
    )
    return answer.allowed
