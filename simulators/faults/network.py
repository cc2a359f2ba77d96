"""What a network can do to a connection, and the bits it garbles."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from simulators.errors import ScenarioError

ProxyMode: TypeAlias = Literal[
    "pass", "refuse", "reset", "half-open", "slow", "delay", "slice", "flip", "cut"
]
PROXY_MODES: Final[tuple[ProxyMode, ...]] = get_args(ProxyMode)
WORDS: Final[dict[ProxyMode, str]] = {
    "pass": "bytes pass as they come",
    "refuse": "nobody listens: new connections are refused; open ones are cut",
    "reset": "open connections are reset (RST); new ones too, as soon as they are made",
    "half-open": "connections stay open and nothing passes any more",
    "slow": "`bytes_per_s` pass in each direction, after `delay_s`",
    "delay": "bytes come `delay_s` later, and up to `jitter_s` more",
    "slice": "bytes pass in pieces of `piece_bytes`",
    "flip": "one bit in `every_bytes` is flipped, on the way to the client unless told otherwise",
    "cut": "each connection ends once `after_bytes` more have passed in one direction",
}
"""What each mode does, for people."""

Way: TypeAlias = Literal["to-server", "to-client"]
Direction: TypeAlias = Literal["both", "to-server", "to-client"]
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)

_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "bytes_per_s": (1.0, 1e12),
    "delay_s": (0.0, 3600.0),
    "jitter_s": (0.0, 3600.0),
    "piece_bytes": (1, 2**31),
    "every_bytes": (1, 2**31),
    "after_bytes": (1, 2**53),
}


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What a proxy does now.

    Parameters
    ----------
    mode : str
        One of `PROXY_MODES`.
    bytes_per_s : float
        Pace of a slow connection. [byte/s]
    delay_s : float
        How much later bytes come in the modes slow and delay. [s]
    piece_bytes : int
        Size of slices.
    every_bytes : int
        Mean distance between flipped bits. [byte]
    jitter_s : float
        How much later still at most; drawn for each piece, order is kept. [s]
    after_bytes : int
        How many bytes pass before a connection is cut.
    direction : {"both", "to-server", "to-client"} or None
        Which way is touched; None for both, or for flip that to the client.

    Raises
    ------
    ScenarioError
        If a number is out of bounds, or a direction is given to refuse or reset.
    """

    mode: ProxyMode = "pass"
    bytes_per_s: float = 10_000.0
    delay_s: float = 0.0
    piece_bytes: int = 3
    every_bytes: int = 1000
    jitter_s: float = 0.0
    after_bytes: int = 1000
    direction: Direction | None = None

    def __post_init__(self) -> None:
        if self.mode not in PROXY_MODES:
            msg = f"mode {self.mode!r} is not known; choose among {', '.join(PROXY_MODES)}"
            raise ScenarioError(msg)
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                msg = f"{name}: {getattr(self, name):g} is out of bounds; give {low:g} to {high:g}"
                raise ScenarioError(msg)
        if self.direction not in {None, *DIRECTIONS}:
            msg = f"direction {self.direction!r} is not known; choose among {', '.join(DIRECTIONS)}"
            raise ScenarioError(msg)
        if self.direction not in {None, "both"} and self.mode in {"refuse", "reset"}:
            msg = f"direction: {self.mode} ends whole connections; leave it out"
            raise ScenarioError(msg)

    def mode_of(self, way: Way) -> ProxyMode:
        """Say what is done in one direction.

        Parameters
        ----------
        way : {"to-server", "to-client"}
            The direction.

        Returns
        -------
        str
            The mode, or ``pass`` if the direction is not touched.
        """
        direction = self.direction or ("to-client" if self.mode == "flip" else "both")
        return self.mode if direction in {"both", way} else "pass"


class Garbler:
    """Flips bits of a stream, the same ones in whatever pieces it comes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._every_bytes = 0
        self._n_sound = 0

    def garbled(self, piece: bytes, every_bytes: int) -> tuple[bytes, int]:
        """Flip one bit of some bytes.

        Parameters
        ----------
        piece : bytes
            The next bytes of the stream.
        every_bytes : int
            Mean distance between bytes that are hit; distances are geometric, so that each byte
            is as likely as any other. [byte]

        Returns
        -------
        piece : bytes
            As many bytes.
        n_flips : int
            How many of them have one bit flipped.
        """
        if every_bytes != self._every_bytes:
            self._every_bytes = every_bytes
            self._n_sound = self._gap()
        spoilt, n_flips = bytearray(piece), 0
        while self._n_sound < len(piece):
            spoilt[self._n_sound] ^= 1 << int(self._rng.integers(8))
            self._n_sound += 1 + self._gap()
            n_flips += 1
        self._n_sound -= len(piece)
        return bytes(spoilt), n_flips

    def _gap(self) -> int:
        return int(self._rng.geometric(1.0 / self._every_bytes)) - 1
