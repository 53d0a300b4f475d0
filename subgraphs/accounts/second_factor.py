"""The second factor: TOTP secrets sealed at rest, codes good for one use.  Source: RFC 6238."""

from __future__ import annotations

import hmac
import os
from datetime import datetime, timedelta

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STEP_S = 30
STEPS_AROUND = 1
"""How many steps a clock may be early or late."""

_NONCE_BYTES = 12


class SecondFactor:
    """Makes, seals and checks TOTP secrets. `key` has 32 bytes and stays with the process."""

    def __init__(self, key: bytes, *, issuer: str = "Stadion") -> None:
        if len(key) != 32:
            raise ValueError("the key for second factors has 32 bytes")
        self._cipher = AESGCM(key)
        self._issuer = issuer

    def new_secret(self) -> str:
        """A fresh Base32 secret of 160 bits."""
        return pyotp.random_base32()

    def uri(self, secret: str, handle: str) -> str:
        """The `otpauth:` URI that authenticator apps read."""
        return str(pyotp.TOTP(secret).provisioning_uri(name=handle, issuer_name=self._issuer))

    def sealed(self, secret: str, *, user_id: str) -> bytes:
        """The secret encrypted, bound to its owner."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), user_id.encode())

    def opened(self, sealed: bytes, *, user_id: str) -> str:
        """The secret.  Errors: ValueError where it was tampered with or belongs to somebody else."""
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, user_id.encode()).decode()
        except InvalidTag:
            raise ValueError("a sealed second factor does not open") from None

    def used_step(self, secret: str, code: str, *, after_step: int, now: datetime) -> int | None:
        """The step whose code this is, if it lies after the last one used; None for a wrong or used code.

        The caller stores the step with a condition (`later than before`), so that of two requests with one
        code only one succeeds.
        """
        digits = code.replace(" ", "")
        found: int | None = None
        totp = pyotp.TOTP(secret, interval=STEP_S)
        for offset in range(-STEPS_AROUND, STEPS_AROUND + 1):
            at = now + timedelta(seconds=offset * STEP_S)
            step = int(at.timestamp()) // STEP_S
            if hmac.compare_digest(str(totp.at(at)).encode(), digits.encode()) and step > after_step:
                found = step
        return found
