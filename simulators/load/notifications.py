"""OPC UA notifications with the bytes already laid out: only numbers and times are put in.

Every value is a counter that tells where it came from, so that a reader can prove that nothing is
missing: ``node · 2³² + n`` for the n-th value of a node, exact in a float64 for up to two million
nodes.

References
----------
.. [1] OPC 10000-6, OPC Unified Architecture, part 6: mappings, section 5.2: OPC UA Binary, and
   part 4, section 7.25.2: DataChangeNotification.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

NODE_STRIDE: Final = 2**32
"""Distance between the counters of two nodes."""

_VALUE_AND_SOURCE_TIME: Final = 0x05
_DOUBLE: Final = 11
_TICKS_PER_S: Final = 10_000_000
_NS_PER_TICK: Final = 100
_TICKS_TO_1970: Final = 116_444_736_000_000_000
"""OPC UA counts tenths of microseconds from 1601. [100 ns]"""

ITEM: Final = np.dtype([
    ("handle", "<u4"),
    ("mask", "u1"),
    ("type", "u1"),
    ("value", "<f8"),
    ("source_time", "<i8"),
])  # fmt: skip
"""One monitored item in a notification, byte for byte."""


class NotificationBuilder:
    """Makes the bodies of data change notifications.

    Parameters
    ----------
    handles : sequence of int
        Client handles of the nodes that are watched.
    nodes : sequence of int
        Number of each node.
    n_rounds : int
        Values of each node in one notification.
    step_ns : int
        Source time between two values of a node. [ns]
    start_ns : int
        Source time of the first. [ns since 1970-01-01 UTC]
    """

    def __init__(
        self,
        handles: Sequence[int],
        nodes: Sequence[int],
        *,
        n_rounds: int,
        step_ns: int,
        start_ns: int,
    ) -> None:
        self.n_values = len(handles) * n_rounds
        self.n_rounds, self._step_ns, self._start_ns = n_rounds, step_ns, start_ns
        self._base = np.asarray(nodes, dtype=np.float64) * NODE_STRIDE
        # Count of items, the items, and no diagnostics (a length of -1).
        self._body = bytearray(8 + ITEM.itemsize * self.n_values)
        self._body[:4] = self.n_values.to_bytes(4, "little")
        self._body[-4:] = b"\xff\xff\xff\xff"
        items: npt.NDArray[np.void] = np.frombuffer(self._body, ITEM, self.n_values, offset=4)
        self._items = items.reshape(n_rounds, len(handles))
        self._items["handle"] = np.asarray(handles, dtype=np.uint32)
        self._items["mask"] = _VALUE_AND_SOURCE_TIME
        self._items["type"] = _DOUBLE

    def body(self, first: int) -> bytes:
        """Make one notification.

        Parameters
        ----------
        first : int
            How many values of each node went before; the next one goes on `n_rounds` further.

        Returns
        -------
        bytes
            Body of a DataChangeNotification.
        """
        counts = np.arange(self.n_rounds, dtype=np.int64) + first
        self._items["value"] = self._base + counts[:, np.newaxis].astype(np.float64)
        time_ns = self._start_ns + counts * self._step_ns
        self._items["source_time"] = (time_ns // _NS_PER_TICK + _TICKS_TO_1970)[:, np.newaxis]
        return bytes(self._body)
