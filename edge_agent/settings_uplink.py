"""Settings of the uplink: where samples go, over HTTP or MQTT, and how to be let in there."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from edge_agent.settings_errors import Remedy
from edge_agent.settings_fields import File, Group, Text, is_loopback, port_of, user_with_password

WriteApi = Literal["influxdb2", "influxdb1", "influxdb3"]

DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

_SCHEMES: Final = {"http": ("https", "http"), "mqtt": ("mqtts", "mqtt")}
"""Schemes of each kind, the encrypted one first."""

_HTTP_ONLY: Final = ("write_api", "token_file", "bucket", "org")


class UplinkSettings(Group):
    """Where samples go."""

    kind: Annotated[Literal["http", "mqtt"], Remedy('write "http" or "mqtt"')] = "http"
    """Over HTTP to ingest or InfluxDB, or over MQTT 5 to a broker that ingest listens to."""
    url: Annotated[
        str, Remedy('write the address of ingest or InfluxDB, for example "https://ingest:8443"')
    ]
    """Address of ingest, InfluxDB or the broker, without the path."""
    write_api: Annotated[
        WriteApi, Remedy('write "influxdb2" (ingest knows it too), "influxdb1" or "influxdb3"')
    ] = "influxdb2"
    """Which of InfluxDB's interfaces for writing is spoken there."""
    token_file: File | None = None
    """File that holds the token to show there."""
    user: Text | None = None
    """User name, with `password_file`; in place of a token."""
    password_file: File | None = None
    """File that holds the password."""
    bucket: Text = "telemetry"
    """Bucket to write into; a database of InfluxDB 1 or 3."""
    org: Text | None = None
    """Organisation that the bucket belongs to, which InfluxDB 2 asks for."""
    tls_ca_file: File | None = None
    """Certificates of the authorities its certificate may come from; None for the system's."""
    tls_certificate_file: File | None = None
    """Our own certificate to show, with `tls_key_file`; None to show none."""
    tls_key_file: File | None = None
    """Private key of our own certificate, without a passphrase."""
    max_batch_bytes: Annotated[
        int,
        Field(ge=4096, le=100_000_000, strict=True),
        Remedy("write the size of one request in bytes, for example 1000000"),
    ] = 1_000_000
    """Largest request body before compression."""
    retry_max_s: Annotated[
        float,
        Field(gt=0, le=3600, strict=True),
        Remedy("write the longest pause between two tries in seconds, for example 60"),
    ] = 60.0
    """Longest pause between two tries."""
    compress: Annotated[bool, Field(strict=True), Remedy("write true or false")] = False
    """Whether bodies travel compressed; worth it on slow links only."""

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart."""
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        """Port of a broker."""
        return port_of(self.parts) or DEFAULT_PORTS[self.parts.scheme]

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.parts.scheme in {"https", "mqtts"}

    @property
    def files(self) -> dict[str, Path | None]:
        """Every file the settings name, by the name of the setting."""
        names = (
            *("token_file", "password_file"),
            *("tls_ca_file", "tls_certificate_file", "tls_key_file"),
        )
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _url_can_be_used(self) -> Self:
        parts = self.parts
        secure, plain = _SCHEMES[self.kind]
        if parts.scheme not in {secure, plain} or not parts.hostname or parts.username:
            example = f"{secure}://ingest.example.com:8443"
            if self.kind == "mqtt":
                example = f"{secure}://broker.example.com:8883"
            msg = (
                f"url: {self.url!r} is not an {plain} or {secure} address; "
                f'write for example "{example}"'
            )
            raise ValueError(msg)
        if parts.scheme == plain and not is_loopback(parts.hostname):
            secret = "token" if self.kind == "http" else "password"
            msg = (
                f"url: {self.url!r} would send the {secret} unencrypted over the network; "
                f"write {secure} ({plain} is for loopback only)"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_entered(self) -> Self:
        user_with_password(self.user, self.password_file)
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            given, missing = ("tls_key_file", "tls_certificate_file")
            if self.tls_key_file is None:
                given, missing = missing, given
            msg = f"{missing}: missing beside {given}; give both, or neither to show none"
            raise ValueError(msg)
        return self._is_mqtt_entered() if self.kind == "mqtt" else self._is_http_entered()

    def _is_http_entered(self) -> Self:
        if self.token_file is not None and self.user is not None:
            msg = "user: given beside token_file; give one of them, only one can be shown"
            raise ValueError(msg)
        if self.write_api != "influxdb1" and self.user is not None:
            msg = f"user: {self.write_api} knows no users; give token_file in its place"
            raise ValueError(msg)
        if self.write_api != "influxdb1" and self.token_file is None:
            msg = "token_file: missing; name the file that holds the token to show there"
            raise ValueError(msg)
        if self.org is not None and self.write_api != "influxdb2":
            msg = f"org: {self.write_api} has no organisations; leave it out"
            raise ValueError(msg)
        return self

    def _is_mqtt_entered(self) -> Self:
        given = [name for name in _HTTP_ONLY if name in self.model_fields_set]
        if given:
            msg = f'{given[0]}: means nothing with kind = "mqtt"; leave it out'
            raise ValueError(msg)
        return self
