"""What can go wrong between the edge and the store.

::

    IngestError
    ├── BatchError            columns of a batch do not fit together
    ├── LineProtocolError     a line is not legal line protocol (also a ValueError)
    ├── SparkplugError        bytes are no Sparkplug B payload (also a ValueError)
    ├── StoreUnavailableError the store can't be reached or did not answer: try again later
    ├── StoreRejectedError    the store answered that it will never take this data
    ├── CopyError             a store does not give back what was copied into it
    ├── AnnouncedError        the list of announced machines can't be read or written
    ├── QuarantineError       lines could not be set aside, or the quarantine can't be read
    └── SettingsError         a settings file can't be used as it is (also a ValueError)
"""


class IngestError(Exception):
    """Base of every error raised by `ingest`."""


class BatchError(IngestError, ValueError):
    """Columns of a batch do not fit together."""


class CopyError(IngestError):
    """A store does not give back what was copied into it, or the notes are of another copy."""


class LineProtocolError(IngestError, ValueError):
    """A line is not legal line protocol."""


class SparkplugError(IngestError, ValueError):
    """Bytes are no Sparkplug B payload, or a value can't be written as one."""


class StoreUnavailableError(IngestError):
    """The store can't be reached or did not answer; the same write may succeed later."""


class StoreRejectedError(IngestError):
    """The store refused this data for good; sending it again will not help."""


class AnnouncedError(IngestError):
    """The list of machines that have announced themselves can't be read or written."""


class QuarantineError(IngestError):
    """Lines could not be set aside, or the quarantine can't be read."""


class SettingsError(IngestError, ValueError):
    """A settings file can't be used as it is."""
