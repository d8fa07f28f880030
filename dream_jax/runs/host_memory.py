"""Gives memory that compiling has used back to the system, where glibc is the C library.

Compiling takes a gigabyte in many small pieces, on several threads. The C library keeps them in an
arena for each thread and would hold them for the whole run.
"""

import contextlib
import ctypes
from typing import Any

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def _glibc() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - whether it is there
        return library
    return None


def limit_arenas() -> None:
    """Let all threads share a few arenas. Call it before they start."""
    library = _glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def release() -> None:
    """Give free memory back to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)
