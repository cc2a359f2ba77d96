"""Hypothesis strategies for OPC UA values as they travel: bytes laid out by the specification."""

import struct
from collections.abc import Sequence
from typing import Any

import asyncua
from asyncua.ua.ua_binary import variant_to_binary
from hypothesis import strategies as st

ua: Any = asyncua.ua
"""Its constructors ask for its own number types, and take plain ones."""

_INTEGERS = {2: "<b", 3: "<B", 4: "<h", 5: "<H", 6: "<i", 7: "<I", 8: "<q", 9: "<Q"}
TICKS_2026 = 134_000_000_000_000_000


def _bounds(form: str) -> tuple[int, int]:
    n_bits = 8 * struct.calcsize(form)
    return (
        (-(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1) if form[1].islower() else (0, 2**n_bits - 1)
    )


@st.composite
def numbers(draw: st.DrawFn, kinds: Sequence[int] = tuple(range(1, 12))) -> bytes:
    """A variant with one number."""
    kind = draw(st.sampled_from(kinds))
    if kind == 1:
        return bytes([kind, draw(st.sampled_from([0, 1, 1, 2, 255]))])
    if kind == 10:
        return bytes([kind]) + struct.pack("<f", draw(st.floats(width=32)))
    if kind == 11:
        return bytes([kind]) + struct.pack("<d", draw(st.floats()))
    return bytes([kind]) + struct.pack(
        _INTEGERS[kind], draw(st.integers(*_bounds(_INTEGERS[kind])))
    )


def _other_values() -> list[bytes]:
    values = [
        ua.Variant(None),
        ua.Variant("läuft"),
        ua.Variant(None, ua.VariantType.String),
        ua.Variant(None, ua.VariantType.ByteString),
        ua.Variant(b"\x00\xff"),
        ua.Variant(ua.StatusCode(ua.UInt32(0x80000000))),
        ua.Variant(ua.NodeId("press", 2)),
        ua.Variant(ua.NodeId(70_000, 3)),
        ua.Variant(ua.ExpandedNodeId("a", 1, NamespaceUri="urn:b", ServerIndex=4)),
        ua.Variant(ua.QualifiedName("name", 1)),
        ua.Variant(ua.LocalizedText("text", "de")),
        ua.Variant(ua.LocalizedText(None, None)),
        ua.Variant(ua.ExtensionObject(ua.NodeId(9999, 3), ua.ByteString(b"12345"))),
        ua.Variant(ua.Range(1.0, 2.0)),
        ua.Variant(ua.DataValue(ua.Variant(1.0))),
        ua.Variant(ua.win_epoch_to_datetime(TICKS_2026), ua.VariantType.DateTime),
        ua.Variant([1.0, 2.0]),
        ua.Variant([], ua.VariantType.Double),
        ua.Variant([True, False]),
        ua.Variant(["a", None], ua.VariantType.String),
        ua.Variant([ua.Variant(1), ua.Variant("x")], ua.VariantType.Variant),
        ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int16),
        ua.Variant([ua.LocalizedText("a")]),
        ua.Variant([ua.NodeId(1, 1)]),
    ]  # fmt: skip
    raw = [
        b"\x18\x0b" + struct.pack("<d", 2.5),  # a variant in a variant
        b"\x18\x18\x00",
        b"\x8b\xff\xff\xff\xff",  # an array that is null
        b"\x80\x02\x00\x00\x00",  # an array of two nulls
        b"\x1b\x03\x00\x00\x00abc",  # a type that is yet to come
        b"\x0e" + bytes(range(16)),  # a GUID
        b"\x97\x01\x00\x00\x00\x01\x06\x05\x00\x00\x00",  # an array of one data value
        b"\x19\x01\x01\x00\x00\x00",  # diagnostics
    ]  # fmt: skip
    return [*map(variant_to_binary, values), *raw]


OTHER_VALUES = _other_values()
"""Variants that are no numbers: text, times, ids, structures, arrays, nothing."""


def others() -> st.SearchStrategy[bytes]:
    """A variant that is no number."""
    return st.sampled_from(OTHER_VALUES)


STATUSES = st.sampled_from([
    0, 0, 0x00300000, 0x00000480, 0x40000000, 0x40920000, 0x80000000, 0x80310480, 0xC0000000,
    0x00000400, 0x00000080, 0xFFFFFFFF,
])  # fmt: skip
TICKS = (
    st.integers(TICKS_2026, TICKS_2026 + 10**9)
    | st.sampled_from([0, -1, 2**63 - 1, -(2**63), 116_444_736_000_000_000])
    | st.integers(116_444_735_999_999_980, 116_444_736_000_000_030)
    | st.integers(208_591_200_000_000_000 - 20, 208_591_200_000_000_000 + 20)
    | st.integers(-(2**63), 2**63 - 1)
)


@st.composite
def items(
    draw: st.DrawFn,
    handles: st.SearchStrategy[int],
    masks: st.SearchStrategy[int],
    variants: st.SearchStrategy[bytes],
) -> bytes:
    """One monitored item: handle, mask, and what the mask says."""
    mask = draw(masks)
    parts = [struct.pack("<IB", draw(handles), mask)]
    if mask & 0x01:
        parts.append(draw(variants))
    if mask & 0x02:
        parts.append(struct.pack("<I", draw(STATUSES)))
    if mask & 0x04:
        parts.append(struct.pack("<q", draw(TICKS)))
    if mask & 0x10:
        parts.append(struct.pack("<H", draw(st.integers(0, 9999))))
    if mask & 0x08:
        parts.append(struct.pack("<q", draw(TICKS)))
    if mask & 0x20:
        parts.append(struct.pack("<H", draw(st.integers(0, 9999))))
    return b"".join(parts)


def body_of(parts: Sequence[bytes], tail: bytes = b"\xff\xff\xff\xff") -> bytes:
    """A DataChangeNotification."""
    return struct.pack("<i", len(parts)) + b"".join(parts) + tail


MASKS = st.integers(0, 255).filter(lambda mask: mask & 0x18 != 0x18)
"""asyncua reads the source's picoseconds and the server's time in the wrong order when both are
there (OPC 10000-6, table 26); what we make of those is tested on its own."""


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Notifications with runs of one form, and with mixtures."""
    handles = st.sampled_from([1, 2, 3, 7, 1_000_000])
    parts: list[bytes] = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            kind, mask = draw(st.integers(1, 11)), draw(MASKS)
            run = items(handles, st.just(mask), numbers([kind]))
            few = draw(st.lists(run, min_size=1, max_size=4))
            parts += few * draw(st.sampled_from([1, 8, 40, 200]))
        else:
            any_item = items(handles, MASKS, numbers() | others())
            parts += draw(st.lists(any_item, max_size=8))
    tail = draw(st.sampled_from([
        b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x02\0\0\0\x00\x31\x01\0\0\0\x02\0\0\0ab\0\0\x02\x80",
    ]))  # fmt: skip
    return body_of(parts, tail)
