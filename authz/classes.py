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
