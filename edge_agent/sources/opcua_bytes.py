"""OPC UA Binary, read one value at a time and never past its end: the slow way, and the safe one.

Hostile bytes make a general decoder hang: an array of two thousand million nulls is six bytes long.
Here nothing is built that is not needed, every length is held against the bytes that are left, and
nesting is bounded, so reading takes time and memory in proportion to the message.

References
----------
.. [1] OPC 10000-6, OPC Unified Architecture, part 6: mappings, section 5.2: OPC UA Binary.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_DEPTH: Final = 32
"""Variants within variants; OPC 10000-6, 5.1.8 asks decoders for at most 100."""

MAX_MATRIX_ELEMENTS: Final = 1_000_000
"""Largest matrix that a variant may announce."""

KINDS: Final = (
    "Null", "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
    "Float", "Double", "String", "DateTime", "Guid", "ByteString", "XmlElement", "NodeId",
    "ExpandedNodeId",
    "StatusCode", "QualifiedName", "LocalizedText", "ExtensionObject", "DataValue", "Variant",
    "DiagnosticInfo",
)  # fmt: skip
"""Built-in types by their number."""

NUMBER_FORMATS: Final = {
    1: "<?", 2: "<b", 3: "<B", 4: "<h", 5: "<H", 6: "<i", 7: "<I", 8: "<q", 9: "<Q", 10: "<f",
    11: "<d",
}  # fmt: skip
"""How each type that is a number lies in memory."""

_NUMBERS: Final = {kind: struct.Struct(form) for kind, form in NUMBER_FORMATS.items()}
_FIXED_SIZES: Final = {
    **{kind: number.size for kind, number in _NUMBERS.items()}, 13: 8, 14: 16, 19: 4,
}  # fmt: skip
_NULL, _STRING, _BYTE_STRING, _XML = 0, 12, 15, 16
_NODE_ID, _EXPANDED_NODE_ID = 17, 18
_QUALIFIED_NAME, _LOCALIZED_TEXT, _EXTENSION_OBJECT, _DATA_VALUE = 20, 21, 22, 23
_VARIANT, _DIAGNOSTIC_INFO = 24, 25

_IS_ARRAY, _HAS_DIMENSIONS, _KIND_BITS = 0x80, 0x40, 0x3F
_NODE_ID_TAILS: Final = {0: 1, 1: 3, 2: 6, 4: 18}
_HAS_NAMESPACE_URI, _HAS_SERVER_INDEX = 0x80, 0x40


class MalformedError(ValueError):
    """Bytes that are not what they should be."""


class Value(NamedTuple):
    """What a variant holds, as far as a sample needs it."""

    kind: str
    """Type as its name, with ``array`` behind it for one."""
    number: float | None
    """None for what is no number."""
    is_null: bool
    """Whether there is no value, which is not the same as one that is no number."""


class DataValue(NamedTuple):
    """One value with its status and times; 0 for a time that is not there."""

    value: Value
    status: int
    source_time: int
    """Tenths of microseconds since 1601. [100 ns]"""
    server_time: int
    """Tenths of microseconds since 1601. [100 ns]"""


@dataclass(slots=True)
class Cursor:
    """A place in bytes that only moves forward, and never past the end.

    Parameters
    ----------
    data : bytes
        What is read.
    at : int
        Where the next value begins.
    end : int
        Where everything ends.
    """

    data: bytes
    at: int
    end: int

    def skip(self, n_bytes: int) -> int:
        """Move on.

        Parameters
        ----------
        n_bytes : int
            How far. [byte]

        Returns
        -------
        int
            Where it was.

        Raises
        ------
        MalformedError
            If so much is not left.
        """
        begin = self.at
        if n_bytes < 0 or n_bytes > self.end - begin:
            msg = f"{n_bytes} bytes are announced at byte {begin}, {self.end - begin} are left"
            raise MalformedError(msg)
        self.at = begin + n_bytes
        return begin

    def whole(self, n_bytes: int) -> int:
        """Read a whole number without sign.

        Parameters
        ----------
        n_bytes : int
            Its size. [byte]

        Returns
        -------
        int
            The number.
        """
        begin = self.skip(n_bytes)
        return int.from_bytes(self.data[begin : self.at], "little")

    def length(self, smallest: int) -> int:
        """Read how many elements follow.

        Parameters
        ----------
        smallest : int
            Least size of one of them; what can't fit is refused. [byte]

        Returns
        -------
        int
            Their number, -1 for an array that is null.

        Raises
        ------
        MalformedError
            If so many can't follow.
        """
        begin = self.skip(4)
        length = int.from_bytes(self.data[begin : self.at], "little", signed=True)
        if length < -1 or length * smallest > self.end - self.at:
            n_left = self.end - self.at
            msg = f"{length} elements are announced at byte {begin}, {n_left} bytes are left"
            raise MalformedError(msg)
        return length

    def text(self) -> bool:
        """Pass over a string of bytes.

        Returns
        -------
        bool
            False if it is null.
        """
        length = self.length(1)
        self.skip(max(length, 0))
        return length >= 0

    def node_id(self, *, may_expand: bool = True) -> int | None:
        """Read a node id.

        Parameters
        ----------
        may_expand : bool
            Whether a namespace URI and a server index may follow.

        Returns
        -------
        int or None
            The number of a numeric one in namespace 0, None for any other.

        Raises
        ------
        MalformedError
            If it is of no known form.
        """
        form = self.whole(1)
        begin = self.at
        tail = _NODE_ID_TAILS.get(form & 0x3F)
        if tail is not None:
            self.skip(tail)
        elif form & 0x3F in {3, 5}:
            self.skip(2)
            self.text()
        else:
            msg = f"a node id of form {form & 0x3F} at byte {begin}"
            raise MalformedError(msg)
        number = None
        if form & 0x3F == 0:
            number = self.data[begin]
        elif form == 1 and self.data[begin] == 0:
            number = int.from_bytes(self.data[begin + 1 : begin + 3], "little")
        elif form == 2 and self.data[begin : begin + 2] == b"\0\0":
            number = int.from_bytes(self.data[begin + 2 : begin + 6], "little")
        if may_expand and form & _HAS_NAMESPACE_URI:
            self.text()
        if may_expand and form & _HAS_SERVER_INDEX:
            self.skip(4)
        return number

    def extension_object(self) -> tuple[int | None, int, int]:
        """Pass over an extension object.

        Returns
        -------
        tuple of (int or None, int, int)
            Number of its type, and where its body begins and ends.
        """
        kind = self.node_id()
        if self.whole(1) == 0:
            return kind, self.at, self.at
        length = self.length(1)
        begin = self.skip(max(length, 0))
        return kind, begin, self.at

    def diagnostic_info(self, depth: int = 0) -> None:
        """Pass over diagnostics.

        Parameters
        ----------
        depth : int
            How deep they are nested.
        """
        _check_depth(depth)
        mask = self.whole(1)
        self.skip(4 * (mask & 0x0F).bit_count())
        if mask & 0x10:
            self.text()
        if mask & 0x20:
            self.skip(4)
        if mask & 0x40:
            self.diagnostic_info(depth + 1)

    def diagnostic_infos(self) -> None:
        """Pass over an array of diagnostics."""
        for _ in range(self.length(1)):
            self.diagnostic_info()

    def variant(self, depth: int = 0) -> Value:
        """Read a variant.

        Parameters
        ----------
        depth : int
            How deep it is nested.

        Returns
        -------
        Value
            What it holds.
        """
        _check_depth(depth)
        form = self.whole(1)
        kind = form & _KIND_BITS
        value = self._array(kind, depth) if form & _IS_ARRAY else self._scalar(kind, depth)
        if form & _HAS_DIMENSIONS:
            self._dimensions(value, is_array=bool(form & _IS_ARRAY))
        return value

    def data_value(self, depth: int = 0) -> DataValue:
        """Read a value with its status and times.

        Parameters
        ----------
        depth : int
            How deep it is nested.

        Returns
        -------
        DataValue
            What it says.
        """
        mask = self.whole(1)
        value = self.variant(depth) if mask & 0x01 else Value(KINDS[_NULL], None, True)
        status = self.whole(4) if mask & 0x02 else 0
        source_time = self._signed8() if mask & 0x04 else 0
        # In this order in the bytes (OPC 10000-6, table 26), though not in the mask's bits.
        if mask & 0x10:
            self.skip(2)
        server_time = self._signed8() if mask & 0x08 else 0
        if mask & 0x20:
            self.skip(2)
        return DataValue(value, status, source_time, server_time)

    def _signed8(self) -> int:
        begin = self.skip(8)
        return int.from_bytes(self.data[begin : self.at], "little", signed=True)

    def _scalar(self, kind: int, depth: int) -> Value:
        number = _NUMBERS.get(kind)
        if number is not None:
            begin = self.skip(number.size)
            return Value(KINDS[kind], float(number.unpack_from(self.data, begin)[0]), False)
        if kind == _VARIANT:
            return self.variant(depth + 1)
        if kind == _NULL:
            return Value(KINDS[kind], None, True)
        if kind in {_STRING, _BYTE_STRING, _XML}:
            return Value(KINDS[kind], None, not self.text())
        self._pass(kind, depth)
        return Value(KINDS[kind] if kind < len(KINDS) else "Custom", None, False)

    def _array(self, kind: int, depth: int) -> Value:
        name = KINDS[kind] if kind < len(KINDS) else "Custom"
        size = _FIXED_SIZES.get(kind)
        # Nulls take no room at all: their number is held against the bytes that are left.
        length = self.length(size or 1)
        if size is not None:
            self.skip(size * max(length, 0))
        elif kind != _NULL:
            for _ in range(length):
                self._pass(kind, depth)
        return Value(f"{name} array", None, length < 0)

    def _pass(self, kind: int, depth: int) -> None:
        """Pass over a value that is no number."""
        size = _FIXED_SIZES.get(kind)
        if size is not None:
            self.skip(size)
        elif kind == _VARIANT:
            self.variant(depth + 1)
        else:
            _PASSES.get(kind, _pass_text)(self, depth)

    def _dimensions(self, value: Value, *, is_array: bool) -> None:
        length = self.length(4)
        begin = self.skip(4 * max(length, 0))
        if value.is_null:
            return
        n_elements = 1
        for (size,) in struct.iter_unpack("<i", self.data[begin : self.at]):
            n_elements = min(n_elements * max(size, 1), MAX_MATRIX_ELEMENTS + 1)
        if not is_array or length < 1 or n_elements > MAX_MATRIX_ELEMENTS:
            msg = f"a matrix of {length} dimensions at byte {begin} is too large or is none"
            raise MalformedError(msg)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        msg = f"values are nested deeper than {MAX_DEPTH}"
        raise MalformedError(msg)


def _pass_text(cursor: Cursor, _depth: int) -> None:
    cursor.text()


def _pass_qualified_name(cursor: Cursor, _depth: int) -> None:
    cursor.skip(2)
    cursor.text()


def _pass_localized_text(cursor: Cursor, _depth: int) -> None:
    mask = cursor.whole(1)
    for bit in (0x01, 0x02):
        if mask & bit:
            cursor.text()


_PASSES: Final[dict[int, Callable[[Cursor, int], object]]] = {
    _NODE_ID: lambda cursor, _: cursor.node_id(),
    _EXPANDED_NODE_ID: lambda cursor, _: cursor.node_id(),
    _QUALIFIED_NAME: _pass_qualified_name,
    _LOCALIZED_TEXT: _pass_localized_text,
    _EXTENSION_OBJECT: lambda cursor, _: cursor.extension_object(),
    _DATA_VALUE: lambda cursor, depth: cursor.data_value(depth + 1),
    _DIAGNOSTIC_INFO: lambda cursor, depth: cursor.diagnostic_info(depth + 1),
}
