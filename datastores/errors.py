"""What every store may raise, whatever adapter it has."""


class StoreError(Exception):
    """Base of all store errors; the message holds no stored value."""


class Unavailable(StoreError):
    """The store could not be reached or did not answer in time. Nothing was acknowledged; try again."""


class Conflict(StoreError):
    """A uniqueness rule or an expected version did not hold. Nothing was changed."""


class NotFound(StoreError):
    """What was asked for by key is not there."""


class SchemaTooNew(StoreError):
    """The stored schema is of a newer version of the program, or half applied. Nothing was changed."""


class SchemaBehind(StoreError):
    """The stored schema waits for migrations, and this start may not run them. Nothing was changed."""
