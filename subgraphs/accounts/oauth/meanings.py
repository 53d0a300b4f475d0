"""What a scope lets a program do, in words for the person who is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from authz.classes import DataClass
from subgraphs.accounts.oauth.model import PATIENT_SCOPE

_CLINICAL = (DataClass.CLINICAL, DataClass.CLINICAL_RESTRICTED)
_WELLNESS = "wellness:read"
_KNOWN: dict[str, tuple[str, tuple[DataClass, ...]]] = {
    "activity:read": (
        "See your activities, training load and routes, without where they start and end",
        (DataClass.TRAINING, DataClass.LOCATION),
    ),
    "activity:write": ("Add and change activities in your name", (DataClass.TRAINING,)),
    "profile:read": ("See your name, your picture and the rest of your profile", (DataClass.PERSONAL,)),
    "identity:read": ("See your date of birth and your sex", (DataClass.PERSONAL,)),
    "contact:read": ("See your e-mail address, telephone number and postal address", (DataClass.PERSONAL,)),
    "social:read": ("See your posts and whom you follow", (DataClass.SOCIAL,)),
    _WELLNESS: ("See how you slept, your weight and your other readings", (DataClass.WELLNESS,)),
}
_LETTERS = {"c": "add", "r": "read", "u": "change", "d": "delete", "s": "search"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A scope in words, and the classes of what it opens; none for a word of somebody else's graph."""

    scope: str
    words: str
    data_classes: tuple[DataClass, ...]


def meaning(scope: str) -> Meaning:
    """What `scope` lets a program do.  Source: the policy's `granted:` conditions; SMART App Launch 2."""
    if scope in _KNOWN:
        return Meaning(scope, *_KNOWN[scope])
    if scope.startswith(f"{_WELLNESS}:"):
        metric = scope.removeprefix(f"{_WELLNESS}:").replace("_", " ")
        return Meaning(scope, f"See your readings of `{metric}`", (DataClass.WELLNESS,))
    if scope.startswith(PATIENT_SCOPE):
        return Meaning(scope, _of_record(scope), _CLINICAL)
    return Meaning(scope, f"Use `{scope}` of another service that believes tokens from here", ())


def _of_record(scope: str) -> str:
    kind, _, letters = scope.removeprefix(PATIENT_SCOPE).partition(".")
    acts = [_LETTERS[letter] for letter in letters if letter in _LETTERS] or ["ask for"]
    joined = " and ".join([", ".join(acts[:-1]), acts[-1]] if acts[1:] else acts)
    what = "everything in your medical record" if kind == "*" else f"`{kind}` in your medical record"
    return f"{joined[0].upper()}{joined[1:]} {what}, as far as your consents allow it"
