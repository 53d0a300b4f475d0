"""Where each root field is answered: at the caller's home, at an owner's, at an object's, or everywhere.

Everything follows from whose it is; this table only says which argument names the owner. A root field that
is not in it is not routed: `unrouted` names those, and a start with regions refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from graphql import GraphQLSchema

NOT_FOUND = "NOT_FOUND"
HIDDEN = frozenset({NOT_FOUND})
"""The codes by which a region says that it has no such object. Whatever it was asked for was not done."""


class Kind(Enum):
    """How the region is found."""

    HOME = "where the caller is at home"
    OWNER = "where the person is at home whom an argument names; at the caller's home where it names nobody"
    OBJECT = "where the object is that an argument names: at home first, then wherever else it is known"
    EVERY_LIST = "everywhere; the lists follow each other, the caller's home first"
    EVERY_STREAM = "everywhere; events as they come"
    EVERY_PAGE = "everywhere; the pages follow each other, the caller's home first"


@dataclass(frozen=True, slots=True)
class Route:
    """`by` is the path of the argument that decides. `mentions` are paths that may name people at home
    elsewhere: what is kept of them is their id. Any other mention of such a person is NOT_FOUND. `hidden` are
    the codes that say, in `errors` or in `userErrors`, that the object is not there."""

    kind: Kind
    by: str = ""
    mentions: frozenset[str] = frozenset()
    hidden: frozenset[str] = HIDDEN


HOME = Route(Kind.HOME)


def _home(*mentions: str) -> Route:
    return Route(Kind.HOME, mentions=frozenset(mentions))


def _owner(by: str, *mentions: str) -> Route:
    return Route(Kind.OWNER, by, frozenset({by, *mentions}))


def _object(by: str, *, hidden: frozenset[str] = HIDDEN) -> Route:
    return Route(Kind.OBJECT, by, frozenset({by}), hidden)


# Administrators administer the region that they are at home in: `users`, roles and suspensions are HOME.
ROUTES: Mapping[str, Route] = {
    "Query._service": HOME,
    "Query.__typename": HOME,
    "Query.me": HOME,
    "Query.user": _owner("id"),
    "Query.users": HOME,
    "Query.pendingRoles": HOME,
    "Query.organisations": HOME,
    "Query.apiClients": HOME,
    "Query.apiClient": HOME,
    "Query.authorizationRequest": _home("input.clientId"),
    "Query.organisationMembers": HOME,
    "Query.coachLink": _object("id"),
    "Query.guardianship": _object("id"),
    "Query.guardianshipsToDecide": Route(Kind.EVERY_PAGE),
    "Query.activity": _object("id"),
    "Query.patientsInMyCare": Route(Kind.EVERY_LIST),
    "Query.consentPreview": _home("draft.actorId"),
    "Query.breakGlassGrants": Route(Kind.EVERY_PAGE),
    "Query.myAccessLog": _home("filter.actorId"),
    "Query.auditLog": _owner("filter.targetId", "filter.actorId"),
    "Query.verifyChain": HOME,
    "Query.explainAccess": _owner("targetId", "viewerId"),
    "Query.whoCanSee": _owner("targetId"),
    "Mutation.__typename": HOME,
    "Mutation.register": HOME,
    "Mutation.logIn": HOME,
    "Mutation.refresh": _object("input.refreshToken", hidden=frozenset({"BAD_REFRESH_TOKEN"})),
    "Mutation.logOut": HOME,
    "Mutation.revokeSession": HOME,
    "Mutation.revokeOtherSessions": HOME,
    "Mutation.changePassword": HOME,
    "Mutation.enrolTotp": HOME,
    "Mutation.confirmTotp": HOME,
    "Mutation.disableTotp": HOME,
    "Mutation.eraseAccount": HOME,
    "Mutation.grantRole": HOME,
    "Mutation.approveRole": HOME,
    "Mutation.revokeRole": HOME,
    "Mutation.changeRole": HOME,
    "Mutation.createOrganisation": HOME,
    "Mutation.addMember": HOME,
    "Mutation.removeMember": HOME,
    "Mutation.leaveOrganisation": HOME,
    "Mutation.registerApiClient": HOME,
    "Mutation.approveApiClient": HOME,
    "Mutation.changeApiClient": HOME,
    "Mutation.rotateClientSecret": HOME,
    "Mutation.setClientKeys": HOME,
    "Mutation.revokeApiClient": HOME,
    "Mutation.authorizeClient": _home("input.clientId"),
    "Mutation.withdrawAuthorization": HOME,
    "Mutation.registerDevice": HOME,
    "Mutation.revokeDevice": HOME,
    "Mutation.attestDevice": HOME,
    "Mutation.markDeviceCompromised": HOME,
    "Mutation.suspendUser": HOME,
    "Mutation.resetSecondFactor": HOME,
    "Mutation.reinstateUser": HOME,
    "Mutation.updateProfile": HOME,
    "Mutation.updateSettings": HOME,
    "Mutation.inviteCoach": _home("input.coachId"),
    "Mutation.acceptCoach": _object("id"),
    "Mutation.declineCoach": _object("id"),
    "Mutation.setCoachScopes": _object("id"),
    "Mutation.pauseCoachLink": _object("id"),
    "Mutation.resumeCoachLink": _object("id"),
    "Mutation.endCoachLink": _object("id"),
    # A guardianship is the minor's; whether a guardian of another region is of age is asked there.
    "Mutation.requestGuardianship": _owner("input.minorId"),
    "Mutation.confirmGuardianship": _object("input.id"),
    "Mutation.declineGuardianship": _object("id"),
    "Mutation.contestGuardianship": HOME,
    "Mutation.upholdGuardianship": _object("id"),
    "Mutation.endGuardianship": _object("id"),
    "Mutation.updateWardProfile": _owner("userId"),
    "Mutation.endWardCoachLink": _object("id"),
    "Mutation.uploadActivityFile": HOME,
    "Mutation.prepareActivityUpload": HOME,
    "Mutation.importUpload": HOME,
    "Mutation.createActivity": HOME,
    "Mutation.updateActivity": HOME,
    "Mutation.deleteActivity": HOME,
    "Mutation.setThreshold": HOME,
    "Mutation.importBundle": _owner("input.userId"),
    "Mutation.setClearance": _owner("input.userId"),
    "Mutation.addToCareTeam": _owner("input.userId", "input.practitionerId"),
    "Mutation.endCare": _object("id"),
    "Mutation.grantConsent": _home("input.actorId"),
    "Mutation.revokeConsent": HOME,
    "Mutation.breakGlass": _owner("input.userId"),
    "Mutation.confirmBreakGlass": _object("id"),
    "Mutation.endBreakGlass": _object("id"),
    "Mutation.acknowledgeBreakGlass": HOME,
    "Mutation.closeBreakGlassReview": _object("input.id"),
    "Subscription.activityAdded": _owner("athleteId"),
    "Subscription.breakGlassUsed": HOME,
    "Subscription.guardianshipChanged": Route(Kind.EVERY_STREAM),
}

PERSON_TYPE = "User"
"""The entity whose key is a person's id. Every other entity is an object, which lies where its owner is."""

EVERYWHERE: Mapping[str, Kind] = {"athletes": Kind.EVERY_PAGE, "wards": Kind.EVERY_LIST}
"""Lists of one's own `User` that hold what belongs to others: a coach's links are their athletes', a
guardian's guardianships the minors'."""


def unrouted(schema: GraphQLSchema) -> list[str]:
    """The root fields of the API that no route is known for."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    named = {f"{root.name}.{field}" for root in roots if root is not None for field in root.fields}
    return sorted(_without_federation(named) - set(ROUTES))


def _without_federation(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.endswith("._entities")}
