"""Says on the terminal how far long work has come."""

import sys
import time
from typing import Final, TextIO

_PAUSE_S: Final = 0.2


class Progress:
    """One line on stderr that renews itself; plain lines where nobody watches a terminal.

    Parameters
    ----------
    stream : TextIO, optional
        Where to write; stderr if not given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = self._stream.isatty()
        self._last_s = 0.0
        self._width = 0

    def show(self, text: str) -> None:
        """Renew the line, a few times a second at most, on a terminal only.

        Parameters
        ----------
        text : str
            How far it has come.
        """
        now_s = time.monotonic()
        if not self._is_terminal or now_s - self._last_s < _PAUSE_S:
            return
        self._last_s = now_s
        print(f"\r{text:<{self._width}}", end="", file=self._stream, flush=True)
        self._width = len(text)

    def say(self, text: str) -> None:
        """Write a line that stays.

        Parameters
        ----------
        text : str
            What has happened.
        """
        start = "\r" + " " * self._width + "\r" if self._is_terminal and self._width else ""
        self._width = 0
        print(f"{start}{text}", file=self._stream, flush=True)
