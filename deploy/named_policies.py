"""Named policies of a router: the file that says who holds what `@policy` asks for, as it changes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from authz.errors import PolicyInvalid
from authz.identity.subject import Subject
from deploy.router_command import POLL_S, fail, read_text_file
from router.telemetry import reloads_count

if TYPE_CHECKING:
    from authz.policies.named import NamedPolicies

log = logging.getLogger("stadion.router.policies")


def _read(text: str) -> NamedPolicies:
    """Errors: PolicyInvalid."""
    from authz.policies.named import NamedPolicies  # Casbin takes long to load: not where nobody names a file

    return NamedPolicies(text)


class KeptPolicies:
    """The policies in force, by a file. One a process."""

    def __init__(self, path: Path, text: str) -> None:
        """Errors: PolicyInvalid."""
        self._path = path
        self._text = text
        self._policies = _read(text)

    def grants(self, subject: Subject, policy: str) -> bool:
        """Whether the caller holds the policy now."""
        return self._policies.grants(subject, policy)

    def forbids(self, subject: Subject, policy: str) -> bool:
        """Whether a rule denies the caller the policy now."""
        return self._policies.forbids(subject, policy)

    async def follow(self, *, every_s: float = POLL_S) -> None:
        """Put the file in force anew whenever it changes; one that cannot be believed leaves the old one."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.renew()
            except (OSError, ValueError, PolicyInvalid) as error:
                reloads_count.add(1, {"what": "policies", "outcome": "failed"})
                log.error("the policies `%s` were not read anew: %s", self._path, error)

    async def renew(self) -> None:
        """Read the file now.  Errors: OSError, ValueError, PolicyInvalid; the old one stays in force."""
        text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        if text == self._text:
            return
        self._text = text
        self._policies = await asyncio.to_thread(_read, text)
        reloads_count.add(1, {"what": "policies", "outcome": "done"})
        log.info("the policies `%s` were read anew", self._path)


def policies_in(path: Path) -> KeptPolicies:
    """The policies of a file; one clear line and exit code 1 where it cannot be believed."""
    try:
        return KeptPolicies(path, read_text_file(path, "policies"))
    except PolicyInvalid as error:
        fail(f"`{path}`: {error}")
