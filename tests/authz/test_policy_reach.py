"""What makes large policies quick to check and compare gives what comparing each rule with each gives."""

from itertools import product
from random import Random

import pytest

from authz.classes import Action, DataClass
from authz.policies.case import with_implied
from authz.policies.diff import Change, Right, differences
from authz.policies.reach import unreachable
from authz.policies.rules import EVERY, VIEWS, Policy, Rule, read_policy

PARTIES = ("anyone", "authenticated", "self", "trainer", "trainer+coach", "coach", "friend", "administrator")
CLASSES = ("TRAINING", "SOCIAL", "TRAINING|SOCIAL", "*")
ACTIONS = ("read", "write", "read|write", "*")
CONDITIONS = ("always", "acr:2", "link:training", "acr:2 & link:training", "acr:2 & link:a & visible:friends")


def policy_of(random: Random, rules: int) -> Policy:
    lines = []
    for number in range(rules):
        effect = random.choice(("allow", "allow", "allow", "deny"))
        view = "*" if effect == "deny" else random.choice(("full", "summary", "rounded"))
        cells = (random.choice(each) for each in (PARTIES, CLASSES, ACTIONS, CONDITIONS))
        lines.append(", ".join(["p", f"r{number}", *cells, view, effect]))
    return read_policy("\n".join(lines))


def lists(words: frozenset[str], wanted: frozenset[str]) -> bool:
    return EVERY in words or wanted <= words


def covers(other: Rule, rule: Rule) -> bool:
    """As it is said: whoever meets `rule` has as much by `other`."""
    if other is rule or other.allows != rule.allows:
        return False
    if not (
        other.parties <= with_implied(rule.parties)
        and lists(other.classes, rule.classes)
        and lists(other.actions, rule.actions)
        and other.condition_texts() <= rule.condition_texts()
        and (not rule.allows or VIEWS.index(other.view) <= VIEWS.index(rule.view))
    ):
        return False
    same = (with_implied(other.parties), other.classes, other.actions, other.condition_texts(), other.view)
    mine = (with_implied(rule.parties), rule.classes, rule.actions, rule.condition_texts(), rule.view)
    return same != mine or other.line < rule.line


@pytest.mark.parametrize("seed", range(40))
def test_rules_that_never_decide_are_those_that_another_one_covers(seed: int) -> None:
    policy = policy_of(Random(seed), 30)
    expected = [
        (rule.name, next(other.name for other in policy.rules if covers(other, rule)))
        for rule in policy.rules
        if any(covers(other, rule) for other in policy.rules)
    ]
    told = [each.split("`") for each in unreachable(policy) if "never decides" in each]
    assert [(words[1], words[3]) for words in told] == expected


def wider(one: Right, other: Right) -> bool:
    return (
        one.allows == other.allows
        and one.conditions <= other.conditions
        and (not one.allows or VIEWS.index(one.view) <= VIEWS.index(other.view))
    )


def rights(policy: Policy, party: frozenset[str], data_class: str, action: str) -> set[Right]:
    return {
        Right(rule.allows, rule.condition_texts(), rule.view)
        for rule in policy.rules
        if rule.parties <= with_implied(party) and rule.concerns(data_class, action)
    }


def missing(of: set[Right], by: set[Right]) -> set[Right]:
    lost = {right for right in of if not any(wider(each, right) for each in by)}
    return {right for right in lost if not any(wider(it, right) and not wider(right, it) for it in lost)}


def expected_differences(old: Policy, new: Policy) -> set[Change]:
    rules = (*old.rules, *new.rules)
    actions = {action for rule in rules for action in rule.actions - {EVERY}} | {EVERY}
    every: set[Change] = set()
    for party, data_class, action in product({rule.parties for rule in rules}, DataClass, actions):
        if not any(rule.concerns(data_class, action) for rule in rules):
            continue
        had, has = (rights(each, party, data_class, action) for each in (old, new))
        every |= {Change(it.allows, party, data_class.value, action, it) for it in missing(has, had)}
        every |= {Change(not it.allows, party, data_class.value, action, it) for it in missing(had, has)}
    return {
        change
        for change in every
        if not any(
            other.parties < with_implied(change.parties)
            and len(with_implied(other.parties)) <= len(with_implied(change.parties))
            and (other.gains, other.data_class, other.action, other.right)
            == (change.gains, change.data_class, change.action, change.right)
            and told_first(other, change)
            for other in every
        )
    }


def told_first(one: Change, other: Change) -> bool:
    first, second = ((len(with_implied(it.parties)), sorted(it.parties)) for it in (one, other))
    return first < second


@pytest.mark.parametrize("seed", range(25))
def test_who_gains_and_loses_is_what_comparing_every_party_gives(seed: int) -> None:
    random = Random(seed)
    old = policy_of(random, 14)
    kept = [line for line in old.lines() if random.random() < 0.8]
    new = read_policy(
        "\n".join([*kept, *(line.replace("p, r", "p, n") for line in policy_of(random, 3).lines())])
    )
    found = differences(old, new)
    assert len(found) == len(set(found))
    assert set(found) == expected_differences(old, new)


def test_a_policy_of_many_conditions_is_compared_too() -> None:
    links = " & ".join(f"link:s{number}" for number in range(12))
    wide, narrow = (
        "p, wide, coach, TRAINING, read, link:s3, full, allow",
        f"p, narrow, coach, TRAINING, read, {links}, full, allow",
    )
    (told,) = unreachable(read_policy("\n".join([narrow, wide])))
    assert "`narrow` never decides, because `wide`" in told
    assert differences(read_policy("\n".join([wide, narrow])), read_policy(wide)) == []
    assert {Action.READ.value} == {
        each.action for each in differences(read_policy(wide), read_policy(narrow))
    }
