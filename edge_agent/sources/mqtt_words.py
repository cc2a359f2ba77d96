"""What a broker answers, in words for a person on call: what it means and how to mend it."""

import ssl
from collections.abc import Sequence
from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

SESSION_TAKEN_OVER: Final = 0x8E
_UNSPECIFIED: Final = 0x80
"""What paho makes of an end without a reason; so Mosquitto 2.0 ends a session taken over."""

_SUBSCRIBE_REMEDY: Final[dict[int, str]] = {
    0x80: "give this user the right to read it",
    0x87: "give this user the right to read it",
    0x8F: "the broker does not take this filter; correct topic",
    0x97: "the broker's quota is used up; raise it there, or ask for fewer topics",
    0x9E: "the broker has no shared subscriptions",
    0xA2: "the broker takes no wildcards; name the topics one by one",
}
"""Reason codes of SUBACK (MQTT 5.0, 3.9.3) and what to do about them."""

_CONNECT_REMEDY: Final[dict[int, str]] = {
    0x84: 'it does not speak this version; set protocol to "3.1.1"',
    0x85: "it does not take our session's name; give another client_id",
    0x88: "it is not ready; tried again",
    0x89: "it is busy; tried again",
    0x8A: "it has banned us; ask whoever runs it",
    0x97: "its quota is used up; raise it there",
    0x9C: "it wants us to use another server",
    0x9D: "it has moved; correct host and port",
    0x9F: "we connect too often; tried again",
}

_DISCONNECT_REMEDY: Final[dict[int, str]] = {
    0x87: "give this user the right to be connected",
    0x89: "it is busy; tried again",
    0x8B: "it shuts down; tried again until it is back",
    0x8D: "it heard nothing of us for too long; see the network",
    SESSION_TAKEN_OVER: (
        "another client uses the name of our session; give each agent a client_id of its own"
    ),
    0x93: "it says that we don't keep to receive_maximum; tell whoever runs it",
    0x95: "a packet was too large for it",
    0x96: "it says that we send too much",
    0x97: "its quota is used up; raise it there",
    0x98: "its administrator ended it",
    0x9C: "it wants us to use another server",
    0x9D: "it has moved; correct host and port",
}
"""Reason codes of CONNACK and DISCONNECT (MQTT 5.0, 3.2.2.2 and 3.14.2.1)."""


def refused_topic_words(topic: str, code: ReasonCode) -> str:
    """Say that a subscription was refused.

    Parameters
    ----------
    topic : str
        Filter that was asked for.
    code : ReasonCode
        What the broker answered.

    Returns
    -------
    str
        Topic, reason and remedy.
    """
    remedy = _SUBSCRIBE_REMEDY.get(code.value, _SUBSCRIBE_REMEDY[0x87])
    return f"topic {topic}: {code}; {remedy}"


def weaker_words(topics: Sequence[str]) -> str:
    """Say that topics were granted with quality of service 0 only.

    Parameters
    ----------
    topics : sequence of str
        Their filters.

    Returns
    -------
    str
        Consequence and remedy.
    """
    return (
        f"the broker grants QoS 0 only for {', '.join(topics)}: what is published while the agent "
        "is away is lost; let the broker grant QoS 1"
    )


def shorter_words(kept_s: int) -> str:
    """Say that the broker keeps our session for less time than we asked for.

    Parameters
    ----------
    kept_s : int
        How long it does. [s]

    Returns
    -------
    str
        Consequence and remedy.
    """
    return (
        f"the broker keeps our session for {kept_s} s only: after a longer absence, what was "
        "published meanwhile is lost; raise its session expiry"
    )


def refused_connection_words(code: ReasonCode) -> str:
    """Say that the broker did not let us in.

    Parameters
    ----------
    code : ReasonCode
        What the broker answered.

    Returns
    -------
    str
        Reason and remedy.
    """
    remedy = _CONNECT_REMEDY.get(code.value, "correct user, password_file or client_id")
    return f"the broker answered {code}; {remedy}"


def disconnected_words(code: ReasonCode) -> str:
    """Say that the broker ended the connection.

    Parameters
    ----------
    code : ReasonCode
        What the broker gave as its reason.

    Returns
    -------
    str
        Reason and, where there is one, remedy.
    """
    remedy = _DISCONNECT_REMEDY.get(code.value)
    return f"the broker ended the connection: {code}" + (f"; {remedy}" if remedy else "")


def failure_words(error: Exception) -> str:
    """Say why no connection came about.

    Parameters
    ----------
    error : Exception
        What was raised on the way.

    Returns
    -------
    str
        Reason and remedy.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({error.verify_message}); correct tls_ca_file, or "
            "write host as it stands in the certificate"
        )
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection ({error.reason or error}); {_tls_remedy(str(error))}"
    if isinstance(error, TimeoutError):
        return "no answer in time; see that the broker runs and the network lets us through"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be reached: {error.strerror}; see that the broker runs at this address"
    return str(error)


def _tls_remedy(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return "this port may be one without TLS; correct port"
    if "ALERT" in text.upper():
        return "the broker does not accept our certificate; see tls_certificate_file"
    return "see that the broker speaks TLS 1.2 or later"


def lost_words(code: ReasonCode, *, shows_certificate: bool, was_accepted: bool) -> str:
    """Say that a connection ended without a word of the broker.

    Parameters
    ----------
    code : ReasonCode
        What our library makes of it.
    shows_certificate : bool
        Whether we show a certificate of our own.
    was_accepted : bool
        Whether the broker had let us in.

    Returns
    -------
    str
        Reason and, where one can be guessed, remedy.
    """
    if was_accepted and code.value == _UNSPECIFIED:
        return (
            "the connection was lost without a word of the broker; if that repeats, another client "
            "may use the name of our session: give each agent a client_id of its own"
        )
    if was_accepted:
        return f"the connection was lost: {code}"
    # With TLS 1.3 a client learns only after its handshake that its certificate is refused.
    if shows_certificate:
        return (
            "the broker ended the connection before it let us in; it may not accept our "
            "certificate: see that tls_certificate_file comes from an authority it trusts"
        )
    return (
        "the broker ended the connection before it let us in; it may ask for a certificate "
        "(tls_certificate_file) or speak another version (protocol)"
    )
