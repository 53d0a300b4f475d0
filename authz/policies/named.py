"""Named policies: what `@policy` of any supergraph asks for, answered by Casbin from an operator's file.

caller → the words that say what they are → Casbin's rules → whether they hold the policy. Read whole when
it is loaded, so that a file that cannot be believed is never in force.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Final

import casbin

from authz.errors import PolicyInvalid
from authz.identity.subject import Subject
from authz.policies.engine import PolicyLines

ANYONE: Final = "anyone"
AUTHENTICATED: Final = "authenticated"
KINDS: Final = ("user", "role", "scope", "client", "region", "zone", "device", "acr", "group")
WORD: Final = re.compile(rf"{ANYONE}|{AUTHENTICATED}|(?:{'|'.join(KINDS)}):\S+")
EFFECTS: Final = ("allow", "deny")
RULES_MAX: Final = 10_000
ANSWERS_MAX: Final = 10_000


class NamedPolicies:
    """Who holds which policy, by one file. Answers are kept by what decides them, never by token."""

    def __init__(self, text: str) -> None:
        """Errors: PolicyInvalid with every line that cannot be used."""
        enforcer = casbin.Enforcer(_model(), PolicyLines(_lines(text)))
        enforcer.add_function("among", self._among)
        self._enforcer = enforcer
        self._groups = enforcer.get_role_manager()
        self._grouped = frozenset(word for line in enforcer.get_grouping_policy() for word in line)
        self._known: dict[tuple[frozenset[str], str], bool | None] = {}

    def grants(self, subject: Subject, policy: str) -> bool:
        """Whether this caller holds the policy of that name."""
        return self._said(subject, policy) is True

    def forbids(self, subject: Subject, policy: str) -> bool:
        """Whether a rule denies it to this caller, so that nobody else's grant counts."""
        return self._said(subject, policy) is False

    def _said(self, subject: Subject, policy: str) -> bool | None:
        """What the rules say; None where none speaks of this caller and policy. A role that is limited to
        some people grants nothing, for here nobody asks whom it is about; what it is denied stays denied."""
        words = words_of(subject)
        if subject.limits:
            whole = words_of(replace(subject, limits=()))
            if self._said_to(whole, policy) is False:
                return False
        return self._said_to(words, policy)

    def _said_to(self, words: frozenset[str], policy: str) -> bool | None:
        key = (words, policy)
        if key not in self._known:
            if len(self._known) >= ANSWERS_MAX:
                self._known.clear()
            allowed, deciding = self._enforcer.enforce_ex(words, policy)
            # Casbin names the rule that decided; no rule, no word.
            self._known[key] = bool(allowed) if deciding else None
        return self._known[key]

    def _among(self, words: frozenset[str], who: str) -> bool:
        if who in words:
            return True
        # Casbin keeps every word that it is asked about: only those that the file has are asked
        return who in self._grouped and any(
            self._groups.has_link(word, who) for word in words & self._grouped
        )


def words_of(subject: Subject) -> frozenset[str]:
    """What a caller is, as rules name it; of an anonymous caller only what is known of the call."""
    words = {ANYONE}
    if subject.authenticated:
        words |= {AUTHENTICATED, f"user:{subject.id}"}
        words |= {f"role:{role.value}" for role in subject.roles if subject.limit_of(role) is None}
        words |= {f"scope:{scope}" for scope in subject.scopes}
        words |= {f"acr:{level}" for level in range(1, subject.acr + 1)}
        named = {"client": subject.client_id, "region": subject.region, "device": subject.device}
        words |= {f"{kind}:{value}" for kind, value in named.items() if value}
    if subject.network_zone:
        words.add(f"zone:{subject.network_zone}")
    return frozenset(words)


def _model() -> casbin.Model:
    model = casbin.Model()
    model.load_model_from_text(files("authz.policies").joinpath("named.conf").read_text(encoding="utf-8"))
    return model


def _lines(text: str) -> Iterator[str]:
    """Each rule as Casbin reads it.  Errors: PolicyInvalid."""
    problems: list[str] = []
    rules: list[str] = []
    for number, cells in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#"):
            continue
        problem = _problem(row)
        if problem:
            problems.append(f"line {number}: {problem}")
        rules.append(", ".join(row))
    if len(rules) > RULES_MAX:
        problems.append(f"it has {len(rules)} rules; {RULES_MAX} is the most")
    if problems:
        raise PolicyInvalid(tuple(problems))
    yield from rules


def _problem(row: list[str]) -> str | None:
    match row:
        case ["p", who, policies, effect]:
            if not policies or effect not in EFFECTS:
                return "write `p, WHO, POLICY, allow` or `p, WHO, POLICY, deny`"
            words = [who]
        case ["g", who, group]:
            words = [who, group]
        case _:
            return "write `p, WHO, POLICY, allow|deny` or `g, WHO, GROUP`"
    unknown = [word for word in words if not WORD.fullmatch(word)]
    if any("," in cell for cell in row):
        return "a cell may not have a comma"
    if unknown:
        kinds = ", ".join(f"{kind}:…" for kind in KINDS)
        return f"nobody is `{unknown[0]}`: write {ANYONE}, {AUTHENTICATED} or one of {kinds}"
    return None
