"""What the log says of errors that clients see: each once, without anybody's values, so many a second."""

from __future__ import annotations

import logging

import pytest

from authz.identity.subject import ANONYMOUS
from router.error_lines import LINES_AT_ONCE_MAX, LINES_PER_SECOND_MAX, ErrorLines, without_values
from router.execution import ErrorsShown, ExecutionOptions
from router.execution.run import Run
from router.execution.subgraph_errors import report_errors
from router.telemetry import request_trace_id
from tests.kit_federation.shop import ScriptedTransport

LOG = logging.getLogger("stadion.router.test_of_lines")


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records]


def run_that_shows(**shown: object) -> Run:
    options = ExecutionOptions(errors=ErrorsShown(**shown))
    return Run(variables={}, subject=ANONYMOUS, transport=ScriptedTransport(), options=options)


def test_over_the_bound_lines_are_counted_and_their_number_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    time = Time()
    lines = ErrorLines(LOG, clock=time)
    for number in range(LINES_AT_ONCE_MAX + 7):
        lines.say(logging.INFO, "line %d", number)
    assert len(said(caplog)) == LINES_AT_ONCE_MAX
    assert lines.left_out == 7
    caplog.clear()
    time.now_s += 1.0
    for number in range(2 * LINES_PER_SECOND_MAX):
        lines.say(logging.INFO, "later %d", number)
    assert said(caplog)[0].startswith("7 lines on errors were left out")
    assert len(said(caplog)) == 1 + LINES_PER_SECOND_MAX


def test_a_line_that_nobody_reads_takes_nothing_of_the_bound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, LOG.name)
    lines = ErrorLines(LOG, clock=Time())
    for _ in range(2 * LINES_AT_ONCE_MAX):
        lines.say(logging.INFO, "unread")
    lines.say(logging.ERROR, "read")
    assert said(caplog) == ["read"]


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("`mira@example.org` is taken", "… is taken"),
        ("mira@example.org is taken", "… is taken"),
        ('no user "Mira Lind" of 1984-03-02', "no user … of …"),
        ("not allowed to read `User.profile`", "not allowed to read …"),
    ],
)
def test_a_line_has_nothing_of_what_a_message_quotes(message: str, kept: str) -> None:
    assert without_values(message) == kept


def test_what_a_client_sees_is_in_the_log_once_for_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stadion.router.subgraphs")
    denied = {"message": "not allowed to read `User.profile`", "extensions": {"code": "FORBIDDEN_FIELD"}}
    wrong = {"message": "`1984-03-02` is no day", "extensions": {"code": "BAD_INPUT"}}
    odd = {"message": "`mira` is here", "extensions": {"code": "mira lind"}}
    token = request_trace_id.set("4bf92f3577b34da6a3ce929d0e0e4736")
    try:
        run = run_that_shows()
        report_errors(run, [denied, wrong, denied, odd], service="people", at=(), renamed={})
    finally:
        request_trace_id.reset(token)
    assert len(run.errors) == 4
    where = "request 4bf92f3577b34da6a3ce929d0e0e4736: subgraph `people` answered"
    assert said(caplog) == [
        f"{where} FORBIDDEN_FIELD (2 times): not allowed to read `User.profile`",
        f"{where} BAD_INPUT (1 times): … is no day",
        f"{where} - (1 times): … is here",
    ]


def test_an_error_is_shown_for_its_code_without_what_may_tell_of_the_inside() -> None:
    run = run_that_shows(all_=False, codes=frozenset({"FORBIDDEN"}))
    extensions = {"code": "FORBIDDEN", "obligation": "STEP_UP", "stack": "x.py"}
    errors = [
        {"message": "not yours", "extensions": extensions},
        {"message": "SELECT", "extensions": {"code": "SQL"}},
        {"message": "SELECT", "extensions": {"code": ["FORBIDDEN"]}},
    ]
    report_errors(run, errors, service="people", at=(), renamed={})
    assert run.errors == [
        {
            "message": "not yours",
            "extensions": {"code": "FORBIDDEN", "obligation": "STEP_UP", "service": "people"},
        },
        {"message": "subgraph errors are not shown", "extensions": {"service": "people"}},
        {"message": "subgraph errors are not shown", "extensions": {"service": "people"}},
    ]
