"""Settings of the MQTT receiver: which broker to listen at, and how to be let in."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from ingest.loopback import is_loopback
from ingest.telemetry import NAME_PATTERN


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the folder of the settings file.

    Parameters
    ----------
    path : Path
        As it is written.
    info : ValidationInfo
        Knows the folder.

    Returns
    -------
    Path
        Absolute, if the folder is known.
    """
    folder: Path | None = (info.context or {}).get("folder")
    return path if folder is None else folder / path


File = Annotated[Path, AfterValidator(from_folder)]
"""A path; a relative one is meant from the folder of the settings file."""


class MqttReceiverSettings(BaseModel):
    """A broker that edge agents send their records to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    """Host name or address of the broker; it must speak MQTT 5."""
    port: int = Field(default=8883, ge=1, le=65535)
    """Its port."""
    user: str | None = None
    """User name at the broker; None for anonymous."""
    password_file: File | None = None
    """File that holds the password of that user."""
    tls_ca_file: File | None = None
    """Certificates of the authorities that the broker's certificate may come from."""
    tls_certificate_file: File | None = None
    """Our own certificate to show the broker, with `tls_key_file`."""
    tls_key_file: File | None = None
    """Private key of our own certificate, without a passphrase."""
    share: str = Field(default="ingest", pattern=f"^{NAME_PATTERN}$")
    """Name of the share: ingest processes with the same one divide the messages among them."""

    @model_validator(mode="after")
    def _can_be_entered(self) -> Self:
        pairs = (("user", "password_file"), ("tls_certificate_file", "tls_key_file"))
        for pair in pairs:
            missing = [name for name in pair if getattr(self, name) is None]
            if len(missing) == 1:
                given = next(name for name in pair if name not in missing)
                msg = f"mqtt.{missing[0]}: missing beside {given}; give both, or neither"
                raise ValueError(msg)
        if self.tls_ca_file is None and not is_loopback(self.host):
            msg = (
                f"mqtt.tls_ca_file: missing, but {self.host} is another machine; name the file "
                "with the certificate of the broker's authority so that the connection is encrypted"
            )
            raise ValueError(msg)
        return self
