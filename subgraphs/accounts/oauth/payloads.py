"""What mutations about clients take and give back. A payload tells its actor alone what they just did."""

from __future__ import annotations

import datetime as dt

import strawberry

from authz.classes import DataClass
from subgraphs.accounts.oauth import model
from subgraphs.accounts.oauth.administration import Registration
from subgraphs.accounts.oauth.consent import Asked
from subgraphs.accounts.oauth.entities import ApiClient, ScopeMeaning
from subgraphs.accounts.sessions import IDLE_MAX, LIFETIME_MAX
from subgraphs.kit import UserError, classified, clean_text


@strawberry.input
class RegisterApiClientInput:
    """A program that is to get tokens."""

    name: str
    kind: model.ClientKind
    scopes: list[str] = strawberry.field(description="What it may ask for, at most.")
    redirect_uris: list[str] = strawberry.field(
        default_factory=list, description="Where codes are sent; compared to the letter."
    )
    organisation_id: strawberry.ID | None = None
    authentication: model.ClientAuthentication = model.ClientAuthentication.SECRET
    jwks: str | None = strawberry.field(default=None, description="Public keys for `PRIVATE_KEY_JWT` (JWKS).")
    documents: model.ClientDocuments = model.ClientDocuments.IDS
    rate: model.ClientRate = model.ClientRate.STANDARD
    proof_required: bool = strawberry.field(
        default=False, description="Bind its tokens to a key that it has to prove (DPoP)."
    )
    expires_at: dt.datetime | None = None

    def registration(self) -> Registration:
        """What it asks for.  Errors: PublicError BAD_INPUT."""
        organisation = self.organisation_id
        return Registration(
            name=clean_text(self.name, "name", characters_max=model.NAME_CHARACTERS_MAX),
            kind=self.kind,
            scopes=tuple(self.scopes),
            redirect_uris=tuple(self.redirect_uris),
            organisation_id=None if organisation is None else str(organisation),
            authentication=self.authentication,
            jwks=self.jwks,
            documents=self.documents,
            rate=self.rate,
            proof_required=self.proof_required,
            expires_at_utc=self.expires_at,
        )


@strawberry.input
class ChangeApiClientInput:
    """How a client is to be from now on; what is left out stays as it is."""

    id: strawberry.ID
    scopes: list[str] | None = None
    redirect_uris: list[str] | None = None
    documents: model.ClientDocuments | None = None
    rate: model.ClientRate | None = None
    proof_required: bool | None = None
    expires_at: dt.datetime | None = None


@strawberry.input
class AuthorizationRequestInput:
    """What a client has put into the address that it sent a person to.  Source: RFC 6749 §4.1.1, RFC 7636."""

    client_id: strawberry.ID
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str = "S256"
    response_type: str = "code"
    scope: str | None = None
    state: str | None = None

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """The same as the protocol names it."""
        given = {
            "client_id": str(self.client_id),
            "redirect_uri": self.redirect_uri,
            "code_challenge": self.code_challenge,
            "code_challenge_method": self.code_challenge_method,
            "response_type": self.response_type,
            "scope": self.scope,
            "state": self.state,
        }
        return tuple((name, value) for name, value in given.items() if value)


@classified(DataClass.PUBLIC)
@strawberry.type
class ApiClientPayload:
    """The client as it is now, or what was wrong."""

    client: ApiClient | None = None
    secret: str | None = strawberry.field(default=None, description="Shown this once, and never again.")
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class AuthorizationRequest:
    """What a client asks the caller for, to be shown before they agree."""

    client: ApiClient | None = None
    scopes: list[str] = strawberry.field(default_factory=list)
    meanings: list[ScopeMeaning] = strawberry.field(
        default_factory=list, description="What each scope lets the client do."
    )
    organisation: str | None = strawberry.field(default=None, description="Whose program it is.")
    vouched_by: list[str] = strawberry.field(
        default_factory=list, description="The administrators who registered and approved it, by handle."
    )
    days_max: int | None = strawberry.field(default=None, description="After which it ends.")
    days_unused_max: int | None = strawberry.field(
        default=None, description="After which it ends where the client does not come back."
    )
    ticket: str | None = strawberry.field(
        default=None, description="Give it to `authorizeClient`: good for this request, once, for 10 minutes."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list)

    @classmethod
    def of(cls, asked: Asked) -> AuthorizationRequest:
        """The GraphQL object of what was asked."""
        return cls(
            client=ApiClient.of(asked.client),
            scopes=list(asked.scopes),
            meanings=[ScopeMeaning.of(each) for each in asked.scopes],
            organisation=asked.organisation,
            vouched_by=list(asked.vouched_by),
            days_max=LIFETIME_MAX.days,
            days_unused_max=IDLE_MAX.days,
            ticket=asked.ticket,
        )


@classified(DataClass.PUBLIC)
@strawberry.type
class AuthorizationPayload:
    """Where to send the caller's browser, or what was wrong."""

    redirect_to: str | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class WithdrawalPayload:
    """Whether the client has lost what it was let do, or what was wrong."""

    withdrawn: bool = False
    user_errors: list[UserError] = strawberry.field(default_factory=list)
