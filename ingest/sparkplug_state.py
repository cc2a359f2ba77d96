"""Certificates of a Sparkplug host application: what it tells on its own STATE topic, and when.

Pure: times and messages come in, payloads go out. Each connection has one time, that of its
CONNECT; the will and every birth of that connection carry it, so that nodes can tell a will that
comes late from one that is meant for now.

References
----------
.. [1] Eclipse Sparkplug Specification, version 3.0.0, 2022, 4.5 and 5.14: Sparkplug Host
   Application session establishment and termination.
"""

import json
from dataclasses import dataclass

from ingest.telemetry.sparkplug_node import SPARKPLUG_ROOT


@dataclass(slots=True)
class HostState:
    """Whether the host application is there, as it tells the nodes of one broker.

    Parameters
    ----------
    host_id : str
        Its name among host applications.
    """

    host_id: str
    _connected_at_ms: int = 0
    _is_born: bool = False

    @property
    def topic(self) -> str:
        """Topic of its certificates."""
        return f"{SPARKPLUG_ROOT}/STATE/{self.host_id}"

    def will(self, now_ms: int) -> bytes:
        """Begin a connection.

        Parameters
        ----------
        now_ms : int
            When CONNECT is sent. [ms since 1970-01-01 UTC]

        Returns
        -------
        bytes
            Death certificate that goes into CONNECT.
        """
        # A clock that was set back must not make our birth look older than our last death.
        self._connected_at_ms = max(now_ms, self._connected_at_ms)
        self._is_born = False
        return _certificate(is_online=False, at_ms=self._connected_at_ms)

    def birth(self) -> bytes:
        """Tell that the host application is there, once it has subscribed.

        Returns
        -------
        bytes
            Birth certificate, with the time of the will.
        """
        self._is_born = True
        return _certificate(is_online=True, at_ms=self._connected_at_ms)

    def heard(self, payload: bytes) -> bytes | None:
        """Take a message from the topic of its own certificates.

        Parameters
        ----------
        payload : bytes
            What it says.

        Returns
        -------
        bytes or None
            The birth certificate to be published again, if this says that it is not there: the
            will of an earlier connection may come late.
        """
        if not self._is_born:
            return None
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            document = None
        # What can't be understood may be kept by the broker in our birth's place.
        is_online = isinstance(document, dict) and document.get("online") is True
        return None if is_online else self.birth()

    def death(self, now_ms: int) -> bytes:
        """Tell that the host application is about to leave.

        Parameters
        ----------
        now_ms : int
            The present. [ms since 1970-01-01 UTC]

        Returns
        -------
        bytes
            Death certificate to be published before DISCONNECT.
        """
        self._is_born = False
        self._connected_at_ms = max(now_ms, self._connected_at_ms)
        return _certificate(is_online=False, at_ms=self._connected_at_ms)


def _certificate(*, is_online: bool, at_ms: int) -> bytes:
    return json.dumps({"online": is_online, "timestamp": at_ms}).encode()
