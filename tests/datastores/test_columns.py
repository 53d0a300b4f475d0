"""Instants as SQLite keeps them: text whose order is the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from sqlalchemy.dialects.sqlite import dialect

from datastores.relational.columns import UtcDateTime

EAST = timezone(timedelta(hours=5, minutes=30))
IN_ORDER = [
    datetime(33, 4, 3, 15, tzinfo=UTC),
    datetime(999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 1, 17, 30, 0, 1, tzinfo=EAST),
    datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


def kept(instant: datetime) -> str:
    text = UtcDateTime().process_bind_param(instant, dialect())
    assert isinstance(text, str)
    return text


def test_the_order_of_texts_is_the_order_of_instants_in_every_year() -> None:
    assert all(kept(earlier) < kept(later) for earlier, later in pairwise(IN_ORDER))


@pytest.mark.parametrize("instant", IN_ORDER)
def test_an_instant_comes_back_as_itself_in_utc(instant: datetime) -> None:
    back = UtcDateTime().process_result_value(kept(instant), dialect())
    assert back == instant
    assert back is not None
    assert back.utcoffset() == timedelta(0)


def test_the_text_is_what_earlier_rows_hold() -> None:
    assert kept(datetime(2026, 3, 1, 17, 30, tzinfo=EAST)) == "2026-03-01T12:00:00.000000Z"
