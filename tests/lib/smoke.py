"""libortho.so from Python with ctypes alone: sieve, save, load, forward, the kill switch, an error's
message.

usage: smoke.py path/to/libortho.so
"""

import ctypes as c
import math
import os
import random
import sys
import tempfile

NONFINITE = 5
CPU = 1
VERSION = 100


class Matrix(c.Structure):
    _fields_ = [("rows", c.c_int64), ("cols", c.c_int64), ("stride", c.c_int64),
                ("dtype", c.c_int), ("data", c.c_void_p)]


class Options(c.Structure):
    _fields_ = [("size", c.c_size_t), ("density", c.c_double), ("rule", c.c_int),
                ("group", c.c_int32), ("threads", c.c_int32), ("device", c.c_int32)]


class LayerOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("device", c.c_int32), ("threads", c.c_int32)]


class Info(c.Structure):
    _fields_ = [("size", c.c_size_t), ("n", c.c_int64), ("k", c.c_int64), ("nnz", c.c_int64),
                ("group", c.c_int32), ("rule", c.c_int), ("alpha", c.c_float),
                ("bytes", c.c_size_t), ("variant", c.c_char_p), ("device", c.c_int32)]


class PassStep(c.Structure):
    _fields_ = [("layer", c.c_void_p), ("x_at", c.c_int64), ("scale", c.c_float)]


def load(path):
    lib = c.CDLL(path)
    lib.ortho_last_message.restype = c.c_char_p
    lib.ortho_layer_sieve.argtypes = [c.POINTER(Matrix), c.c_void_p, c.POINTER(Options),
                                      c.POINTER(c.c_void_p)]
    lib.ortho_layer_forward.argtypes = [c.c_void_p, c.c_void_p, c.c_int64, c.c_int, c.c_void_p,
                                        c.c_void_p]
    lib.ortho_group_forward.argtypes = [c.POINTER(c.c_void_p), c.c_int32, c.c_void_p, c.c_int64,
                                        c.c_int, c.POINTER(c.c_void_p), c.c_void_p]
    lib.ortho_pass_create.argtypes = [c.POINTER(PassStep), c.c_int32, c.c_int,
                                      c.POINTER(c.c_void_p)]
    lib.ortho_pass_forward.argtypes = [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]
    lib.ortho_layer_set_alpha.argtypes = [c.c_void_p, c.c_float]
    lib.ortho_layer_inspect.argtypes = [c.c_void_p, c.POINTER(Info)]
    lib.ortho_writer_open.argtypes = [c.c_char_p, c.POINTER(c.c_void_p)]
    lib.ortho_layer_save.argtypes = [c.c_void_p, c.c_void_p, c.c_char_p]
    lib.ortho_writer_commit.argtypes = [c.c_void_p]
    lib.ortho_artifact_open.argtypes = [c.c_char_p, c.POINTER(c.c_void_p)]
    lib.ortho_layer_load.argtypes = [c.c_void_p, c.c_char_p, c.POINTER(LayerOptions),
                                     c.POINTER(c.c_void_p)]
    for free in (lib.ortho_layer_free, lib.ortho_artifact_close, lib.ortho_pass_free):
        free.argtypes, free.restype = [c.c_void_p], None
    return lib


def save_and_load(lib, check, layer):
    """The layer as it comes back from a file."""
    writer, artifact, loaded = c.c_void_p(), c.c_void_p(), c.c_void_p()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.safetensors").encode()
        check(lib.ortho_writer_open(path, writer))
        check(lib.ortho_layer_save(layer, writer, "décodeur".encode()))
        check(lib.ortho_writer_commit(writer))
        check(lib.ortho_artifact_open(path, artifact))
        options = LayerOptions(c.sizeof(LayerOptions), CPU, 1)
        check(lib.ortho_layer_load(artifact, "décodeur".encode(), options, loaded))
        lib.ortho_artifact_close(artifact)
    return loaded


def group_and_pass(lib, check, layer, x, n):
    """What two layers that share x give in one call, and in a pass that halves the second's."""
    parts = (c.c_float * n)(), (c.c_float * n)()
    y, whole, a_pass = (c.c_void_p * 2)(*map(c.addressof, parts)), (c.c_float * (2 * n))(), c.c_void_p()
    steps = (PassStep * 2)(PassStep(layer.value, -1, 1.0), PassStep(layer.value, -1, 0.5))
    check(lib.ortho_group_forward((c.c_void_p * 2)(layer.value, layer.value), 2, x, 1, 0, y, None))
    check(lib.ortho_pass_create(steps, 2, 0, a_pass))
    check(lib.ortho_pass_forward(a_pass, x, whole, None))
    lib.ortho_pass_free(a_pass)
    return [list(part) for part in parts], list(whole)


def main():
    lib = load(sys.argv[1])
    n, k = 24, 70
    random.seed(1)
    values = [random.gauss(0.0, 0.02) for _ in range(n * k)]
    w = (c.c_float * (n * k))(*values)
    matrix = Matrix(n, k, k, 0, c.cast(w, c.c_void_p))
    options = Options(c.sizeof(Options), 1.0, 1, 32, 1, CPU)
    layer = c.c_void_p()

    def check(status):
        assert status == 0, lib.ortho_last_message().decode()

    check(lib.ortho_check_version(VERSION))
    check(lib.ortho_layer_sieve(matrix, None, options, layer))
    x = (c.c_float * k)(*[random.gauss(0.0, 1.0) for _ in range(k)])
    y = (c.c_float * n)(*[math.nan] * n)
    wanted = [sum(x[j] * values[i * k + j] for j in range(k)) for i in range(n)]

    def error(layer):
        check(lib.ortho_layer_forward(layer, x, 1, 0, y, None))
        return max(abs(a - b) for a, b in zip(y, wanted))

    dual = error(layer)
    alone = list(y)
    grouped, passed = group_and_pass(lib, check, layer, x, n)
    assert grouped == [alone, alone] and passed == alone + [value / 2 for value in alone]
    check(lib.ortho_layer_set_alpha(layer, 0.0))
    base = error(layer)
    assert dual < 1e-3 < base, (dual, base)
    loaded = save_and_load(lib, check, layer)
    assert error(loaded) == dual
    lib.ortho_layer_free(loaded)

    info = Info(c.sizeof(Info))
    check(lib.ortho_layer_inspect(layer, info))
    assert (info.n, info.k, info.nnz, info.group) == (n, k, n * k, 32)
    lib.ortho_layer_free(layer)

    w[5 * k + 7] = math.nan
    layer = c.c_void_p()
    assert lib.ortho_layer_sieve(matrix, None, options, layer) == NONFINITE
    message = lib.ortho_last_message().decode()
    assert "row 5" in message and "column 7" in message, message
    assert layer.value is None


if __name__ == "__main__":
    main()
