"""Door: who comes in, from where, how often, and what they have to say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from authz.identity.subject import ANONYMOUS, Subject
from router.admission import ClientClass, Safelist, class_of
from router.config import RouterConfig
from router.edge.addresses import Addresses
from router.edge.credentials import Credentials
from router.edge.possession import Possessions
from router.edge.rate import Rate
from router.errors import ClientError
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.telemetry import TRACING, operation_named, operations_count

CLIENT_NAME_HEADERS: Final = ("graphql-client-name", "apollographql-client-name", "stadion-client-name")
NO_CLASS_NAME: Final = "none"


@dataclass(frozen=True, slots=True)
class Door:
    """Lets requests and connections in. One an app."""

    config: RouterConfig
    credentials: Credentials
    addresses: Addresses
    rate: Rate
    possessions: Possessions

    async def let_in(self, scope: Scope, headers: Mapping[str, str]) -> Subject:
        """Who asks, known and counted. Errors: AUTH_ERROR, RateExceeded, BAD_REQUEST."""
        subject = await self.caller(headers.get("authorization"), scope, headers)
        await self.count(subject)
        self.check_client(headers)
        return subject

    async def caller(self, authorization: str | None, scope: Scope, headers: Mapping[str, str]) -> Subject:
        """Who asks, with the address that they ask from. Errors: AUTH_ERROR."""
        subject = await self.credentials.subject_of(authorization)
        if subject.key_thumbprint is not None and authorization is not None:
            await self.possessions.check(subject.key_thumbprint, authorization, scope, headers)
        return self._at_address(subject, scope, headers)

    def known_caller(
        self, authorization: str | None, scope: Scope, headers: Mapping[str, str]
    ) -> Subject | None:
        """As `caller`, where nothing has to be waited for; None elsewhere. Errors: AUTH_ERROR."""
        subject = self.credentials.known(authorization)
        if subject is None or subject.key_thumbprint is not None:
            return None
        return self._at_address(subject, scope, headers)

    def _at_address(self, subject: Subject, scope: Scope, headers: Mapping[str, str]) -> Subject:
        address = self.addresses.of(scope, headers)
        if address is None:
            return subject
        return anonymous_at(address) if subject is ANONYMOUS else replace(subject, client_address=address)

    def counts_now(self, subject: Subject) -> bool:
        """As `count`, where no store has to be asked; False elsewhere.  Errors: RateExceeded."""
        if not self.config.client_classes and not self.rate.counts:
            return True
        own = self.class_of(subject)
        return self.rate.take_now(subject, per_minute=own.requests_per_minute_max if own else 0)

    async def count(self, subject: Subject, *, operations: int = 1) -> None:
        """Count what a caller asks for. Errors: RateExceeded."""
        if not self.config.client_classes and not self.rate.counts:
            return
        own = self.class_of(subject)
        for _ in range(operations):
            await self.rate.take(subject, per_minute=own.requests_per_minute_max if own else 0)

    def safelist(self, subject: Subject) -> Safelist:
        """Which documents this caller may have run."""
        own = self.class_of(subject)
        return own.safelist if own else self.config.persisted.safelist

    def class_of(self, subject: Subject) -> ClientClass | None:
        """The class of clients that the caller belongs to."""
        classes = self.config.client_classes
        found = class_of(subject, classes) if classes else None
        return found[1] if found else None

    def check_client(self, headers: Mapping[str, str]) -> None:
        """Refuse a client that does not say which it is, where it has to. Errors: BAD_REQUEST."""
        if self.config.require_client_name and not any(headers.get(one) for one in CLIENT_NAME_HEADERS):
            raise ClientError(f"name the client in the header `{CLIENT_NAME_HEADERS[0]}`", code="BAD_REQUEST")

    def check_operation(self, request: GraphQLRequest, name: str | None) -> None:
        """Refuse an operation without a name, where it has to have one. Errors: BAD_REQUEST."""
        if self.config.require_operation_name and not (request.operation_name or name):
            raise ClientError("give the operation a name", code="BAD_REQUEST")

    def note(self, subject: Subject, kind: OperationKind, name: str | None) -> None:
        """Count one operation for the metrics, and name it in the request's span."""
        if TRACING.tracer is not None:
            operation_named(name, kind.value)
        self.noting(subject, kind)()

    def noting(self, subject: Subject, kind: OperationKind) -> Callable[[], None]:
        """What counts one operation of this caller for the metrics."""
        classes = self.config.client_classes
        found = class_of(subject, classes) if classes else None
        return _counting(kind, found[0] if found else NO_CLASS_NAME)


@lru_cache(maxsize=1_024)
def _counting(kind: OperationKind, client: str) -> Callable[[], None]:
    return operations_count.series({"kind": kind.value, "client": client})


@lru_cache(maxsize=4_096)
def anonymous_at(address: str) -> Subject:
    """Nobody in particular, from one address."""
    return replace(ANONYMOUS, client_address=address)
