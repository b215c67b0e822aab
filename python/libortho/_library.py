"""libortho.so through ctypes: where it is found, what is used of ortho.h, and its errors.

The structs are those of <ortho/ortho.h> as of HEADER_VERSION; the library takes a shorter one from
an older caller, and says so when it can't serve this header at all.
"""

from __future__ import annotations

import ctypes as c
import functools
import os
import pathlib

HEADER_VERSION = 100  # ORTHO_VERSION of the header that the structs below follow
NAME = "libortho.so.0"

F32, F16, BF16 = 0, 1, 2  # ortho_dtype
RULES = ("outlier", "residual", "legacy")  # ortho_rule
DEVICE_CPU, DEVICE_CUDA = 1, 2  # ortho_device
ACTIVATIONS = ("exact", "int8")  # ortho_activation_mode

(OK, E_ARGUMENT, E_MEMORY, E_IO, E_FORMAT, E_NONFINITE, E_UNSUPPORTED, E_NOT_FOUND,
 E_CANCELLED, E_DEVICE, E_WRONG, E_INTERNAL) = range(12)  # ortho_status


class LibOrthoError(RuntimeError):
    """A call of libortho failed. The message is the library's own; `status` its ortho_status."""

    status: int = E_INTERNAL


class LibOrthoValueError(LibOrthoError, ValueError):
    """ARGUMENT, FORMAT or NONFINITE: what was given can't be."""


class LibOrthoMemoryError(LibOrthoError, MemoryError):
    """An allocation failed."""


class LibOrthoNotFoundError(LibOrthoError, FileNotFoundError):
    """No such file, layer or variant."""


class LibOrthoUnsupportedError(LibOrthoError, NotImplementedError):
    """Legal, but this build of libortho, this machine or this variant can't."""


_ERRORS: dict[int, type[LibOrthoError]] = {
    E_ARGUMENT: LibOrthoValueError,
    E_FORMAT: LibOrthoValueError,
    E_NONFINITE: LibOrthoValueError,
    E_MEMORY: LibOrthoMemoryError,
    E_NOT_FOUND: LibOrthoNotFoundError,
    E_UNSUPPORTED: LibOrthoUnsupportedError,
}


class Matrix(c.Structure):
    _fields_ = [("rows", c.c_int64), ("cols", c.c_int64), ("stride", c.c_int64),
                ("dtype", c.c_int), ("data", c.c_void_p)]


class Split(c.Structure):
    _fields_ = [("n", c.c_int64), ("k", c.c_int64), ("nnz", c.c_int64), ("group", c.c_int64),
                ("q", c.c_void_p), ("scale", c.c_void_p), ("row_ptr", c.c_void_p),
                ("col", c.c_void_p), ("val", c.c_void_p)]


class SieveOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("density", c.c_double), ("rule", c.c_int),
                ("group", c.c_int32), ("threads", c.c_int32), ("device", c.c_int32),
                ("variant", c.c_char_p), ("activations", c.c_int32), ("unused", c.c_int32)]


class LayerOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("device", c.c_int32), ("threads", c.c_int32),
                ("variant", c.c_char_p), ("activations", c.c_int32), ("unused", c.c_int32)]


class LayerInfo(c.Structure):
    _fields_ = [("size", c.c_size_t), ("n", c.c_int64), ("k", c.c_int64), ("nnz", c.c_int64),
                ("group", c.c_int32), ("rule", c.c_int), ("alpha", c.c_float),
                ("bytes", c.c_size_t), ("variant", c.c_char_p), ("device", c.c_int32),
                ("activations", c.c_int32)]


class ArtifactInfo(c.Structure):
    _fields_ = [("size", c.c_size_t), ("name", c.c_char_p), ("tensor", c.c_char_p),
                ("n", c.c_int64), ("k", c.c_int64), ("nnz", c.c_int64), ("group", c.c_int32),
                ("rule", c.c_int), ("density", c.c_double), ("bytes", c.c_size_t)]


_POINTER = c.c_void_p
_OUT = c.POINTER(c.c_void_p)

# Calls that answer an ortho_status: their parameters.
_CALLS: dict[str, list[type]] = {
    "ortho_check_version": [c.c_int],
    "ortho_layer_sieve": [c.POINTER(Matrix), _POINTER, c.POINTER(SieveOptions), _OUT],
    "ortho_layer_from_split": [c.POINTER(Split), c.POINTER(LayerOptions), _OUT],
    "ortho_layer_export": [_POINTER, c.POINTER(Split)],
    "ortho_layer_forward": [_POINTER, _POINTER, c.c_int64, c.c_int, _POINTER, _POINTER],
    "ortho_layer_set_alpha": [_POINTER, c.c_float],
    "ortho_layer_inspect": [_POINTER, c.POINTER(LayerInfo)],
    "ortho_artifact_open": [c.c_char_p, _OUT],
    "ortho_artifact_inspect": [_POINTER, c.c_int64, c.POINTER(ArtifactInfo)],
    "ortho_layer_load": [_POINTER, c.c_char_p, c.POINTER(LayerOptions), _OUT],
}


def _candidates() -> list[str]:
    """What to try, best first; with LIBORTHO_LIBRARY nothing but that."""
    asked = os.environ.get("LIBORTHO_LIBRARY")
    if asked:
        return [asked]
    here = pathlib.Path(__file__).resolve().parent
    beside = [here / folder / name for folder in ("", "lib") for name in ("libortho.so", NAME)]
    return [str(path) for path in beside if path.is_file()] + [NAME]


def _open() -> c.CDLL:
    faults = []
    for path in _candidates():
        try:
            return c.CDLL(path)
        except OSError as error:
            faults.append(str(error))
    raise ImportError("libortho.so can't be loaded: " + "; ".join(faults) + ". Reinstall the package"
                      " or set LIBORTHO_LIBRARY to the path of libortho.so")


def _declare(lib: c.CDLL) -> None:
    lib.ortho_version.restype = c.c_int
    lib.ortho_last_message.restype = c.c_char_p
    lib.ortho_status_name.argtypes, lib.ortho_status_name.restype = [c.c_int], c.c_char_p
    lib.ortho_artifact_count.argtypes = [c.c_void_p]
    lib.ortho_artifact_count.restype = c.c_int64
    for name in ("ortho_layer_free", "ortho_artifact_close"):
        getattr(lib, name).argtypes, getattr(lib, name).restype = [c.c_void_p], None
    for name, parameters in _CALLS.items():
        getattr(lib, name).argtypes, getattr(lib, name).restype = parameters, c.c_int


@functools.cache
def library() -> c.CDLL:
    """libortho.so, loaded at the first call. ImportError: not found, or of another ABI."""
    lib = _open()
    try:
        _declare(lib)
    except AttributeError as error:
        raise ImportError(f"{lib._name}: not a libortho that this package can use: {error}") from None
    if lib.ortho_check_version(HEADER_VERSION) != OK:
        raise ImportError(f"{lib._name}: {lib.ortho_last_message().decode(errors='replace')}")
    return lib


def check(status: int) -> None:
    """Raises the error of a status that isn't OK, with the library's message."""
    if status == OK:
        return
    lib = library()
    words = lib.ortho_last_message().decode(errors="replace")
    name = lib.ortho_status_name(status).decode(errors="replace")
    error = _ERRORS.get(status, LibOrthoError)(words or f"libortho: {name}")
    error.status = status
    raise error


def version() -> str:
    """The library's version, "0.1.0"."""
    number = library().ortho_version()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
