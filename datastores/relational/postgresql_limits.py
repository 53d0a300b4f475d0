"""Bounds of a PostgreSQL store, without its driver: who has no such server loads none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PostgresqlLimits:
    """Bounds of one PostgreSQL store. Retries wait a random part of a doubling time (full jitter)."""

    connections_max: int = 10
    connect_timeout_s: float = 5.0
    pool_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    write_timeout_s: float = 30.0
    attempts_max: int = 12
    backoff_first_s: float = 0.005
    backoff_max_s: float = 0.5
    conflict_retries_max: int = 2
