"""The domains, each with the ports it asks for: the only place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from authz.classes import DataClass
from authz.decide import Authorizer
from authz.identity.proof_nonces import ProofNonces
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer
from datastores.relational.port import Relational
from deploy.file_links import FileLinks
from deploy.stores import Stores
from subgraphs.accounts import role_store
from subgraphs.accounts import store as accounts_store
from subgraphs.accounts import subgraph as accounts
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import subject_of
from subgraphs.accounts.passwords import Passwords
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.sessions import RefreshKey
from subgraphs.audit import subgraph as audit
from subgraphs.audit.events import SUBJECT as AUDITED_PERSON
from subgraphs.audit.events import AuditLog
from subgraphs.audit.explaining import Explainer
from subgraphs.audit.model import Pseudonyms, Seal
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.row_fence import FencedRows
from subgraphs.kit.trail import OutboxLedger, TrailedWrites
from subgraphs.medical import subgraph as medical
from subgraphs.profiles import subgraph as profiles
from subgraphs.training import subgraph as training
from subgraphs.training.ports import TrainingPorts

VIEWERS_MAX = 1_000


class Elsewhere(Protocol):
    """People who are at home in other regions."""

    async def knows(self, user_id: str) -> bool:
        """Whether somebody of this id is at home in another region."""
        ...

    async def person(self, user_id: str) -> Subject | None:
        """Somebody of another region with the roles that they hold there."""
        ...

    async def of_age(self, user_id: str) -> bool | None:
        """Whether somebody of another region is of age; None where they do not say, and for nobody."""
        ...


class _Nobody:
    async def knows(self, user_id: str) -> bool:
        return False

    async def person(self, user_id: str) -> Subject | None:
        return None

    async def of_age(self, user_id: str) -> bool | None:
        return None


NOBODY_ELSEWHERE: Elsewhere = _Nobody()
"""Where there is one region."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What more than one domain is handed. `secret(name)` gives the installation's kept random bytes."""

    stores: Stores
    authorizer: Authorizer
    tokens: TokenIssuer
    passwords: Passwords
    secret: Callable[[str], bytes]
    now: Callable[[], datetime]
    elsewhere: Elsewhere = NOBODY_ELSEWHERE
    files_url: str = "/files"
    proof_nonces: ProofNonces | None = None


@dataclass(frozen=True, slots=True)
class Domains:
    """The subgraphs by name, and the ports of training that the command line shares."""

    subgraphs: Mapping[str, Subgraph[Any]]
    training_ports: TrainingPorts


Store = TypeVar("Store", bound=Relational)


def build_domains(shared: Shared) -> Domains:
    """Every subgraph over its open, prepared stores."""
    stores, cursors = shared.stores, CursorSigner(shared.secret("cursors"))

    training_ports = TrainingPorts(
        relational=_fenced(shared, stores.relational["training"]),
        blobs=stores.blobs,
        outbox=stores.events.outbox,
        clock=shared.now,
        links=FileLinks(stores.blobs, shared.secret("file-links"), base_url=shared.files_url).link,
    )
    built: list[Subgraph[Any]] = [
        *_people(shared, cursors),
        training.build_of(
            training_ports, events=stores.events, authorizer=shared.authorizer, cursors=cursors
        ),
        medical.build(
            vault=_fenced(shared, stores.vault),
            outbox=stores.events.outbox,
            events=stores.events,
            authorizer=shared.authorizer,
            cursors=cursors,
            now=shared.now,
        ),
    ]
    built.append(
        audit.build(
            log=audit_log_of(shared), explainer=_explainer(shared, built), authorizer=shared.authorizer,
            cursors=cursors,
        )
    )  # fmt: skip
    for each in built:
        store = stores.vault if each.name == medical.NAME else stores.relational[each.name]
        each.record_in(OutboxLedger(store, stores.events.outbox))
    return Domains({each.name: each for each in built}, training_ports)


def _people(shared: Shared, cursors: CursorSigner) -> list[Subgraph[Any]]:
    """Who people are, and what they say of themselves."""
    rows = shared.stores.relational
    return [
        accounts.build(
            accounts_ports(shared),
            shown=_fenced(shared, rows["accounts"]),
            authorizer=shared.authorizer,
            cursors=cursors,
        ),
        profiles.build(
            relational=_fenced(shared, rows["profiles"]),
            unfenced=_trailed(shared, rows["profiles"]),
            outbox=shared.stores.events.outbox,
            events=shared.stores.events,
            authorizer=shared.authorizer,
            cursors=cursors,
            now=shared.now,
            elsewhere=shared.elsewhere.knows,
            of_age_elsewhere=shared.elsewhere.of_age,
        ),
    ]


def accounts_ports(shared: Shared) -> Accounts:
    """What accounts works with; its endpoints of OAuth with the same."""
    return accounts.ports(
        relational=_trailed(shared, shared.stores.relational["accounts"]),
        outbox=shared.stores.events.outbox,
        tokens=shared.tokens,
        passwords=shared.passwords,
        second_factor=SecondFactor(shared.secret("second-factors")),
        refresh_key=RefreshKey(shared.secret("refresh-tokens")),
        now=shared.now,
        nonces=shared.proof_nonces,
    )


def _trailed(shared: Shared, store: Store) -> Store:
    """The store, its writes carrying the record of the mutation that they belong to."""
    return cast(Store, TrailedWrites(store, shared.stores.events.outbox))


def _fenced(shared: Shared, store: Store) -> Store:
    """The same behind row-level security: for domains whose migrations lay the fence in the database."""
    return _trailed(shared, cast(Store, FencedRows(store)))


def audit_log_of(shared: Shared) -> AuditLog:
    """The audit log of this installation, with its own keys."""
    pseudonyms = Pseudonyms(shared.secret("audit-pseudonyms"))
    rows = FencedRows(
        shared.stores.relational["audit"], named=lambda user_id: pseudonyms.of(AUDITED_PERSON, user_id)
    )
    return AuditLog(
        relational=cast(Relational, rows),
        pseudonyms=pseudonyms,
        seal=Seal(shared.secret("audit-seal")),
        now=shared.now,
    )


def _explainer(shared: Shared, others: list[Subgraph[Any]]) -> Explainer:
    """Explains by the fields of all domains, and by the roles that somebody has in force."""
    classes: dict[str, tuple[DataClass, str]] = {}
    for each in others:
        classes.update(each.classes())

    async def person(user_id: str, at: datetime | None) -> Subject | None:
        found = await person_at(shared.stores, user_id, at or shared.now())
        return found or await shared.elsewhere.person(user_id)

    async def subjects_of(owner_id: str) -> list[str]:
        return await shared.stores.facts.subjects_of(owner_id, limit=VIEWERS_MAX)

    return Explainer(
        classes=lambda: classes,
        person=person,
        authorize=lambda viewer, at: _authorizer(shared, at).for_request(viewer),
        subjects_of=subjects_of,
        policy_version=lambda: shared.authorizer.policy_version,
    )


def _authorizer(shared: Shared, at: datetime | None) -> Authorizer:
    return shared.authorizer if at is None else shared.authorizer.at(at)


async def person_at(stores: Stores, user_id: str, now: datetime) -> Subject | None:
    """Somebody as their strongest token would prove them; None for nobody of these stores."""
    roles, factors, organisations = await stores.relational["accounts"].read(
        lambda c: (
            accounts_store.roles_of(c, [user_id]),
            accounts_store.with_totp(c, [user_id]),
            role_store.organisation_ids(c, user_id),
        )
    )
    if user_id not in factors:
        return None
    return subject_of(
        user_id,
        roles[user_id],
        acr=2 if factors[user_id] else 1,
        now=now,
        authenticated_at_utc=now,
        organisations=organisations,
    )
