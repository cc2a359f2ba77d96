"""Names as people say them."""

from ingest.telemetry import UNIT_BY_SUFFIX


def plain_name(signal: str) -> str:
    """Say a signal's name without its unit.

    Parameters
    ----------
    signal : str
        Signal name.

    Returns
    -------
    str
        Words; the whole name where it ends in no known unit.

    Examples
    --------
    >>> plain_name("bearing_temperature_c"), plain_name("flow_m3_h"), plain_name("speed")
    ('bearing temperature', 'flow', 'speed')
    """
    words = signal.split("_")
    for start in range(1, len(words)):
        if "_".join(words[start:]) in UNIT_BY_SUFFIX:
            return " ".join(words[:start])
    return " ".join(words)
