"""Memory that was let go, given back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's; None: another libc."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


def trim() -> None:
    """Gives back the pages of a weight that was freed. glibc keeps a block of less than 32 MB in its
    heap; the handles and the small tensors that are made next nibble at it, so that the next weight
    doesn't fit, and the heap grows to several times what is alive."""
    give_back = _malloc_trim()
    if give_back is not None:
        give_back(0)
