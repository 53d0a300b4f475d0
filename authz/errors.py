"""What authz raises. Client-visible errors say nothing about why; internal ones are logged and masked."""


class AuthzError(Exception):
    """Base of everything authz raises."""


class InvalidToken(AuthzError):
    """An access token that is not to be believed. Client-visible, one constant message for every cause."""

    code = "INVALID_TOKEN"
    http_status = 401

    def __init__(self) -> None:
        super().__init__("the access token is not valid; log in again")


class InvalidProof(AuthzError):
    """A device's proof that is not to be believed. Client-visible, one constant message for every cause."""

    code = "BAD_DEVICE_PROOF"

    def __init__(self) -> None:
        super().__init__("the proof of the device is not valid; make a new one")


class NonceNeeded(InvalidProof):
    """A proof that is right but for the server's nonce, which is `nonce` now."""

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


class InvalidCall(AuthzError):
    """A call to a subgraph that no router of this deployment signed, or signed for another call."""

    code = "INVALID_CALL"
    http_status = 401

    def __init__(self) -> None:
        super().__init__("the call carries no valid router signature")


class KeyFileUnsafe(AuthzError):
    """Internal: a signing key that cannot be read, or that others could read too."""


class PolicyInvalid(AuthzError):
    """Internal: a policy that cannot be believed whole. Holds every problem found, with its line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class FactInvalid(AuthzError):
    """Internal: a fact event whose payload has not the agreed shape."""
