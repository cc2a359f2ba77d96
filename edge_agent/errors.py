"""What can go wrong between a machine and the store, seen from the site.

::

    EdgeError
    ├── SettingsError          the settings, or a file they name, can't be used (also a ValueError)
    ├── OutboxError            the outbox can't be read or written now, for example a full disk
    │   ├── OutboxDamagedError the outbox file itself is damaged; it is set aside and begun anew
    │   ├── DiskFullError      the disk has no room at the moment
    │   └── NoRoomError        nothing may be dropped that would make room for it
    ├── FrameError             the bytes of one record can't be read; it is set aside
    ├── SourceError            an OPC UA server or MQTT broker can't be used now; tried again later
    │   ├── SessionGoneError   it has forgotten our session; the next try begins a new one
    │   └── UntrustedServerError  it is reachable but not known to be the one it says it is
    └── PayloadError           a message can't be read; it is set aside with this reason
"""


class EdgeError(Exception):
    """Base of every error raised by `edge_agent`."""


class SettingsError(EdgeError, ValueError):
    """The settings file, or a file it names, can't be used."""


class OutboxError(EdgeError):
    """The outbox can't be read or written at the moment; the same call may succeed later."""


class OutboxDamagedError(OutboxError):
    """The file of the outbox is damaged as a whole, not only a record in it."""


class DiskFullError(OutboxError):
    """The disk has no room for what is to be written."""


class NoRoomError(OutboxError):
    """The outbox is at its cap and all that is in it must stay."""


class FrameError(EdgeError):
    """The bytes of a record are not what this version writes."""


class SourceError(EdgeError):
    """An OPC UA server or MQTT broker can't be used at the moment."""


class SessionGoneError(SourceError):
    """The server no longer has the session or subscription that was to be resumed."""


class UntrustedServerError(SourceError):
    """A server answered whose certificate is not trusted."""


class PayloadError(EdgeError):
    """A message carries nothing that can be kept as samples."""
