"""Looks at the device itself: its clock, room on its disk, who may read secrets, its port."""

import contextlib
import datetime
import os
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from edge_agent.errors import SettingsError
from edge_agent.findings import Finding, look
from edge_agent.oncall.certificates import certificate_ends
from edge_agent.oncall.health import EARLIEST_SANE
from edge_agent.settings import Settings
from edge_agent.settings_changes import sources_of
from edge_agent.settings_fields import Group

SLACK_BYTES: Final = 100_000_000
"""Left free beside a full outbox: for its journal, logs and the system itself."""


def check_device(settings: Settings, file_name: str) -> Iterator[Finding]:
    """Look at the device.

    Parameters
    ----------
    settings : Settings
        What it is to be used for.
    file_name : str
        Name of the settings file, for messages.

    Yields
    ------
    Finding
        One for each thing.
    """
    yield look("clock", lambda: _clock(datetime.datetime.now(datetime.UTC)))
    yield look(f"{file_name}, outbox.max_bytes", lambda: _room(settings))
    yield look(f"{file_name}, state_dir", lambda: _is_own(settings.state_dir))
    if settings.status.port:
        yield look(f"{file_name}, status.port", lambda: _port(settings))
    for place, path in _key_files(settings):
        yield look(f"{file_name}, {place}", partial(_is_secret, path))
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    for end in certificate_ends(settings):
        # The agent's own and those of brokers are told in full where they are checked.
        if end.ends_soon(now) and "trusted server" in end.what:
            text = f"{end.what}: {end.path} ends on {end.ends_at:%Y-%m-%d}; renew it at the server"
            yield Finding(is_good=False, text=text)


def _clock(now: datetime.datetime) -> str:
    shown = f"{now:%Y-%m-%d %H:%M} UTC"
    # No clock that is right shows a time before this program was put here.
    installed = datetime.datetime.fromtimestamp(Path(__file__).stat().st_mtime, datetime.UTC)
    if now < max(EARLIEST_SANE, installed - datetime.timedelta(days=1)):
        msg = f"it is {shown} here; set the clock, and keep it right with NTP (`timedatectl`)"
        raise SettingsError(msg)
    return f"it is {shown} here"


def _room(settings: Settings) -> str:
    folder = next(p for p in (settings.state_dir, *settings.state_dir.parents) if p.exists())
    try:
        room = os.statvfs(folder)
    except OSError as error:
        msg = f"{folder}: {error.strerror or error}; see that its disk is there"
        raise SettingsError(msg) from error
    free = room.f_bavail * room.f_frsize
    used = 0
    with contextlib.suppress(OSError):
        used = sum(path.stat().st_size for path in settings.state_dir.glob("outbox.sqlite*"))
    wanted = settings.outbox.max_bytes + SLACK_BYTES
    if free + used < wanted:
        msg = (
            f"{settings.outbox.max_bytes / 1e6:.0f} MB may be kept, but its disk has "
            f"{(free + used) / 1e6:.0f} MB left for it; make room, or write at most "
            f"{max(0, free + used - SLACK_BYTES):.0f}"
        )
        raise SettingsError(msg)
    return f"{free / 1e6:.0f} MB are free for at most {settings.outbox.max_bytes / 1e6:.0f} MB"


def _is_own(folder: Path) -> str:
    if folder.exists() and folder.stat().st_mode & 0o022:
        msg = f"{folder} may be changed by other users; run `chmod 700 {folder}`"
        raise SettingsError(msg)
    return f"{folder} may be changed by its owner only"


def _port(settings: Settings) -> str:
    status = settings.status
    place = f"{status.host}:{status.port}"
    try:
        family = socket.AF_INET6 if ":" in status.host else socket.AF_INET
        socket.create_server((status.host, status.port), family=family).close()
    except OSError as error:
        # While the agent runs, the port is its own.
        if settings.status_socket_path.exists():
            return f"{place} is in use, by the running agent it seems"
        msg = f"can't answer at {place}: {error.strerror or error}; write another port, or 0"
        raise SettingsError(msg) from error
    return f"{place} is free"


def _key_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    groups: dict[str, Group] = {"uplink": settings.uplink, **sources_of(settings)}
    for owner, group in groups.items():
        for name in type(group).model_fields:
            value = getattr(group, name)
            if name.endswith("key_file") and isinstance(value, Path):
                yield f"{owner}, {name}", value


def _is_secret(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror}; put the private key there"
        raise SettingsError(msg) from error
    if mode & 0o077:
        msg = f"{path} can be read by other users; run `chmod 600 {path}`"
        raise SettingsError(msg)
    return f"{path} can be read by its owner only"
