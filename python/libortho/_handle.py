"""LayerHandle: a sieved linear layer that lives in libortho, and what Python may ask of it.

The handle owns one `ortho_layer *` and frees it with itself. It is handed data pointers; neither
weights nor activations are kept or copied on this side.
"""

from __future__ import annotations

import contextlib
import ctypes as c
import itertools
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from . import _library as lib

DTYPES = {torch.float32: lib.F32, torch.float16: lib.F16, torch.bfloat16: lib.BF16}

_keys = itertools.count(1)
_alive: weakref.WeakValueDictionary[int, LayerHandle] = weakref.WeakValueDictionary()


class Split(NamedTuple):
    """A layer in canonical form, as an artifact keeps it: five CPU tensors."""

    q: torch.Tensor  # U8 [n, ceil(k/2)], two's complement nibbles, the low one the even column
    scale: torch.Tensor  # F16 [n, ceil(k/group)]
    row_ptr: torch.Tensor  # I32 [n+1]
    col: torch.Tensor  # U16 [nnz]; U32 where k > 65536
    val: torch.Tensor  # F16 [nnz]


@dataclass(frozen=True)
class LayerInfo:
    """What ortho_layer_inspect tells. `bytes` are those held on the layer's device."""

    n: int
    k: int
    nnz: int
    group: int
    rule: str
    alpha: float
    bytes: int
    variant: str
    activations: str


def shapes_of(n: int, k: int, nnz: int, group: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Dtype and shape of each of a split's five tensors."""
    return {
        "q": (torch.uint8, (n, (k + 1) // 2)),
        "scale": (torch.float16, (n, -(-k // group))),
        "row_ptr": (torch.int32, (n + 1,)),
        "col": (torch.uint32 if k > 65536 else torch.uint16, (nnz,)),
        "val": (torch.float16, (nnz,)),
    }


def bytes_of(n: int, k: int, nnz: int, group: int) -> int:
    """The bytes of a split's five tensors."""
    return sum(dtype.itemsize * torch.Size(shape).numel()
               for dtype, shape in shapes_of(n, k, nnz, group).values())


def dtype_code(dtype: torch.dtype, what: str) -> int:
    """The ortho_dtype; TypeError for one that libortho doesn't take."""
    code = DTYPES.get(dtype)
    if code is None:
        raise TypeError(f"libortho: {what} of dtype {dtype}; it takes float32, float16 and bfloat16")
    return code


def choice(names: tuple[str, ...], asked: str, what: str) -> int:
    """The number of an enum's name; ValueError naming all of them."""
    if asked not in names:
        raise ValueError(f"libortho: {what} {asked!r}; it is one of {', '.join(names)}")
    return names.index(asked)


def device_of(device: torch.device | str) -> torch.device:
    """The device with its index; ValueError where libortho has no layers."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"libortho: layers live on cpu or cuda, not on {device}")
    return device


def _guard(device: torch.device) -> contextlib.AbstractContextManager:
    """libortho's CUDA is the thread's current device."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _code(device: torch.device) -> int:
    return lib.DEVICE_CUDA if device.type == "cuda" else lib.DEVICE_CPU


def _layer_options(device: torch.device, threads: int, variant: str | None,
                   activations: str) -> lib.LayerOptions:
    return lib.LayerOptions(size=c.sizeof(lib.LayerOptions), device=_code(device), threads=threads,
                            variant=variant.encode() if variant else None,
                            activations=choice(lib.ACTIVATIONS, activations, "activations"))


def _split_of(split: Split, n: int, k: int, group: int) -> lib.Split:
    """The C struct over the tensors' memory."""
    return lib.Split(n=n, k=k, nnz=split.val.numel(), group=group,
                     **{name: tensor.data_ptr() or None for name, tensor in split._asdict().items()})


def _checked(split: Split, n: int, k: int, group: int) -> Split:
    """The split, contiguous on the CPU; ValueError when a tensor isn't what n, k and group say. The
    values are the library's to check."""
    wanted = shapes_of(n, k, split.val.numel(), group)
    tensors = {}
    for name, tensor in split._asdict().items():
        dtype, shape = wanted[name]
        if tensor.is_meta:
            raise ValueError(f"libortho: {name} is on the meta device: it holds no data")
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise ValueError(f"libortho: {name} is {tensor.dtype} {list(tensor.shape)}; a layer of "
                             f"{n} x {k}, group {group}, needs {dtype} {list(shape)}")
        tensors[name] = tensor.detach().cpu().contiguous()
    return Split(**tensors)


class LayerHandle:
    """Owns one layer of libortho. Make one with sieve, from_split or load."""

    def __init__(self, pointer: c.c_void_p, device: torch.device, activations: str) -> None:
        self.device = device
        self.key = next(_keys)
        self._pointer = pointer
        self._forward = lib.library().ortho_layer_forward  # a decoded token asks it hundreds of times
        self._finalizer = weakref.finalize(self, lib.library().ortho_layer_free, pointer)
        self._finalizer.atexit = False  # CUDA may be gone by then; the process ends anyway
        info = self.inspect()
        self.n, self.k, self.nnz, self.group = info.n, info.k, info.nnz, info.group
        self.bytes, self.activations = info.bytes, activations
        _alive[self.key] = self

    # ---- where one comes from

    @classmethod
    def sieve(cls, weight: torch.Tensor, density: float = 0.01, rule: str = "outlier",
              group: int = 128, device: torch.device | str | None = None, threads: int = 0,
              activations: str = "exact", hessian: torch.Tensor | None = None,
              variant: str | None = None) -> LayerHandle:
        """Sieves weight [n, k], float32, float16 or bfloat16; it is not kept.

        group: 32, 64, 128, or 0 for the row. device: where the layer shall live; None: the
        weight's. hessian [k]: its diagonal; None: from the weight.
        Raises LibOrthoError (options, NaN or Inf, no GPU), TypeError (dtype)."""
        if weight.dim() != 2:
            raise ValueError(f"libortho: a weight of shape {list(weight.shape)}; it is [n, k]")
        if weight.is_meta:
            raise ValueError("libortho: the weight is on the meta device: it holds no data")
        code = dtype_code(weight.dtype, "a weight")
        weight = weight.detach()
        if weight.stride(1) != 1 or weight.stride(0) < weight.shape[1]:
            weight = weight.contiguous()
        diagonal = None
        if hessian is not None:
            diagonal = hessian.detach().to("cpu", torch.float32).contiguous()
            if diagonal.shape != weight.shape[1:]:
                raise ValueError(f"libortho: a hessian of shape {list(hessian.shape)} for a weight "
                                 f"of {list(weight.shape)}; it is the diagonal, [k]")
        place = device_of(weight.device if device is None else device)
        matrix = lib.Matrix(weight.shape[0], weight.shape[1], weight.stride(0), code,
                            weight.data_ptr() or None)
        options = lib.SieveOptions(size=c.sizeof(lib.SieveOptions), density=density,
                                   rule=choice(lib.RULES, rule, "rule"), group=group,
                                   threads=threads, device=_code(place),
                                   variant=variant.encode() if variant else None,
                                   activations=choice(lib.ACTIVATIONS, activations, "activations"))
        out = c.c_void_p()
        with _guard(place):
            lib.check(lib.library().ortho_layer_sieve(
                matrix, None if diagonal is None else diagonal.data_ptr(), options, out))
        return cls(out, place, activations)

    @classmethod
    def from_split(cls, split: Split, k: int, group: int, device: torch.device | str = "cpu",
                   threads: int = 0, activations: str = "exact",
                   variant: str | None = None) -> LayerHandle:
        """A layer of k columns from its canonical form; the tensors are not kept.

        Raises ValueError (a tensor's dtype or shape), LibOrthoError (an invariant of ortho_split
        doesn't hold: names the row)."""
        n = split.q.shape[0] if split.q.dim() == 2 else 0
        split = _checked(split, n, k, group)
        place = device_of(device)
        out = c.c_void_p()
        with _guard(place):
            lib.check(lib.library().ortho_layer_from_split(
                _split_of(split, n, k, group),
                _layer_options(place, threads, variant, activations), out))
        return cls(out, place, activations)

    @classmethod
    def load(cls, artifact: Artifact, name: str, device: torch.device | str = "cpu",
             threads: int = 0, activations: str = "exact",
             variant: str | None = None) -> LayerHandle:
        """Layer `name` of an open artifact. Raises LibOrthoError (no such layer, a hostile file)."""
        place = device_of(device)
        out = c.c_void_p()
        with _guard(place):
            lib.check(lib.library().ortho_layer_load(
                artifact.pointer, name.encode(),
                _layer_options(place, threads, variant, activations), out))
        return cls(out, place, activations)

    # ---- what it can do

    def inspect(self) -> LayerInfo:
        info = lib.LayerInfo(size=c.sizeof(lib.LayerInfo))
        lib.check(lib.library().ortho_layer_inspect(self._pointer, info))
        return LayerInfo(info.n, info.k, info.nnz, info.group, lib.RULES[info.rule], info.alpha,
                         info.bytes, info.variant.decode(), lib.ACTIVATIONS[info.activations])

    def set_alpha(self, alpha: float) -> None:
        """Must not run beside a forward of this layer. Raises LibOrthoError unless finite."""
        lib.check(lib.library().ortho_layer_set_alpha(self._pointer, alpha))

    def export(self) -> Split:
        """The layer's canonical form in fresh CPU tensors, bit for bit what was sieved or loaded."""
        split = Split(**{name: torch.empty(shape, dtype=dtype, device="cpu") for name, (dtype, shape)
                         in shapes_of(self.n, self.k, self.nnz, self.group).items()})
        lib.check(lib.library().ortho_layer_export(
            self._pointer, _split_of(split, self.n, self.k, self.group)))
        return split

    def forward(self, x: torch.Tensor, y: torch.Tensor, m: int, dtype: int,
                stream: int | None) -> None:
        """y [m, n] = x [m, k] * (Base + alpha * Ortho)^T. x and y are contiguous, of one dtype (its
        ortho_dtype) and on the layer's device; on a GPU this only enqueues on the stream (a
        cudaStream_t)."""
        status = self._forward(self._pointer, x.data_ptr(), m, dtype, y.data_ptr(), stream or None)
        if status:
            lib.check(status)


def handle_of(key: int) -> LayerHandle:
    """The live handle of a key. RuntimeError: it was freed."""
    handle = _alive.get(key)
    if handle is None:
        raise RuntimeError(f"libortho: layer {key} was freed: its module was moved, reloaded or "
                           "deleted after this graph was made; make the graph anew")
    return handle


class Artifact:
    """An open artifact: a file or a folder of shards. Close it, or use it in a `with`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads headers only. Raises LibOrthoError (not found, not an artifact, hostile)."""
        out = c.c_void_p()
        lib.check(lib.library().ortho_artifact_open(os.fsencode(path), out))
        self._pointer = out
        self._finalizer = weakref.finalize(self, lib.library().ortho_artifact_close, out)

    @property
    def pointer(self) -> c.c_void_p:
        """The ortho_artifact *. ValueError: closed."""
        if not self._finalizer.alive:
            raise ValueError("libortho: the artifact is closed")
        return self._pointer

    def close(self) -> None:
        self._finalizer()

    def __enter__(self) -> Artifact:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def layers(self) -> Iterator[tuple[str, dict]]:
        """Name and facts (n, k, nnz, group, rule, density, tensor, bytes) of each layer."""
        call = lib.library()
        for index in range(call.ortho_artifact_count(self.pointer)):
            info = lib.ArtifactInfo(size=c.sizeof(lib.ArtifactInfo))
            lib.check(call.ortho_artifact_inspect(self.pointer, index, info))
            yield info.name.decode(), {
                "n": info.n, "k": info.k, "nnz": info.nnz, "group": info.group,
                "rule": lib.RULES[info.rule], "density": info.density,
                "tensor": info.tensor.decode(), "bytes": info.bytes}
