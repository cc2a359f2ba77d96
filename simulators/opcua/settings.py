"""How a simulated OPC UA server behaves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpcuaSettings:
    """What a server offers.

    Parameters
    ----------
    policies : tuple of str
        Security policies by name, always with signing and encryption: ``Basic256Sha256``,
        ``Aes128Sha256RsaOaep``, ``Aes256Sha256RsaPss``.
    has_users : bool
        Whether it wants a user name and password besides a trusted certificate.
    history_values : int
        Values of each node kept for HistoryRead; 0 for none.
    """

    policies: tuple[str, ...] = ("Basic256Sha256",)
    has_users: bool = False
    history_values: int = 0
