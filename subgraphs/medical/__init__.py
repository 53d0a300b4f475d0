"""Medical: clinical records in a vault of their own, care teams, consents, and the clearance to train.

Owns MedicalRecord, Clearance, CareTeamMember, Consent and BreakGlassGrant; extends `User` (key `id`, owned
by accounts) with `medicalRecord`, `clearance`, `careTeam` and `consents`. Publishes `relationship.changed`
(treating, break_glass), `consent.changed` and `break_glass.used`. Nothing clinical is readable at rest:
values are sealed under a key a patient.
"""
