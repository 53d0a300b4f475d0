"""Signing keys of access tokens: one signs, the earlier ones still verify; kept as JWK files of mode 0600."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from authz.errors import KeyFileUnsafe
from authz.identity.clock import Clock, now_utc
from datastores.folder import is_private

Algorithm = Literal["Ed25519", "ES256"]
"""What our own tokens are signed with."""
ForeignAlgorithm = Literal["Ed25519", "ES256", "RS256", "PS256"]
"""What an issuer's tokens may be signed with, where it is said to sign so."""
SigningJwk = OKPKey | ECKey
OWN_ALGORITHMS: tuple[ForeignAlgorithm, ...] = ("Ed25519", "ES256")
KEY_TYPES: Mapping[str, tuple[str, str | None]] = {
    "Ed25519": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
}
"""Algorithm → type and curve of its keys."""
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
"""A longer key would make each token a load."""
RSA_EXPONENT_MIN = 65_537
RSA_EXPONENT_BITS_MAX = 32

JWKS_KEYS_MAX = 32
KEY_FILES = "signing-*.jwk"
log = logging.getLogger("stadion.keys")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key, bound to the only algorithm it may be used with."""

    kid: str
    algorithm: ForeignAlgorithm
    jwk: SigningJwk | RSAKey

    def public_document(self) -> dict[str, Any]:
        """The key as a member of a JWKS document; never holds a private part."""
        parameters = self.jwk.as_dict(private=False)
        return {**parameters, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the moment from which it signs."""

    kid: str
    algorithm: Algorithm
    jwk: SigningJwk
    created_at_utc: datetime

    def verification_key(self) -> VerificationKey:
        """The public half."""
        public = self.jwk.as_dict(private=False)
        return VerificationKey(self.kid, self.algorithm, import_jwk(self.algorithm, public))

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r}, {self.algorithm!r})"


def generate_key(*, algorithm: Algorithm = "Ed25519", created_at_utc: datetime) -> SigningKey:
    """A new key. `kid` is its JWK thumbprint.  Source: RFC 7638, RFC 8037, RFC 9864."""
    jwk: SigningJwk = (
        OKPKey.generate_key("Ed25519") if algorithm == "Ed25519" else ECKey.generate_key("P-256")
    )
    return SigningKey(jwk.thumbprint(), algorithm, jwk, created_at_utc)


class KeyRing:
    """The keys of one issuer: the newest signs, all verify.

    With a folder the ring survives the process, and takes keys that another process has added there: what
    those sign is believed, this one goes on to sign with its own. Keys older than `keep` are dropped at
    rotation, which must be longer than a token lives.
    Errors: KeyFileUnsafe for a key file that is damaged or readable by others.
    """

    def __init__(self, keys: Iterable[SigningKey], *, folder: Path | None = None) -> None:
        self._keys = sorted(keys, key=lambda key: key.created_at_utc)
        if not self._keys:
            raise ValueError("a key ring needs at least one key")
        self._folder = folder
        self._added: list[SigningKey] = []
        self._looked_at_ns = 0
        self._publish()

    @property
    def signing_key(self) -> SigningKey:
        """The key that new tokens are signed with."""
        return self._keys[-1]

    def find(self, kid: str) -> VerificationKey | None:
        """The public key of that id, or None."""
        if kid not in self._public:
            self._take_added()
        return self._public.get(kid)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWKS document that other verifiers fetch, newest key first.  Source: RFC 7517 §5."""
        self._take_added()
        return {"keys": [key.public_document() for key in reversed(self._public.values())]}

    def rotate(self, *, now: datetime, keep: timedelta = timedelta(days=1)) -> SigningKey:
        """Start signing with a new key; the one before verifies for `keep` from now on."""
        fresh = generate_key(algorithm=self.signing_key.algorithm, created_at_utc=now)
        retired = self._retired(now=now, keep=keep)
        if self._folder is not None:
            save_key(self._folder, fresh)
            for key in retired:
                _key_path(self._folder, key).unlink(missing_ok=True)
        self._keys = [key for key in self._keys if key not in retired] + [fresh]
        self._publish()
        return fresh

    def _retired(self, *, now: datetime, keep: timedelta) -> list[SigningKey]:
        # A key stopped signing when its successor was made: that moment counts, not its own age.
        pairs = zip(self._keys, self._keys[1:], strict=False)
        return [key for key, successor in pairs if successor.created_at_utc < now - keep]

    def _publish(self) -> None:
        keys = sorted([*self._keys, *self._added], key=lambda key: key.created_at_utc)
        self._public = {key.kid: key.verification_key() for key in keys}

    def _take_added(self) -> None:
        """Look into the folder where it has changed. One look costs an unknown key no more than a `stat`."""
        if self._folder is None:
            return
        try:
            changed_at_ns = self._folder.stat().st_mtime_ns
        except OSError:
            return  # what is known stays known
        if changed_at_ns == self._looked_at_ns:
            return
        self._looked_at_ns = changed_at_ns
        known = {_key_path(self._folder, key) for key in self._keys}
        added = []
        for path in set(self._folder.glob(KEY_FILES)) - known:
            try:
                added.append(load_key(path))
            except (KeyFileUnsafe, OSError) as error:
                log.warning("a key that was added is not believed: %s", error)
        self._added = added
        self._publish()


class PublicKeys:
    """The keys of a foreign issuer, read from its JWKS document.

    Symmetric and private keys in the document are left out: a verifier that took them could be made to
    accept tokens signed with what everybody can read. So are keys of other algorithms than `algorithms`, the
    most wanted first; a key that does not name its own is for the first of them that it fits.
    Errors: TypeError for a document without a list of keys.
    """

    def __init__(
        self, document: Mapping[str, Any], *, algorithms: Sequence[ForeignAlgorithm] = OWN_ALGORITHMS
    ) -> None:
        members = document.get("keys")
        if not isinstance(members, list):
            raise TypeError("a JWKS document needs a list `keys`")
        self._keys: dict[str, VerificationKey] = {}
        for member in members[:JWKS_KEYS_MAX]:
            key = _read_public(member, algorithms)
            if key is not None:
                self._keys.setdefault(key.kid, key)

    @property
    def is_empty(self) -> bool:
        """Whether no key of the document can be used."""
        return not self._keys

    def find(self, kid: str) -> VerificationKey | None:
        """The public key of that id, or None."""
        return self._keys.get(kid)


def open_key_ring(
    folder: Path,
    *,
    algorithm: Algorithm = "Ed25519",
    rotate_after: timedelta = timedelta(days=30),
    clock: Clock = now_utc,
) -> KeyRing:
    """The keys kept in `folder`; makes the first one, and a new one where the newest is old. A folder that
    cannot be written is another's to keep, and changes by that one's hand alone.

    Errors: KeyFileUnsafe, see `KeyRing`; OSError where there is no key, and none can be made.
    """
    keys = [load_key(path) for path in sorted(folder.glob(KEY_FILES))]
    now = clock()
    if keys and not os.access(folder, os.W_OK):
        return KeyRing(keys, folder=folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not keys:
        keys = [generate_key(algorithm=algorithm, created_at_utc=now)]
        save_key(folder, keys[0])
    ring = KeyRing(keys, folder=folder)
    if ring.signing_key.created_at_utc <= now - rotate_after:
        ring.rotate(now=now)
    return ring


def save_key(folder: Path, key: SigningKey) -> Path:
    """Write the private key, whole or not at all, readable by its owner alone."""
    path = _key_path(folder, key)
    document = {
        **key.jwk.as_dict(private=True),
        "kid": key.kid,
        "alg": key.algorithm,
        "created_at": key.created_at_utc.isoformat(),
    }
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def load_key(path: Path) -> SigningKey:
    """Read one key file.  Errors: KeyFileUnsafe when others may read it, or it is no key of ours."""
    if not is_private(path.stat()):
        raise KeyFileUnsafe(f"others can read the signing key `{path.name}`; run `chmod 600` on it")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        algorithm: Algorithm = document["alg"]
        jwk = import_jwk(algorithm, document)
        if not jwk.is_private:
            raise ValueError("a public key signs nothing")
        created_at = datetime.fromisoformat(document["created_at"])
        return SigningKey(str(document["kid"]), algorithm, jwk, created_at)
    except (ValueError, KeyError, TypeError, JoseError) as error:
        raise KeyFileUnsafe(
            f"the signing key `{path.name}` is damaged; move it away to get a new one"
        ) from error


def _key_path(folder: Path, key: SigningKey) -> Path:
    return folder / f"signing-{key.kid}.jwk"


def import_jwk(algorithm: Algorithm, document: Mapping[str, Any]) -> SigningJwk:
    """The key of a JWK, for this algorithm alone.  Errors: ValueError, JoseError."""
    if (document.get("kty"), document.get("crv")) != KEY_TYPES[algorithm]:
        raise ValueError("the key is not of its algorithm's type")
    parameters = {name: document[name] for name in ("kty", "crv", "x", "y", "d") if name in document}
    return OKPKey.import_key(parameters) if algorithm == "Ed25519" else ECKey.import_key(parameters)


def _import_rsa(document: Mapping[str, Any]) -> RSAKey:
    if document.get("kty") != "RSA":
        raise ValueError("the key is not of its algorithm's type")
    # judged before it is imported: the import of a huge one is a load by itself
    modulus, exponent = _number(document["n"]), _number(document["e"])
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        raise ValueError("the RSA key is too short or too long")
    if exponent < RSA_EXPONENT_MIN or exponent % 2 == 0 or exponent.bit_length() > RSA_EXPONENT_BITS_MAX:
        raise ValueError("the RSA key's exponent is not a usual one")
    return RSAKey.import_key({name: document[name] for name in ("kty", "n", "e")})


def _number(value: object) -> int:
    if not isinstance(value, str):
        raise TypeError("a number of a key is a text")
    return int.from_bytes(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)), "big")


def _read_public(member: object, algorithms: Sequence[ForeignAlgorithm]) -> VerificationKey | None:
    if not isinstance(member, Mapping) or "d" in member or "k" in member:
        return None
    kid, algorithm = member.get("kid"), _algorithm_of(member, algorithms)
    if not isinstance(kid, str) or algorithm is None:
        return None
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ("verify",)):
        return None
    try:
        match algorithm:
            case "RS256" | "PS256":
                return VerificationKey(kid, algorithm, _import_rsa(member))
            case _:
                return VerificationKey(kid, algorithm, import_jwk(algorithm, member))
    except (ValueError, TypeError, KeyError, JoseError):
        return None


def _algorithm_of(
    member: Mapping[str, Any], algorithms: Sequence[ForeignAlgorithm]
) -> ForeignAlgorithm | None:
    """The only algorithm that the key is used with.  Source: RFC 8725 §3.1."""
    for one in algorithms:
        if member.get("alg", one) == one and KEY_TYPES[one] == (member.get("kty"), member.get("crv")):
            return one
    return None
