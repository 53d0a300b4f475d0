"""The policy file: read whole or refused with every problem, and searched for lines that cannot decide."""

import pytest

from authz.errors import PolicyInvalid
from authz.policies.reach import unreachable
from authz.policies.rules import POLICY_LINES_MAX, read_policy, stadion_policy

GOOD = "p, name, trainer+coach, TRAINING|LOCATION, read|write, link:training & acr:2, trimmed, allow"


def test_a_line_is_read_into_its_parts():
    (rule,) = read_policy(f"# a remark\n\n  {GOOD}\n").rules
    assert (rule.line, rule.name, rule.view, rule.mask, rule.allows) == (
        3,
        "name",
        "trimmed",
        "trimmed",
        True,
    )
    assert rule.parties == {"trainer", "coach"}
    assert rule.classes == {"TRAINING", "LOCATION"}
    assert rule.actions == {"read", "write"}
    assert [condition.text for condition in rule.conditions] == ["link:training", "acr:2"]


def test_a_changed_text_has_another_version():
    assert read_policy(GOOD).version == read_policy(GOOD).version
    assert read_policy(GOOD).version != read_policy(GOOD + " ").version


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p, name, anyone", "7 columns"),
        ("g, ann, administrator", "7 columns"),
        (GOOD + ", more", "7 columns"),
        (GOOD.replace("name", ""), "needs a name"),
        (GOOD.replace("trainer", "wizard"), "no party `wizard`"),
        (GOOD.replace("trainer", "none"), "no party `none`"),
        (GOOD.replace("LOCATION", "SECRET"), "no data class `SECRET`"),
        (GOOD.replace("read", "reed"), "no action `reed`"),
        (GOOD.replace("link:training", "linked"), "no condition `linked`"),
        (GOOD.replace("link:training", "link"), "`link` needs an argument"),
        (GOOD.replace("link:training", "own_act:x"), "takes no argument"),
        (GOOD.replace("acr:2", "acr:7"), "`acr` knows no `7`"),
        (GOOD.replace("link:training &", "&"), "no condition ``"),
        (GOOD.replace("trimmed", "blurred"), "not `blurred`"),
        (GOOD.replace("trimmed", "*"), "not `*`"),
        (GOOD.replace("trimmed, allow", "trimmed, deny"), "not `trimmed`"),
        (GOOD.replace("allow", "maybe"), "not `maybe`"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(line, says):
    with pytest.raises(PolicyInvalid) as caught:
        read_policy("# first\n" + line)
    (problem,) = caught.value.problems
    assert problem.startswith("line 2: ")
    assert says in problem


def test_all_problems_are_told_at_once():
    with pytest.raises(PolicyInvalid) as caught:
        read_policy(f"{GOOD}\n{GOOD}\np, x\n{GOOD.replace('name', 'y').replace('read', 'z')}")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 3", "line 4", "line 2"]


def test_a_policy_beyond_the_limit_is_refused():
    with pytest.raises(PolicyInvalid, match="20000 is the limit"):
        read_policy("\n".join([GOOD] * (POLICY_LINES_MAX + 1)))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["p, b, self+friend, TRAINING, read, always, full, allow"],
            "`b` asks for `self` and another relation",
        ),
        (["p, b, partner+trainer, TRAINING, read, always, full, allow"], "`b` asks for `partner` and more"),
        (["p, b, service+friend, TRAINING, read, always, full, allow"], "`b` asks for `service` and more"),
        (
            [
                "p, a, trainer, TRAINING, read, always, full, allow",
                "p, b, trainer+coach, TRAINING, read, acr:2, full, allow",
            ],
            "line 2: `b` never decides, because `a` (line 1)",
        ),
        (
            [
                "p, b, trainer, TRAINING, read, always, trimmed, allow",
                "p, a, trainer, *, *, always, full, allow",
            ],
            "line 1: `b` never decides, because `a` (line 2)",
        ),
        (
            ["p, a, blocked, *, *, always, *, deny", "p, b, blocked, TRAINING, read, always, *, deny"],
            "`b` never decides",
        ),
        (
            [
                "p, a, friend, PUBLIC, read, always, full, allow",
                "p, b, friend, PUBLIC, read, always, full, allow",
            ],
            "line 2: `b` never decides",
        ),
    ],
)
def test_a_line_that_can_never_decide_is_found(lines, says):
    (found,) = unreachable(read_policy("\n".join(lines)))
    assert says in found


@pytest.mark.parametrize(
    "lines",
    [
        [
            "p, a, trainer, TRAINING, read, acr:2, full, allow",
            "p, b, trainer, TRAINING, read, always, full, allow",
        ][:1],
        [
            "p, a, trainer, TRAINING, read, always, trimmed, allow",
            "p, b, trainer, TRAINING, read, acr:2, full, allow",
        ],
        [
            "p, a, trainer, TRAINING, read, always, full, allow",
            "p, b, trainer, TRAINING, write, always, full, allow",
        ],
        ["p, a, trainer, TRAINING, read, always, full, allow", "p, b, trainer, *, read, acr:1, full, allow"],
        [
            "p, a, trainer, TRAINING, read, always, *, deny",
            "p, b, trainer, TRAINING, read, always, full, allow",
        ],
    ],
)
def test_a_line_that_can_decide_is_left_alone(lines):
    assert unreachable(read_policy("\n".join(lines))) == []


def test_the_shipped_policy_stays_readable():
    assert 80 <= len(stadion_policy().rules) <= 200
