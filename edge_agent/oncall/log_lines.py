"""Log lines for a person on call: with their level where the journal reads it, and never a flood.

What repeats is told a few times a minute and then counted: a thousand nodes that fail at once, or a
disk that fails ten times a second, must not push out of the journal what came before.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

WINDOW_S: Final = 60.0
MAX_LINES_IN_WINDOW: Final = 20
"""From each place in the program; more are counted and told as one line."""

MAX_LINE_CHARACTERS: Final = 4000
"""What a server or broker says may become part of a line; journald cuts lines at 48 KB."""

# Levels of syslog(3), as sd-daemon(3) has them at the beginning of a line.
_SYSLOG_LEVELS: Final = (
    (logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6),
)  # fmt: skip

_SERVER_CHARACTERS: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code != 10}


@dataclass(slots=True)
class _Site:
    """One place in the program that writes lines."""

    began_s: float
    n_lines: int = 0
    n_left_out: int = 0
    shown: str = ""


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes log lines, bounded in number and length.

    Parameters
    ----------
    stream : TextIO
        Where to.
    environment : mapping of str to str
        Environment of the process; ``JOURNAL_STREAM`` is there when journald reads the stream.
    clock_s : callable
        A clock that never jumps. [s]
    """

    def __init__(
        self,
        stream: TextIO,
        environment: Mapping[str, str],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._is_journal = "JOURNAL_STREAM" in environment
        self._clock_s = clock_s
        self._sites: dict[tuple[str, int], _Site] = {}
        # The journal knows the time already.
        times = "" if self._is_journal else "%(asctime)s "
        self.setFormatter(logging.Formatter(f"{times}%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it if too many like it were written.

        Parameters
        ----------
        record : LogRecord
            What to tell.
        """
        now_s = self._clock_s()
        self._tell_left_out(now_s)
        site = self._sites.setdefault((record.pathname, record.lineno), _Site(now_s))
        site.n_lines += 1
        if site.n_lines <= MAX_LINES_IN_WINDOW:
            super().emit(record)
            return
        site.n_left_out += 1
        site.shown = record.getMessage()

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as lines that can't be mistaken for others.

        Parameters
        ----------
        record : LogRecord
            What to tell.

        Returns
        -------
        str
            Without control characters, each line with its level if the journal reads it.
        """
        text = super().format(record)
        if len(text) > MAX_LINE_CHARACTERS:
            half = MAX_LINE_CHARACTERS // 2
            text = f"{text[:half]} … {text[-half:]}"
        text = text.translate(_SERVER_CHARACTERS)
        if not self._is_journal:
            return text
        level = next((code for least, code in _SYSLOG_LEVELS if record.levelno >= least), 7)
        return "\n".join(f"<{level}>{line}" for line in text.split("\n"))

    def _tell_left_out(self, now_s: float) -> None:
        over = [key for key, site in self._sites.items() if now_s - site.began_s >= WINDOW_S]
        for key in over:
            site = self._sites.pop(key)
            if site.n_left_out:
                text = f"{site.n_left_out} lines like this one were left out: {site.shown}"
                super().emit(
                    logging.LogRecord(__name__, logging.WARNING, *key, text, None, exc_info=None)
                )
