"""Specification addresses: `https://specs.apollo.dev/federation/v2.3` is an identity, a name and a
version."""

from __future__ import annotations

import re
from dataclasses import dataclass

APOLLO = "https://specs.apollo.dev"
FEDERATION_IDENTITY = f"{APOLLO}/federation"
LINK_IDENTITY = f"{APOLLO}/link"
CORE_IDENTITY = f"{APOLLO}/core"
FEDERATION_MINOR_MAX = 14

_URL = re.compile(r"^(?P<identity>.+)/v(?P<major>\d{1,6})\.(?P<minor>\d{1,6})/?$")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A specification's version; a minor one only adds."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class FeatureUrl:
    """A linked feature's address, taken apart."""

    identity: str
    version: Version | None

    @property
    def name(self) -> str | None:
        """The last part of the identity, when it can be a GraphQL name."""
        last = self.identity.rstrip("/").rsplit("/", 1)[-1]
        return last if is_namespace(last) else None

    def __str__(self) -> str:
        return self.identity if self.version is None else f"{self.identity}/{self.version}"


def feature_url(text: str) -> FeatureUrl:
    """The parts of `text`; a URL without a version is its own identity."""
    match = _URL.match(text.strip())
    if match is None:
        return FeatureUrl(text.strip().rstrip("/"), None)
    return FeatureUrl(match["identity"], Version(int(match["major"]), int(match["minor"])))


def is_namespace(text: str) -> bool:
    """Whether the text can stand before `__` in element names."""
    return bool(_NAME.match(text)) and "__" not in text and not text.endswith("_")
