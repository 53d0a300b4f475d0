"""accounts: who can log in, how they proved it, and which roles they were granted.

Owns `User @key(id)`, `Session`, `RoleAssignment`. Only this domain sees credentials: password hashes, sealed
TOTP secrets, hashes of refresh tokens. Extends nobody's entities. Publishes `user.registered`,
`role.changed`, `session.revoked`.
"""
