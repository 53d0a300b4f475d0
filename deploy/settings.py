"""Settings: the environment, read once, here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.router_command import fail


class Region(BaseModel):
    """The stores of one region; what is left out is embedded, in a folder of the region's own. With `url` it
    runs on machines of its own, which are called there, by these certificates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    relational_url: SecretStr | None = None
    vault_url: SecretStr | None = None
    vault_keys_url: SecretStr | None = None
    blobs_url: SecretStr | None = None
    events_url: SecretStr | None = None
    series_url: SecretStr | None = None
    graph_url: SecretStr | None = None
    documents_url: SecretStr | None = None
    backup_url: SecretStr | None = None
    backup_safe: Path | None = None
    url: str = ""
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _is_here_or_there(self) -> Region:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` starts with http:// or https://")
        stored = [name for name in STORED if getattr(self, name) is not None]
        if self.url and stored:
            raise ValueError(f"a region with a `url` has its stores there: leave out `{stored[0]}`")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("a certificate needs its key: name `certificate_file` and `key_file`")
        return self


STORED = tuple(
    name for name in Region.model_fields if name not in {"url", "ca_file", "certificate_file", "key_file"}
)
"""What a region has of its own, where it runs here."""


class Settings(BaseSettings):
    """What a deployment may set, each as `STADION_<NAME>`; command-line options win over it.

    Store URLs left empty mean the embedded store under `data_folder`.
    """

    model_config = SettingsConfigDict(env_prefix="STADION_", extra="ignore", frozen=True)

    data_folder: Path = Path(".stadion")
    keys_folder: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=4000, ge=0, le=65_535)
    log_level: str = "warning"
    issuer: str = "https://stadion.local"
    audience: str = "stadion"
    consent_url: str = ""
    public_urls: tuple[str, ...] = ()
    proof_nonces_key: SecretStr | None = None
    relational_url: SecretStr | None = None
    vault_url: SecretStr | None = None
    vault_keys_url: SecretStr | None = None
    blobs_url: SecretStr | None = None
    series_url: SecretStr | None = None
    graph_url: SecretStr | None = None
    documents_url: SecretStr | None = None
    events_url: SecretStr | None = None
    files_url: str = "/files"
    migrate_at_start: bool = True
    backup_url: SecretStr | None = None
    backup_safe: Path | None = None
    regions: Mapping[str, Region] = Field(default_factory=dict)
    home_region: str = ""
    region: str = ""
    directory_url: SecretStr | None = None
    regions_key: SecretStr | None = None
    network_zones: Mapping[str, list[str]] = Field(default_factory=dict)
    internal_key: SecretStr | None = None
    cache_url: SecretStr | None = None
    cache_invalidation_key: SecretStr | None = None
    supergraph_token: SecretStr | None = None
    rate_url: SecretStr | None = None
    metrics_address: str = ""
    otlp_endpoint: str = ""
    drain_timeout_s: float = Field(default=10.0, gt=0, le=120)

    @field_validator("internal_key", "regions_key", "proof_nonces_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return key
        from authz.identity.internal import KEY_BYTES_MIN  # what signs takes long to load

        if len(key.get_secret_value().encode()) < KEY_BYTES_MIN:
            raise ValueError(f"it needs {KEY_BYTES_MIN} bytes or more")
        return key

    @model_validator(mode="after")
    def _names_its_regions(self) -> Settings:
        for name, value in (("home_region", self.home_region), ("region", self.region)):
            if value and value not in self.regions:
                raise ValueError(f"`{name}` is none of `regions`")
        if self.regions and not self.home_region:
            raise ValueError("`regions` need a `home_region`: whom this process serves without knowing them")
        for name in STORED:
            given = [getattr(region, name) for region in self.regions.values()]
            told = [each for each in given if each is not None]
            if len(told) != len(set(told)):
                raise ValueError(f"two regions share a `{name}`: each needs its own")
        self._reaches_its_far_regions()
        return self

    def _reaches_its_far_regions(self) -> None:
        """Errors: ValueError."""
        if not any(region.url for region in self.regions.values()):
            return
        for name in (self.home_region, self.region):
            if name and self.regions[name].url:
                raise ValueError(f"the region `{name}` runs elsewhere: this process needs one that runs here")
        if self.regions_key is None or self.directory_url is None:
            raise ValueError("regions with a `url` need `regions_key` and `directory_url`, the same for all")
        if not self.files_url.startswith(("http://", "https://")):
            raise ValueError("regions with a `url` need an absolute `files_url`: links are read at any door")

    @property
    def keys_path(self) -> Path:
        """Where the installation's keys lie: in the data folder, unless said otherwise."""
        return self.keys_folder or self.data_folder / "keys"

    def of_region(self, name: str) -> Settings:
        """What a region's platform is built from: its own stores, and a folder of its own."""
        region = self.regions[name]
        own = {each: getattr(region, each) for each in STORED if each in Settings.model_fields}
        folder = self.data_folder / "regions" / name
        cut: dict[str, Any] = {
            "regions": {},
            "home_region": "",
            "region": name,
            "data_folder": folder,
            "regions_key": None,
        }
        cut["keys_folder"] = self.keys_folder / name if self.keys_folder else None
        cut["files_url"] = f"{self.files_url.rstrip('/')}/{name}"
        return self.model_copy(update={**own, **cut})


def environment() -> Mapping[str, str]:
    """Every variable of the process: what a settings file may name as `${env.NAME}`."""
    return os.environ


def settings_with(*, every_region: bool = False, **options: Any) -> Settings:
    """The settings, where an option that is not None wins over the environment.

    Where `STADION_REGION` names a region, they are that region's alone; where there are several, only a
    command that serves `every_region` does without.
    A variable that cannot be used is one clear line, without its value, and exit code 1.
    """
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        fail(
            "; ".join(
                f"`{'_'.join(['STADION', *(str(part).upper() for part in one['loc'])])}`: "
                f"{one['msg'].removeprefix('Value error, ')}"
                for one in found
            )
        )
    if settings.regions and not settings.region and not every_region:
        names = ", ".join(f"`{name}`" for name in settings.regions)
        fail(f"this command works on one region: name it in `STADION_REGION`, one of {names}")
    return settings.of_region(settings.region) if settings.region else settings
