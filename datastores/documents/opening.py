"""Chooses the documents by URL: `sqlite:///path` or `mongodb://…`."""

from __future__ import annotations

from datastores.config import StoreUrlProblem, parse_store_url
from datastores.documents.port import Documents
from datastores.documents.sqlite import SqliteDocuments
from datastores.relational.sqlite import SqliteLimits, SqliteRelational


def open_documents(url: str, *, read_timeout_s: float | None = None) -> Documents:
    """The documents for `url`, not yet open. `read_timeout_s` is for who reads one moment of them for longer
    than a request may take.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    if url.startswith("mongodb"):
        # Its driver is loaded where it is used: most programs keep their documents in a file.
        from datastores.documents.mongodb import MongodbDocuments

        return MongodbDocuments(url)
    path = parse_store_url(url, schemes=("sqlite",)).path
    if path is None:
        raise StoreUrlProblem("`sqlite://` needs a path: `sqlite:///documents.db`")
    limits = None if read_timeout_s is None else SqliteLimits(read_timeout_s=read_timeout_s)
    return SqliteDocuments(SqliteRelational(path, limits=limits))
