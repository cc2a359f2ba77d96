"""Records of arrays to and from plain JSON, to the last bit."""

import base64
import binascii
import dataclasses
import zlib
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from analytics.arrays import DomainError

RecordT = TypeVar("RecordT")


def pack_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Pack an array.

    Parameters
    ----------
    array : ndarray
        Numbers of any kind.

    Returns
    -------
    dict
        Its dtype, shape and little-endian bytes, compressed, as text.

    Examples
    --------
    >>> unpack_array(pack_array(np.array([0.1, np.nan], np.float32)))
    array([0.1, nan], dtype=float32)
    """
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    packed = zlib.compress(little.tobytes(), level=6)
    return {
        "dtype": little.dtype.str,
        "shape": list(array.shape),
        "zlib_base64": base64.b64encode(packed).decode("ascii"),
    }


def unpack_array(document: dict[str, Any]) -> npt.NDArray[Any]:
    """Undo `pack_array`.

    Parameters
    ----------
    document : dict
        From `pack_array`.

    Returns
    -------
    ndarray
        The same numbers in the machine's own byte order.

    Raises
    ------
    DomainError
        If the document has been damaged.
    """
    try:
        raw = zlib.decompress(base64.b64decode(document["zlib_base64"], validate=True))
        stored = np.frombuffer(raw, dtype=document["dtype"]).reshape(document["shape"])
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        msg = f"health model document: an array can't be read ({error}); fit the model again"
        raise DomainError(msg) from error
    return stored.astype(stored.dtype.newbyteorder("="))


def pack_record(record: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass of arrays and numbers
    """Pack a dataclass of arrays, numbers and texts.

    Parameters
    ----------
    record : dataclass instance
        Without records inside.

    Returns
    -------
    dict
        One entry for each field.
    """
    return {
        field.name: pack_array(value) if isinstance(value, np.ndarray) else value
        for field in dataclasses.fields(record)
        for value in [getattr(record, field.name)]
    }


def unpack_record(record_type: type[RecordT], document: dict[str, Any]) -> RecordT:
    """Undo `pack_record`.

    Parameters
    ----------
    record_type : type
        The dataclass.
    document : dict
        From `pack_record`, perhaps by way of JSON.

    Returns
    -------
    record_type
        Equal to the packed one, to the last bit.

    Raises
    ------
    DomainError
        If an entry is missing or not known, or has been damaged.
    """
    values = {
        name: unpack_array(value)
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in document.items()
    }
    try:
        return record_type(**values)
    except TypeError as error:
        msg = (
            f"health model document: {record_type.__name__} can't be read ({error}); it may come "
            "from another version of the program; fit the model again"
        )
        raise DomainError(msg) from error
