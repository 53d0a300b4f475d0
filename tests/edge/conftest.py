"""What the tests of the edge share: real servers."""

from tests.kit_datastores.redis import redis_url

__all__ = ["redis_url"]
