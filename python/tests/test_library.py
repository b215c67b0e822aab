"""Handles and the library's errors."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import pytest
import torch

import libortho
from libortho import LayerHandle, _handle, _library, _ops


def sieve(n=40, k=300, **options):
    return LayerHandle.sieve(torch.randn(n, k) * 0.02, **{"density": 0.05, **options})


def test_split_is_what_was_sieved():
    w = torch.randn(40, 300) * 0.02
    handle = LayerHandle.sieve(w, density=0.05, group=64)
    split = handle.export()
    assert split.val.numel() == 40 * 300 * 5 // 100
    assert (split.col.dtype, split.q.shape, split.scale.shape) == (torch.uint16, (40, 150), (40, 5))
    error = _ops.dense(split, 300, 64) - w
    assert error.norm() < 0.1 * w.norm()
    at_entries = torch.zeros_like(w, dtype=torch.bool)
    rows = torch.arange(40).repeat_interleave(split.row_ptr.diff())
    at_entries[rows, split.col.long()] = True
    assert error[at_entries].abs().max() < 1e-4 < error[~at_entries].abs().max()


def test_split_there_and_back():
    handle = sieve(k=65)
    again = LayerHandle.from_split(handle.export(), 65, handle.group)
    for one, other in zip(handle.export(), again.export()):
        assert one.dtype == other.dtype and torch.equal(one.to(torch.int64), other.to(torch.int64))


def test_a_forward_that_fails():
    x, y = torch.randn(1, 300), torch.empty(1, 96)
    with pytest.raises(libortho.LibOrthoError, match="dtype"):
        LayerHandle.sieve(torch.randn(96, 300)).forward(x, y, 1, 99, None)


def test_wide_columns():
    handle = LayerHandle.sieve(torch.randn(2, 70000), density=0.001)
    split = handle.export()
    assert split.col.dtype == torch.uint32
    x, y = torch.randn(3, 70000), torch.empty(3, 2)
    handle.forward(x, y, 3, _library.F32, None)
    torch.testing.assert_close(y, x @ _ops.dense(split, 70000, 128).T, rtol=1e-4, atol=1e-3)


def test_hessian_and_rules():
    w, heavy = torch.randn(16, 256), torch.ones(256)
    heavy[7] = 1e8
    for rule in ("outlier", "residual"):
        split = LayerHandle.sieve(w, 16 / (16 * 256), rule, hessian=heavy).export()
        assert (split.col.to(torch.int64) == 7).sum() >= 8
    with pytest.raises(ValueError, match="diagonal"):
        LayerHandle.sieve(w, hessian=torch.ones(255))


@pytest.mark.parametrize("options, words", [
    ({"density": 2.0}, "density is 2"), ({"group": 48}, "32, 64, 128"), ({"rule": "best"}, "legacy"),
    ({"activations": "int4"}, "int8"), ({"threads": -1}, "threads"), ({"variant": "fussed"}, "serve"),
])
def test_options_refused(options, words):
    with pytest.raises((ValueError, libortho.LibOrthoError), match=words):
        sieve(**options)


def test_weights_refused():
    w = torch.randn(8, 64)
    w[5, 7] = float("nan")
    with pytest.raises(libortho.LibOrthoError, match="row 5, column 7") as caught:
        LayerHandle.sieve(w)
    assert isinstance(caught.value, ValueError) and caught.value.status == _library.E_NONFINITE
    with pytest.raises(TypeError, match="float64"):
        LayerHandle.sieve(w.double())
    with pytest.raises(ValueError, match=r"\[n, k\]"):
        LayerHandle.sieve(torch.randn(8))
    with pytest.raises(ValueError, match="meta"):
        LayerHandle.sieve(w.to("meta"))
    with pytest.raises(ValueError, match="cpu or cuda"):
        LayerHandle.sieve(torch.randn(8, 64), device="mps")


def test_strided_weights():
    w = torch.randn(64, 40)
    for view in (w.T, torch.randn(40, 80)[:, ::2], torch.randn(40, 80)[:, 3:67],
                 torch.randn(1, 64).expand(40, 64)):
        one, other = (LayerHandle.sieve(v, 0.05).export() for v in (view, view.contiguous()))
        assert all(torch.equal(a.to(torch.int64), b.to(torch.int64)) for a, b in zip(one, other))


def test_hostile_split():
    handle = sieve()
    split = handle.export()
    col = split.col.to(torch.int32)
    col[3] = 301
    with pytest.raises(libortho.LibOrthoError, match="row 0"):
        LayerHandle.from_split(split._replace(col=col.to(torch.uint16)), 300, 128)
    with pytest.raises(ValueError, match="needs torch.uint8"):
        LayerHandle.from_split(split._replace(q=split.q[:, 1:]), 300, 128)
    with pytest.raises(ValueError, match="val is torch.float32"):
        LayerHandle.from_split(split._replace(val=split.val.float()), 300, 128)
    with pytest.raises(ValueError, match="col"):
        LayerHandle.from_split(split._replace(col=split.col[1:]), 300, 128)


def test_freed_with_the_handle():
    handle = sieve()
    key, dead = handle.key, weakref.ref(handle)
    assert _handle.handle_of(key) is handle
    del handle
    gc.collect()
    assert dead() is None
    with pytest.raises(RuntimeError, match="freed"):
        _ops.linear(torch.randn(1, 300), key, 40)


def test_artifact(tmp_path):
    from safetensors.torch import save_file
    handle, metadata = sieve(k=128), {"format": "pt", "ortho.artifact": "1", "ortho.version": "0.1.0"}
    split = handle.export()
    metadata["ortho.layer:a.b"] = (
        '{"n": 40, "k": 128, "nnz": 256, "group": 128, "rule": "outlier", "density": 0.05, '
        '"tensor": "a.b.weight", "hessian": "weights", "source_xxh3": "' + "-" * 32 + '"}')
    path = tmp_path / "model.safetensors"
    save_file({"a.b.base.q": split.q, "a.b.base.scale": split.scale, "a.b.ortho.row_ptr": split.row_ptr,
               "a.b.ortho.col": split.col, "a.b.ortho.val": split.val}, path, metadata)
    with libortho.Artifact(path) as artifact:
        (name, facts), = artifact.layers()
        assert (name, facts["n"], facts["k"], facts["rule"]) == ("a.b", 40, 128, "outlier")
        loaded = LayerHandle.load(artifact, "a.b")
        with pytest.raises(FileNotFoundError):
            LayerHandle.load(artifact, "a.c")
    assert all(torch.equal(a.to(torch.int64), b.to(torch.int64))
               for a, b in zip(split, loaded.export()))
    with pytest.raises(ValueError, match="closed"):
        list(artifact.layers())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        libortho.Artifact(tmp_path / "nowhere")


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment},
                          capture_output=True, text=True)


def test_library_not_found():
    done = run("import libortho; libortho.version()", LIBORTHO_LIBRARY="/no/such.so")
    assert done.returncode == 1 and "ImportError" in done.stderr
    assert "/no/such.so" in done.stderr and "libortho.so.0" not in done.stderr
    assert run("import libortho", LIBORTHO_LIBRARY="/no/such.so").returncode == 0


def test_another_library():
    done = run("import libortho; libortho.version()", LIBORTHO_LIBRARY="libc.so.6")
    assert "ImportError" in done.stderr and "not a libortho" in done.stderr


def test_version():
    assert libortho.version().split(".")[0].isdigit()
