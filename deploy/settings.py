"""Settings: the environment, read once, here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a deployment may set, each as `STADION_<NAME>`; command-line options win over it.

    Store URLs left empty mean the embedded store under `data_folder`.
    """

    model_config = SettingsConfigDict(env_prefix="STADION_", extra="ignore", frozen=True)

    data_folder: Path = Path(".stadion")
    host: str = "127.0.0.1"
    port: int = Field(default=4000, ge=0, le=65_535)
    log_level: str = "warning"
    issuer: str = "https://stadion.local"
    audience: str = "stadion"
    relational_url: SecretStr | None = None
    vault_url: SecretStr | None = None
    internal_key: SecretStr | None = None
    drain_timeout_s: float = Field(default=10.0, gt=0, le=120)


def settings_with(**options: Any) -> Settings:
    """The settings, where an option that is not None wins over the environment."""
    return Settings(**{name: value for name, value in options.items() if value is not None})
