"""The vocabulary of decisions: data classes, roles, relations, actions, purposes.

Source: `architecture.md` §4, `domains.md` §2; purposes from HL7 v3 ActReason.
"""

from enum import StrEnum


class DataClass(StrEnum):
    """What kind of thing a field tells. Every field of every subgraph has exactly one."""

    PUBLIC = "PUBLIC"
    SOCIAL = "SOCIAL"
    PERSONAL = "PERSONAL"
    TRAINING = "TRAINING"
    LOCATION = "LOCATION"
    WELLNESS = "WELLNESS"
    CLINICAL = "CLINICAL"
    CLINICAL_RESTRICTED = "CLINICAL_RESTRICTED"
    FINANCIAL = "FINANCIAL"
    SECURITY = "SECURITY"
    AUDIT = "AUDIT"


class Role(StrEnum):
    """What an administrator has granted a person or a client. A role alone opens no foreign row."""

    ATHLETE = "athlete"
    TRAINER = "trainer"
    MODERATOR = "moderator"
    ADMINISTRATOR = "administrator"
    MEDICAL_SPECIALIST = "medical_specialist"
    FINANCE = "finance"
    SERVICE = "service"
    PARTNER = "partner"


class Relation(StrEnum):
    """What a subject is to the owner of a row; loaded from facts, never claimed by the caller."""

    SELF = "self"
    FRIEND = "friend"
    COACH = "coach"
    TREATING = "treating"
    GUARDIAN = "guardian"
    BLOCKED = "blocked"
    MODERATING = "moderating"
    BREAK_GLASS = "break_glass"
    # Somebody whom a limited role of the subject's is for; and somebody of a circle, such as an organisation.
    ASSIGNED = "assigned"
    MEMBER = "member"
    NONE = "none"


class Purpose(StrEnum):
    """Why a protected row is read (HL7 v3 ActReason codes)."""

    TREATMENT = "TREAT"
    EMERGENCY_TREATMENT = "ETREAT"
    PATIENT_REQUEST = "PATRQT"
    OPERATIONS = "HOPERAT"
    RESEARCH = "HRESCH"
    PAYMENT = "HPAYMT"
    BREAK_GLASS = "BTG"


class Action(StrEnum):
    """What is done with a field. Policies and `@classified(action:)` use these words; a field has one.

    A part of a class that more people may see than the rest has an action of its own, as CLINICAL has
    `clearance` and PERSONAL has `name`, `identity`, `contact` and `guardianship`.
    """

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    # PERSONAL: name and picture; birth date and sex; address, telephone, e-mail. The rest is `read`.
    NAME = "name"
    IDENTITY = "identity"
    CONTACT = "contact"
    # …and who is, or asks to be, somebody's guardian with what proof; confirming that they are.
    GUARDIANSHIP = "guardianship"
    VOUCH = "vouch"
    # TRAINING: writing plans and comments for somebody else; sums over many people.
    PLAN = "plan"
    AGGREGATE = "aggregate"
    # CLINICAL: whether and how somebody may train; a patient's own entries and remarks.
    CLEARANCE = "clearance"
    ADD = "add"
    ANNOTATE = "annotate"
    # SOCIAL: what a moderator does in a case.
    HIDE = "hide"
    RESTORE = "restore"
    # FINANCIAL
    CARD_NUMBER = "card_number"
    REFUND = "refund"
    # SECURITY
    EVENTS = "events"
    FORCE_RESET = "force_reset"
    # AUDIT: opening somebody's record in an emergency, and judging afterwards whether that was right.
    BREAK_GLASS = "break_glass"
    REVIEW = "review"


class Visibility(StrEnum):
    """To whom the owner of a row shows it. A row that says nothing is private."""

    EVERYONE = "everyone"
    FRIENDS = "friends"
    PRIVATE = "private"


RESTRICTED_LABELS = frozenset(
    {"mental", "reproductive", "genetic", "hiv", "substance"}
    # HL7 v3 Confidentiality and ActInformationSensitivityPolicy codes of the same meaning.
    | {"R", "V", "PSY", "BH", "MH", "SEX", "GDIS", "HIV", "SUD", "ETH", "STD", "SDV"}
)
"""A clinical row with one of these labels is CLINICAL_RESTRICTED, whatever its field is classified as."""
