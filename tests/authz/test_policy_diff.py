"""A change of the policy told as gains and losses; the same rights in other words are no change."""

import pytest

from authz.policies.diff import differences
from authz.policies.rules import read_policy, stadion_policy

BASE = """\
p, coach, trainer+coach, TRAINING, read, link:training, full, allow
p, friend, friend, TRAINING, read, visible:friends, summary, allow
p, blocked, blocked, *, *, always, *, deny
"""


def _told(old: str, new: str) -> list[str]:
    return [str(change) for change in differences(read_policy(old), read_policy(new))]


def test_the_same_policy_changes_nothing():
    assert differences(stadion_policy(), stadion_policy()) == []


@pytest.mark.parametrize(
    "new",
    [
        BASE.replace("coach,", "renamed,", 1),
        "# remark\n" + "\n".join(reversed(BASE.splitlines())),
        BASE + "p, more, trainer+coach, TRAINING, read, link:training & acr:2, trimmed, allow\n",
    ],
)
def test_the_same_rights_in_other_words_are_no_change(new):
    assert _told(BASE, new) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "p, new, finance, FINANCIAL, read, acr:2, last_four, allow",
            ["gain  finance: `read` on FINANCIAL, last_four (acr:2)"],
        ),
        (
            "p, wide, trainer, TRAINING, read, always, full, allow",
            ["gain  trainer: `read` on TRAINING, full (always)"],
        ),
        (
            "p, shut, friend, TRAINING, read, legal_hold, *, deny",
            ["lose  friend: `read` on TRAINING is now denied (legal_hold)"],
        ),
    ],
)
def test_an_added_line_is_told_once_and_its_removal_is_the_opposite(line, told):
    assert _told(BASE, BASE + line) == told
    turned = {"gain": "lose", "lose": "gain"}
    back = [turned[each[:4]] + each[4:].replace("is now denied", "is no longer denied") for each in told]
    assert _told(BASE + line, BASE) == back


def test_a_change_for_anyone_is_told_once():
    opened = "p, open, anyone, TRAINING, read, always, full, allow"
    assert _told(BASE, BASE + opened) == ["gain  anyone: `read` on TRAINING, full (always)"]


def test_a_wider_view_is_gained_and_the_narrow_one_not_lost():
    assert _told(BASE, BASE.replace("summary", "full")) == [
        "gain  friend: `read` on TRAINING, full (visible:friends)"
    ]


def test_a_stricter_condition_loses_what_it_shuts():
    assert _told(BASE, BASE.replace("link:training", "link:training & acr:2")) == [
        "lose  coach+trainer: `read` on TRAINING, full (link:training)"
    ]


def test_opening_a_star_is_told_for_every_class():
    told = _told(BASE, BASE.replace("p, blocked, blocked, *, *, always, *, deny\n", ""))
    assert len(told) == 11 * 2
    assert "gain  blocked: `read` on CLINICAL is no longer denied (always)" in told
