"""The policy's text as rules: read, checked for nonsense, never evaluated here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from authz.classes import Action, DataClass, Relation, Role
from authz.errors import PolicyInvalid
from authz.policies.case import ANYONE, AUTHENTICATED, LIMITED, Party
from authz.policies.conditions import Condition, UnknownCondition, condition, conditions

VIEWS = ("full", "rounded", "trimmed", "summary", "initials", "year_of_birth", "last_four", "masked")
"""How much of a value is shown, the most open first. All but the first are masks."""

EVERY = "*"
COLUMNS = ("name", "parties", "classes", "actions", "conditions", "view", "effect")
POLICY_LINES_MAX = 20_000

PARTIES = frozenset({ANYONE, AUTHENTICATED, *Role, *Relation} - {Relation.NONE})
ALONE = frozenset({Role.PARTNER.value, Role.SERVICE.value})
RELATIONS = frozenset(relation.value for relation in Relation)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the policy. `classes` and `actions` may hold `*` alone."""

    line: int
    name: str
    parties: frozenset[str]
    classes: frozenset[str]
    actions: frozenset[str]
    conditions: tuple[Condition, ...]
    view: str
    allows: bool

    @property
    def mask(self) -> str | None:
        """The mask its view means; None for the full one."""
        return None if self.view in ("full", EVERY) else self.view

    def concerns(self, data_class: str, action: str) -> bool:
        """Whether the rule speaks of this class and action at all."""
        return _lists(self.classes, data_class) and _lists(self.actions, action)

    def reaching(self, party: Party) -> Rule:
        """The rule as it holds for somebody some of whose roles are limited: an allow by such a role asks
        that it counts for the owner. A deny is not weakened by that."""
        limited = sorted(word for word in self.parties if f"{LIMITED}{word}" in party)
        if not self.allows or not limited:
            return self
        return replace(
            self, conditions=(*(condition(f"assigned:{role}") for role in limited), *self.conditions)
        )

    def condition_texts(self) -> frozenset[str]:
        """Its conditions, as a set of their texts."""
        return frozenset(each.text for each in self.conditions)


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules, with the text they were read from and its fingerprint as version."""

    rules: tuple[Rule, ...]
    text: str
    version: str

    def lines(self) -> Iterator[str]:
        """The lines that are rules, as Casbin reads them."""
        return (line.strip() for line in self.text.splitlines() if _is_rule(line))

    def rule(self, name: str) -> Rule | None:
        """The rule of that name."""
        return next((rule for rule in self.rules if rule.name == name), None)


def read_policy(text: str) -> Policy:
    """The policy written in `text`.  Errors: PolicyInvalid with every problem found."""
    rules: list[Rule] = []
    problems: list[str] = []
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _is_rule(line)]
    if len(lines) > POLICY_LINES_MAX:
        raise PolicyInvalid((f"the policy has {len(lines)} rules; {POLICY_LINES_MAX} is the limit",))
    for number, line in lines:
        try:
            rules.append(_read_rule(number, line))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    problems += _repeated_names(rules)
    if problems:
        raise PolicyInvalid(tuple(problems))
    return Policy(tuple(rules), text, hashlib.sha256(text.encode()).hexdigest()[:16])


@cache
def stadion_policy() -> Policy:
    """The policy that ships with Stadion."""
    return read_policy(files("authz.policies").joinpath("policy.csv").read_text(encoding="utf-8"))


def silent_classes(policy: Policy) -> list[str]:
    """Data classes that no rule opens for anybody."""
    opened = {name for rule in policy.rules if rule.allows for name in rule.classes}
    return [] if EVERY in opened else sorted(set(DataClass) - opened)


def _is_rule(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _read_rule(number: int, line: str) -> Rule:
    kind, *cells = [cell.strip() for cell in line.split(",")]
    if kind != "p" or len(cells) != len(COLUMNS):
        raise ValueError(f"a rule is `p` and {len(COLUMNS)} columns: {', '.join(COLUMNS)}")
    name, parties, classes, actions, condition_text, view, effect = cells
    if not name:
        raise ValueError("a rule needs a name")
    if effect not in ("allow", "deny"):
        raise ValueError(f"the effect is `allow` or `deny`, not `{effect}`")
    if (effect == "deny") != (view == EVERY) or (view != EVERY and view not in VIEWS):
        raise ValueError(f"the view of an allow is one of {', '.join(VIEWS)}, of a deny `*`; not `{view}`")
    try:
        demanded = conditions(condition_text)
    except UnknownCondition as error:
        raise ValueError(str(error)) from error
    return Rule(
        line=number,
        name=name,
        parties=_known(parties.split("+"), PARTIES, "party"),
        classes=_known_or_every(classes, frozenset(DataClass), "data class"),
        actions=_known_or_every(actions, frozenset(Action), "action"),
        conditions=demanded,
        view=view,
        allows=effect == "allow",
    )


def _known_or_every(cell: str, known: frozenset[str], what: str) -> frozenset[str]:
    return frozenset({EVERY}) if cell == EVERY else _known(cell.split("|"), known, what)


def _known(words: Iterable[str], known: frozenset[str], what: str) -> frozenset[str]:
    for word in words:
        if word not in known:
            raise ValueError(f"there is no {what} `{word}`")
    return frozenset(words)


def _lists(listed: frozenset[str], word: str) -> bool:
    return word in listed or EVERY in listed


def _repeated_names(rules: Iterable[Rule]) -> Iterator[str]:
    first_line: dict[str, int] = {}
    for rule in rules:
        if rule.name in first_line:
            yield f"line {rule.line}: the name `{rule.name}` is taken by line {first_line[rule.name]}"
        first_line.setdefault(rule.name, rule.line)
