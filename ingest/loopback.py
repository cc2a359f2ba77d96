"""Whether an address stays within this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself.

    Parameters
    ----------
    host : str
        Host name or address.

    Returns
    -------
    bool
        True for ``localhost`` and loopback addresses.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("10.0.0.5")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
