"""Masks keep what they promise and give away nothing else."""

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.masks import initials, last_four, rounded, year_of_birth


@pytest.mark.parametrize(
    ("value", "shown"),
    [("4111111111111234", "•1234"), ("12345678", "•"), ("123456789", "•6789"), ("", "•"), ("abc", "•")],
)
def test_last_four(value, shown):
    assert last_four(value) == shown


@given(st.text(max_size=40))
def test_last_four_shows_less_than_half_and_not_the_length(value):
    shown = last_four(value)
    assert len(shown) - 1 <= len(value) // 2
    assert len(shown) in (1, 5)


@pytest.mark.parametrize(
    ("name", "shown"), [("ann de boer", "A. D. B."), (" Li ", "L."), ("", ""), ("a b c d e", "A. B. C.")]
)
def test_initials(name, shown):
    assert initials(name) == shown


@given(st.dates())
def test_year_of_birth_tells_the_year_alone(born):
    shown = year_of_birth(born)
    assert (shown.year, shown.month, shown.day) == (born.year, 1, 1)
    assert isinstance(shown, dt.date)


@pytest.mark.parametrize(
    ("value", "shown"), [(63.7, 64.0), (0.0, 0.0), (1234.0, 1200.0), (-0.0567, -0.057), (9.99, 10.0)]
)
def test_rounded_keeps_two_significant_digits(value, shown):
    assert rounded(value) == shown


def test_rounded_leaves_what_is_no_number():
    assert math.isnan(rounded(math.nan))
    assert rounded(math.inf) == math.inf
