"""What backups and restores may raise, beside the errors of every store."""

from datastores.errors import StoreError


class BackupDamaged(StoreError):
    """A part of a backup is missing, was changed, or is sealed under another key. Nothing was restored."""
