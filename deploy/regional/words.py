"""What regions on machines of their own say to each other beside calls to subgraphs: a few words, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from authz.identity.subject import Subject
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall

BYTES_MAX = 1_000_000


class PersonAsked(msgspec.Struct, tag="person", tag_field="word"):
    """Who somebody is, as decisions need it."""

    user_id: str


class AgeAsked(msgspec.Struct, tag="of age", tag_field="word"):
    """Whether somebody is of age, who asks to be a guardian."""

    user_id: str


class FactTold(msgspec.Struct, tag="fact", tag_field="word"):
    """A relationship, as its event carries it."""

    payload: dict[str, Any]


class EventTold(msgspec.Struct, tag="event", tag_field="word"):
    """Something that happened to somebody at home elsewhere."""

    topic: str
    key: str
    payload: dict[str, Any]
    at_utc: datetime


class OAuthAsked(msgspec.Struct, tag="oauth", tag_field="word"):
    """A call of a program to the endpoint `name`: a code, or a token, may be of that region."""

    name: str
    url: str
    parameters: list[tuple[str, str]]
    authorization: str | None
    proof: str | None
    origin: str


class RefusalsTold(msgspec.Struct, tag="refusals", tag_field="word"):
    """Accesses that were refused, as their events carry them."""

    accesses: list[dict[str, Any]]


Word: TypeAlias = PersonAsked | AgeAsked | FactTold | EventTold | OAuthAsked | RefusalsTold


class OAuthTold(msgspec.Struct):
    """What the endpoint answers."""

    status: int
    content: dict[str, Any]
    headers: dict[str, str]


class Reply(msgspec.Struct):
    """To who was asked for, to whether they are of age, and to a program; to the other words nothing."""

    subject: Subject | None = None
    of_age: bool | None = None
    oauth: OAuthTold | None = None


def asked_of(name: str, call: OAuthCall) -> OAuthAsked:
    """A program's call as a word."""
    return OAuthAsked(name, call.url, list(call.parameters), call.authorization, call.proof, call.origin)


def call_of(asked: OAuthAsked) -> OAuthCall:
    """The call that a word is."""
    parameters = tuple(asked.parameters)
    return OAuthCall("POST", asked.url, parameters, asked.authorization, asked.proof, asked.origin)


def told_of(answer: OAuthAnswer) -> OAuthTold:
    """An answer as a reply has it. No endpoint that is asked so redirects."""
    return OAuthTold(answer.status, dict(answer.content), dict(answer.headers))


def service_name(region: str, subgraph: str) -> str:
    """Whom a call to another region is signed for: it opens no other region and no other subgraph."""
    return f"{region}/{subgraph}"


WORDS = "words"
"""In place of a subgraph's name, what words are signed for."""


def path_of(region: str, subgraph: str) -> str:
    """Where a region's machine takes such calls."""
    return f"/regional/{region}/{subgraph}"
