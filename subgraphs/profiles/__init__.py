"""profiles: who people say they are, how they want things shown, and who coaches whom.

Owns `Profile`, `Settings`, `CoachLink @key(id)`. Extends `User @key(id)` of accounts by `profile`,
`settings`, `coaches` and `athletes`. Consumes `user.registered`; publishes coach links as
`relationship.changed`.
"""
