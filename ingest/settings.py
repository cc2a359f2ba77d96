"""Settings of ``staybolt-ingest``: one frozen model, read once and passed down."""

import difflib
import ssl
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from ingest.errors import SettingsError
from ingest.loopback import is_loopback
from ingest.quarantine import MAX_BYTES, MAX_ROWS
from ingest.receiver import MAX_BODY_BYTES
from ingest.settings_mqtt import (
    File,
    MqttReceiverSettings,
    SparkplugSettings,
    SparkplugSignalSettings,
)
from ingest.telemetry import NAME_PATTERN
from ingest.validation import ValidationLimits

SAMPLE_CONFIG: Final = Path(__file__).with_name("sample_config.toml")
"""Every option in a full sentence, loaded by the tests."""

_SHOWN: Final = 60


def _http_address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        msg = "write an address that begins with http:// or https://"
        raise ValueError(msg)
    return url


Url = Annotated[str, AfterValidator(_http_address)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DuckDBSettings(_Group):
    """Samples in one file, inside this process."""

    kind: Literal["duckdb"]
    path: File
    """The file."""
    memory_limit_mib: int = Field(default=512, ge=64)
    """Memory the database may use. [MiB]"""
    raw_days: float | None = Field(default=None, ge=1, le=36_525)
    """How long samples are kept; roll-ups stay. None keeps samples for ever. [days]"""


class Influx2Settings(_Group):
    """Samples in a bucket of InfluxDB 2."""

    kind: Literal["influx2"]
    url: Url
    """Address of the server."""
    org: str = Field(min_length=1)
    """Organisation that the bucket belongs to."""
    bucket: str = Field(min_length=1)
    """The bucket; it must be there."""
    token_file: File
    """File with a token that may read and write the bucket."""


class Influx1Settings(_Group):
    """Samples in a database of InfluxDB 1, or of a newer one through its v1 endpoints."""

    kind: Literal["influx1"]
    url: Url
    """Address of the server."""
    database: str = Field(pattern=f"^{NAME_PATTERN}$")
    """The database; it must be there."""
    user: str | None = None
    """User, if the server asks for one."""
    password_file: File | None = None
    """File with the password of that user."""


class QuarantineSettings(_Group):
    """Where lines go that were not taken."""

    path: File
    """The file."""
    max_rows: int = Field(default=MAX_ROWS, ge=1)
    """Lines kept at most; the oldest make room and are counted."""
    max_bytes: int = Field(default=MAX_BYTES, ge=1)
    """Text kept at most; the oldest lines make room and are counted. [bytes]"""


class TlsSettings(_Group):
    """How the connection is protected."""

    certificate_file: File
    """Certificate with its chain, PEM."""
    key_file: File
    """Private key of the certificate, PEM."""

    def check(self) -> None:
        """See that both files can be used together.

        Raises
        ------
        SettingsError
            If they can't.
        """
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.certificate_file, self.key_file
            )
        except OSError as error:
            msg = (
                f"tls: {self.certificate_file} and {self.key_file} can't be used ({error}); "
                "give a certificate and its private key, both PEM and readable by this user"
            )
            raise SettingsError(msg) from error


class IngestSettings(_Group):
    """Everything that can be chosen about ``staybolt-ingest serve``."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8090, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    allow_plain_http: bool = False
    """Listen beyond this machine without TLS, because something in front has it."""
    token_file: File
    """File with the tokens that devices show."""
    machines_file: File | None = None
    """CSV file with the machines that may send; None lets every machine send."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1000)
    """Largest body of a request, also after decompression. [bytes]"""
    max_future_s: float = Field(default=600.0, ge=0, le=31_557_600)
    """How far ahead of now a sample's time may lie. [s]"""
    max_past_days: float = Field(default=3652.5, gt=0, le=36_525)
    """How far back a sample's time may lie. [d]"""
    store: DuckDBSettings | Influx2Settings | Influx1Settings = Field(discriminator="kind")
    """Where samples are kept."""
    quarantine: QuarantineSettings
    """Where lines go that were not taken."""
    tls: TlsSettings | None = None
    """How the connection is protected; needed beyond this machine."""
    mqtt: MqttReceiverSettings | None = None
    """Broker to take records from too; None for HTTP alone."""
    sparkplug: SparkplugSettings | None = None
    """Broker with Sparkplug B nodes to take samples from too; None for no such nodes."""

    @property
    def raw_days(self) -> float | None:
        """How long our own store keeps samples, in days; None for ever."""
        return self.store.raw_days if isinstance(self.store, DuckDBSettings) else None

    @property
    def limits(self) -> ValidationLimits:
        """How far from now a sample's time may lie; never further back than samples are kept."""
        limits = ValidationLimits(self.max_future_s, self.max_past_days * 86_400.0)
        return limits.within(self.raw_days)

    @model_validator(mode="after")
    def _needs_protection_beyond_this_machine(self) -> Self:
        if self.tls is None and not self.allow_plain_http and not is_loopback(self.host):
            msg = (
                f"host: {self.host} can be reached from other machines, and tokens would travel "
                "in clear; add [tls], or set allow_plain_http = true if a proxy in front has TLS"
            )
            raise ValueError(msg)
        return self


def load_settings(path: Path) -> IngestSettings:
    """Read the settings of ingest.

    Parameters
    ----------
    path : Path
        A TOML file. Relative paths in it are meant from its own folder.

    Returns
    -------
    IngestSettings
        The settings, with absolute paths.

    Raises
    ------
    SettingsError
        If the file can't be read or anything in it is wrong: one line for each mistake.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = (
            f"{path} is not there; write one with `staybolt-ingest sample-config > {path}` "
            "and adapt it"
        )
        raise SettingsError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read: {error}; give a text file that this user may read"
        raise SettingsError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name} is not TOML: {error}; mend that line, strings stand in quotes"
        raise SettingsError(msg) from error
    try:
        return IngestSettings.model_validate(document, context={"folder": path.resolve().parent})
    except ValidationError as error:
        sentences = (_sentence(detail) for detail in error.errors(include_url=False))
        msg = "\n".join(f"{path.name}, {sentence}" for sentence in sentences)
        raise SettingsError(msg) from error


# --- mistakes in words -------------------------------------------------------------------------

_GROUPS: Final[dict[str, type[BaseModel]]] = {
    "store.duckdb": DuckDBSettings,
    "store.influx2": Influx2Settings,
    "store.influx1": Influx1Settings,
    "quarantine": QuarantineSettings,
    "tls": TlsSettings,
    "mqtt": MqttReceiverSettings,
    "sparkplug": SparkplugSettings,
    "sparkplug.signals": SparkplugSignalSettings,
    "": IngestSettings,
}


def _sentence(detail: ErrorDetails) -> str:
    place, kind, value = detail["loc"], detail["type"], detail.get("input")
    context: dict[str, Any] = detail.get("ctx", {})
    key = _key(place)
    match kind:
        case "missing":
            problem, remedy = "missing", "add it; `staybolt-ingest sample-config` explains it"
        case "extra_forbidden":
            problem, remedy = "unknown key", _nearest(place)
        case "union_tag_not_found":
            key, problem, remedy = f"{key}.kind", "missing", f"write one of {_kinds()}"
        case "union_tag_invalid":
            key, problem = f"{key}.kind", f"{context['tag']!r} is no kind of store"
            remedy = f"write one of {_kinds()}"
        case "value_error" if not place or place in {("mqtt",), ("sparkplug",)}:
            own_key, _, text = str(context["error"]).partition(": ")
            return f"{own_key}: {text}"
        case "value_error":
            problem, remedy = _shown(value), str(context["error"])
        case _:
            text = detail["msg"].removeprefix("Input ")
            problem, remedy = f"{_shown(value)} can't be used", f"it {text}"
    return f"{key}: {problem}; {remedy}"


def _key(place: Sequence[str | int]) -> str:
    """Name a place as the file does, without the kind that pydantic puts into a union's."""
    parts = [str(part) for part in place]
    if len(parts) > 1 and parts[0] == "store":
        del parts[1]
    return ".".join(parts)


def _kinds() -> str:
    return ", ".join(
        f'"{name.removeprefix("store.")}"' for name in _GROUPS if name.startswith("store.")
    )


def _nearest(place: Sequence[str | int]) -> str:
    group = _GROUPS[".".join(part for part in place[:-1] if isinstance(part, str))]
    known = list(group.model_fields)
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
