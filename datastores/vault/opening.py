"""Chooses who keeps the key-encryption keys by URL: `file:///path` or `kms+https://…`."""

from __future__ import annotations

from datastores.config import StoreUrlProblem, parse_store_url
from datastores.vault.keys import FileKeyProvider, KeyProvider


def open_keys(url: str) -> KeyProvider:
    """The provider for `url`, not yet open: `file:///keys.json`, `kms+https://:token@host/ring`.

    Errors: StoreUrlProblem, which never repeats the token.
    """
    if url.startswith("kms+"):
        # Its client is loaded where it is used: most deployments keep the keys in a file.
        from datastores.vault.kms import KmsKeyProvider

        return KmsKeyProvider(url)
    path = parse_store_url(url, schemes=("file",)).path
    if path is None:
        raise StoreUrlProblem("`file://` needs a path: `file:///keys/vault.json`")
    return FileKeyProvider(path)
