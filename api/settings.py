"""Settings of the server: one frozen model, read once at start and passed down.

A TOML file is optional; every option has a default that runs the demo, and a full sentence in
``api/sample_config.toml``. A flag on the command line wins over the file.
"""

import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.problem import SettingsError
from api.registry.database import database_url
from ingest.settings import DuckDBSettings, Influx1Settings, Influx2Settings

DEFAULT_PORT: Final = 8080

CONFIG_NAME: Final = "staybolt.toml"
"""Read from the state folder when no ``--config`` is given and it is there."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthSettings(_Group):
    """How condition is judged."""

    window_days: float = Field(default=90.0, ge=1.0, le=3650.0)
    """How far back samples are read for one judgement."""
    snapshot_every_s: float = Field(default=60.0, ge=0.0)
    """A steady machine gets a new snapshot at most this often; a changing one at once."""
    watch_failure_ratio: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Probability of failing within `watch_days` from which a machine is worth watching."""
    watch_days: float = Field(default=7.0, gt=0.0, le=365.0)
    """How far ahead a machine is watched."""


class PlanningSettings(_Group):
    """When a visit is proposed."""

    horizon_days: int = Field(default=30, ge=2, le=365)
    """How far ahead visits are considered."""
    open_at_failure_probability: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Probability of failing within the horizon from which a visit may be proposed."""


class RetentionSettings(_Group):
    """How the risk of leaving is judged."""

    least_horizon_days: int = Field(default=90, ge=1, le=366)
    """The risk is that of leaving by the renewal date, or within this time if that is later."""
    repeat_window_days: float = Field(default=30.0, gt=0.0, le=365.0)
    """A visit counts as fixed if its machine needs none again within this time."""


class Settings(_Group):
    """Everything that can be chosen about one server."""

    state_dir: Path = Path("staybolt-state")
    """Folder of the registry, the samples, the quarantine and the ingest token."""
    database: str | None = None
    """URL of the registry's database if it is not the SQLite file in the state folder."""
    telemetry: DuckDBSettings | Influx2Settings | Influx1Settings | None = Field(
        default=None, discriminator="kind"
    )
    """Where samples are kept if not in the DuckDB file in the state folder."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    access_token_file: Path | None = None
    """File with the token that people and programs must show; needed beyond this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which browsers may call this server, beside localhost."""
    update_interval_s: float = Field(default=2.0, gt=0.0, le=86400.0)
    """Pause between two rounds of health, planning and retention."""
    history_check_s: float = Field(default=30.0, gt=0.0, le=86400.0)
    """How often the store is asked for samples that came by another way than this server."""
    health: HealthSettings = HealthSettings()
    planning: PlanningSettings = PlanningSettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def registry_url(self) -> str:
        """Address of the registry's database."""
        return database_url(self.state_dir, self.database)

    @property
    def telemetry_store(self) -> DuckDBSettings | Influx2Settings | Influx1Settings:
        """Which store keeps the samples, and where."""
        if self.telemetry is not None:
            return self.telemetry
        return DuckDBSettings(kind="duckdb", path=self.state_dir / "telemetry.duckdb")

    @property
    def raw_days(self) -> float | None:
        """How long our own store keeps samples, in days; None for ever."""
        store = self.telemetry_store
        return store.raw_days if isinstance(store, DuckDBSettings) else None

    @property
    def quarantine_path(self) -> Path:
        """File of the samples that were set aside."""
        return self.state_dir / "quarantine.sqlite"

    @property
    def ingest_token_path(self) -> Path:
        """File of the token that edge agents show."""
        return self.state_dir / "ingest_token"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only.

    Parameters
    ----------
    host : str
        Address or name to listen on.

    Returns
    -------
    bool
        True for ``localhost`` and the loopback addresses of both families.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(config: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Read the settings of a program start.

    Parameters
    ----------
    config : Path or None
        TOML file; None reads ``staybolt.toml`` in the state folder if there is one.
    overrides : mapping
        What the command line gives; entries that are None are left out.

    Returns
    -------
    Settings
        Checked and complete.

    Raises
    ------
    SettingsError
        If the file can't be read, a key is unknown, a value is out of range, or the address is
        open to others without an access token.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if config is None:
        beside = Path(given.get("state_dir", Settings().state_dir)) / CONFIG_NAME
        config = beside if beside.is_file() else None
    document = {} if config is None else _read_toml(config)
    where = "command line" if config is None else str(config)
    try:
        settings = Settings.model_validate({**document, **given})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(where, error))) from error
    if not is_loopback(settings.host) and settings.access_token_file is None:
        msg = (
            f"{where}, host: {settings.host} can be reached by other machines, but no access token "
            'is set; write one to a file (for example `python3 -c "import secrets; '
            'print(secrets.token_urlsafe(32))" > access_token`) and give it with '
            "--access-token-file access_token, or listen on 127.0.0.1"
        )
        raise SettingsError(msg)
    return settings


def _read_toml(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{config}: there is no such file; check the path given with --config"
        raise SettingsError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{config}: can't be read ({error}); check its rights and that it is UTF-8 text"
        raise SettingsError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{config}: is not TOML ({error}); compare it with `staybolt sample-config`"
        raise SettingsError(msg) from error


def _explain(where: str, error: ValidationError) -> Sequence[str]:
    lines = []
    for entry in error.errors():
        key = ".".join(str(part) for part in entry["loc"])
        if entry["type"] == "extra_forbidden":
            lines.append(
                f"{where}, {key}: unknown key; remove it or mend its spelling, "
                "`staybolt sample-config` shows every key"
            )
        else:
            lines.append(
                f"{where}, {key}: {entry['input']!r} is refused ({entry['msg']}); "
                "`staybolt sample-config` shows what the key means"
            )
    return lines
