"""The demo people, and how they log in. For a laptop only: these secrets are public."""

from __future__ import annotations

from dataclasses import dataclass

from authz.classes import Role


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """One login. `totp_secret` (Base32) is set where the role needs a second factor."""

    id: str
    handle: str
    display_name: str
    role: Role
    shows: str
    totp_secret: str | None = None

    @property
    def email(self) -> str:
        """A reserved domain: nothing can be sent there."""
        return f"{self.handle}@example.org"

    @property
    def password(self) -> str:
        """Long enough for a single factor; public on purpose."""
        return f"stadion-demo-{self.handle}"


ATHLETE = DemoPerson("demo-athlete", "mira", "Mira Sandvik", Role.ATHLETE, "her own everything")
COACH = DemoPerson(
    "demo-coach", "tomas", "Tomás Ferreira", Role.TRAINER, "her training and clearance, nothing clinical"
)
PHYSICIAN = DemoPerson(
    "demo-physician", "lind", "Dr. Astrid Lind", Role.MEDICAL_SPECIALIST,
    "her clinical record: she is on the care team", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
)  # fmt: skip
OTHER_PHYSICIAN = DemoPerson(
    "demo-other-physician", "okafor", "Dr. Chidi Okafor", Role.MEDICAL_SPECIALIST,
    "nothing clinical: he does not treat her", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU",
)  # fmt: skip
MODERATOR = DemoPerson(
    "demo-moderator", "noor", "Noor Haddad", Role.MODERATOR,
    "her name only", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK",
)  # fmt: skip
ADMINISTRATOR = DemoPerson(
    "demo-administrator", "ada", "Ada Kowalski", Role.ADMINISTRATOR,
    "her name and account, nothing of her health", "NBSWY3DPO5XXE3DENBSWY3DPO5XXE3DE",
)  # fmt: skip

PEOPLE = (ATHLETE, COACH, PHYSICIAN, OTHER_PHYSICIAN, MODERATOR, ADMINISTRATOR)
