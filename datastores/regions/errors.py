"""What regions refuse."""

from datastores.errors import StoreError, Unavailable


class CrossRegion(StoreError):
    """Something of a person of one region was asked for in another. Nothing was asked of either's stores."""


class RegionUnknown(Unavailable):
    """It is not known yet where somebody is at home: they have just come, or do not exist. Try again."""
