"""Keeps the processes of the agent small where the system's memory allocator lets us."""

import asyncio
import ctypes
import itertools
from typing import Final

_M_ARENA_MAX: Final = -8
"""Number of that option in glibc's ``malloc.h``."""

FIRST_AFTER_S: Final = (3.0, 10.0)
INTERVAL_S: Final = 600.0
"""When memory is given back: after starting up, and what browsing, history or a backlog needed."""


def use_one_arena() -> None:
    """Let all threads share one pool of memory; each of their own would never be given back."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give memory that is not used any more back to the system, as after starting up."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


async def give_back_forever() -> None:
    """Give memory back after starting up, and from time to time."""
    for delay_s in itertools.chain(FIRST_AFTER_S, itertools.repeat(INTERVAL_S)):
        await asyncio.sleep(delay_s)
        give_back()
