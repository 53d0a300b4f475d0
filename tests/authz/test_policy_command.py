"""`stadion policy`: what an operator reads, and the exit codes that CI reads."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy import policy_command

SHIPPED = Path(policy_command.__file__).parents[1] / "authz" / "policies" / "policy.csv"


@pytest.fixture
def stadion():
    app = typer.Typer()
    policy_command.register(app)
    app.command(name="another")(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["policy", *words])


def test_the_shipped_policy_has_no_problems(stadion):
    result = stadion("check")
    assert result.exit_code == 0
    assert result.stdout.endswith("no problems\n")


def test_check_names_every_wrong_line(stadion, tmp_path):
    file = tmp_path / "policy.csv"
    file.write_text("p, a, wizard, PUBLIC, read, always, full, allow\np, b\n")
    result = stadion("check", str(file))
    assert result.exit_code == 1
    assert "line 1: there is no party `wizard`" in result.stderr
    assert "line 2: a rule is `p` and 7 columns" in result.stderr


def test_check_names_lines_that_never_decide_and_silent_classes(stadion, tmp_path):
    file = tmp_path / "policy.csv"
    file.write_text(
        "p, a, anyone, PUBLIC, read, always, full, allow\np, b, self, PUBLIC, read, acr:2, full, allow\n"
    )
    result = stadion("check", str(file))
    assert result.exit_code == 1
    assert "line 2: `b` never decides, because `a` (line 1)" in result.stderr
    assert "no rule opens CLINICAL to anybody" in result.stderr


@pytest.mark.parametrize("command", [("check",), ("diff", str(SHIPPED))])
def test_a_file_that_cannot_be_read_is_one_line(stadion, tmp_path, command):
    result = stadion(*command, str(tmp_path / "missing.csv"))
    assert result.exit_code == 1
    assert "cannot read" in result.stderr
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in stadion(*command, str(binary)).stderr


def test_diff_tells_gains_and_losses(stadion, tmp_path):
    changed = tmp_path / "policy.csv"
    changed.write_text(SHIPPED.read_text().replace("link:clearance,", "always,"))
    result = stadion("diff", str(SHIPPED), str(changed))
    assert result.exit_code == 0
    assert result.stdout == "gain  coach+trainer: `clearance` on CLINICAL, full (always)\n1 gained, 0 lost\n"
    assert stadion("diff", str(SHIPPED), str(SHIPPED)).stdout == "nobody gains or loses anything\n"


def test_explain_names_the_rule_that_decides(stadion):
    result = stadion(
        "explain", "--role", "trainer", "--relation", "coach", "--scope", "clearance",
        "--class", "CLINICAL", "--action", "clearance",
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "allowed by `clearance-coach`"


def test_explain_tells_a_denied_subject_what_is_missing(stadion):
    result = stadion(
        "explain", "--role", "medical_specialist", "--relation", "treating", "--class", "CLINICAL",
        "--purpose", "TREAT",
    )  # fmt: skip
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "denied by `default-deny`; STEP_UP would open it"
    assert "  allow  clinical-treating: lacks acr:2" in result.stdout.splitlines()


def test_explain_shows_a_mask(stadion):
    result = stadion("explain", "--role", "athlete", "--relation", "self", "--class", "FINANCIAL",
                     "--action", "card_number")  # fmt: skip
    assert result.stdout.splitlines()[0] == "allowed by `financial-self-card`, shown as last_four"
