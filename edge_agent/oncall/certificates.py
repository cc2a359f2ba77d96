"""Which certificates the agent depends on, and when they end."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.certificate_dates import ends_of
from edge_agent.key_files import CERTIFICATE_ENDINGS, WARN_BEFORE_END, keys_folder
from edge_agent.settings import Settings


@dataclass(frozen=True, slots=True)
class CertificateEnd:
    """A certificate and its end."""

    what: str
    path: Path
    ends_at: datetime.datetime

    def ends_soon(self, now: datetime.datetime) -> bool:
        """Whether somebody should renew it now.

        Parameters
        ----------
        now : datetime
            Aware wall clock.

        Returns
        -------
        bool
            True from 60 days before its end.
        """
        return now > self.ends_at - WARN_BEFORE_END


def certificate_ends(settings: Settings) -> list[CertificateEnd]:
    """Find the certificates that the settings name and read when each ends.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    list of CertificateEnd
        The soonest first. What can't be read is left out: `check` tells of it, and so does the
        connection that needs it.
    """
    # Several servers may share a folder of trusted certificates: each is told once.
    first_named = {path: what for what, path in reversed(list(_named(settings)))}
    found = [
        CertificateEnd(what, path, end) for path, what in first_named.items() for end in _read(path)
    ]
    return sorted(found, key=lambda end: end.ends_at)


def _named(settings: Settings) -> Iterator[tuple[str, Path]]:
    if any(opcua.security != "none-on-loopback" for opcua in settings.opcua):
        yield "own certificate", keys_folder(settings.state_dir) / "certificate.der"
    for opcua in settings.opcua:
        if opcua.security != "none-on-loopback":
            for path in _files_in(opcua.trusted_servers_dir):
                yield f"opcua {opcua.name}, trusted server", path
        yield from _files_of(f"opcua {opcua.name}", opcua)
    for mqtt in settings.mqtt:
        yield from _files_of(f"mqtt {mqtt.name}", mqtt)
    yield from _files_of("uplink", settings.uplink)


def _files_of(owner: str, group: object) -> Iterator[tuple[str, Path]]:
    """Certificates in single files: whatever setting's name says that it is one."""
    for name in getattr(type(group), "model_fields", {}):
        value = getattr(group, name)
        if isinstance(value, Path) and ("certificate" in name or name.endswith("ca_file")):
            yield f"{owner}, {name}", value


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in CERTIFICATE_ENDINGS)
    except OSError:
        return []


def _read(path: Path) -> list[datetime.datetime]:
    try:
        return ends_of(path.read_bytes())
    except (OSError, ValueError):
        return []
