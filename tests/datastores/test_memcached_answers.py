"""Memcached's answers are put together the same however they are cut on the way."""

from __future__ import annotations

import pytest

from datastores.cache.memcached_answers import Answer, Lines, Refused, Values

VALUES = b"VALUE a 0 3\r\n1\r\n\r\nVALUE b 7 0\r\n\r\nVALUE c 0 5\r\nEND\r\n\r\nEND\r\n"
FOUND = {b"a": b"1\r\n", b"b": b"", b"c": b"END\r\n"}


def taken(answer: Answer[object], content: bytes, step: int) -> bool:
    """Whether it is whole after the last part, and was not before."""
    parts = [content[at : at + step] for at in range(0, len(content), step)]
    told = [answer.take(part) for part in parts]
    assert not any(told[:-1])
    return told[-1]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 20, 1_000])
def test_values_that_hold_line_ends_and_ends_of_answers_are_cut_by_their_size(step: int) -> None:
    answer = Values()
    assert taken(answer, VALUES, step)
    assert answer.told == FOUND


@pytest.mark.parametrize("step", [1, 5, 1_000])
def test_each_write_of_a_key_is_told_apart_where_that_was_asked(step: int) -> None:
    answer = Values(words=5)
    assert taken(answer, b"VALUE a 0 1 42\r\nx\r\nEND\r\n", step)
    assert (answer.told, answer.uniques) == ({b"a": b"x"}, {b"a": b"42"})


def test_a_large_value_in_many_parts_is_whole() -> None:
    answer, value = Values(), bytes(range(256)) * 4_000
    assert taken(answer, b"VALUE big 0 %d\r\n%b\r\nEND\r\n" % (len(value), value), 65_536)
    assert answer.told == {b"big": value}


@pytest.mark.parametrize(
    "said",
    [
        b"ERROR\r\n",
        b"VALUE a 0 1\r\nxx\r\nEND\r\n",
        b"VALUE a 0 -1\r\nx\r\nEND\r\n",
        b"VALUE a 0 1 2\r\nx\r\nEND\r\n",
        b"END\r\nEND\r\n",
        b"x" * 5_000,
    ],
)
def test_what_is_no_answer_is_refused(said: bytes) -> None:
    with pytest.raises(Refused):
        Values().take(said)


@pytest.mark.parametrize("step", [1, 4, 100])
def test_lines_are_counted_and_each_is_one_of_those_expected(step: int) -> None:
    answer = Lines(b"STORED", b"SERVER_ERROR", times=3)
    assert taken(answer, b"STORED\r\nSERVER_ERROR object too large\r\nSTORED\r\n", step)
    assert answer.told == b"STORED"
    for wrong in (b"NOT_STORED\r\n", b"STORED\r\nSTORED\r\n", b"STORED\r\nST", b"y" * 3_000):
        with pytest.raises(Refused):
            Lines(b"STORED").take(wrong)
