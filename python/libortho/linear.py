"""OrthoLinear: nn.Linear's place in a model, its weights in libortho.

The weights are held once, by the library. A module is in one of two states:

  settled    a handle holds the weights; the buffers of `base` and `ortho` are None
  unsettled  no handle; the buffers are there, on the meta device or just filled by a loader. The
             first forward settles it, or settle() does

state_dict() has the keys of an artifact in either: NAME.base.q, NAME.base.scale, NAME.ortho.row_ptr,
NAME.ortho.col, NAME.ortho.val, and NAME.bias.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from . import _handle
from ._handle import LayerHandle, Split
from ._weight import LinearWeight

_PARTS = {"base": ("q", "scale"), "ortho": ("row_ptr", "col", "val")}
_LINEAR = torch.ops.libortho.linear.default  # the overload: its name needs no look-up at each call
KEYS = tuple(f"{part}.{name}" for part, names in _PARTS.items() for name in names)


class _Part(nn.Module):
    """`base` or `ortho`: names for a state_dict. What they hold has fixed dtypes, and is loaded and
    saved by the layer that they belong to."""

    def _apply(self, fn: Callable, recurse: bool = True) -> _Part:
        for name, tensor in self._buffers.items():
            if tensor is not None:
                moved = fn(tensor)
                self._buffers[name] = moved if moved.dtype == tensor.dtype else tensor.to(moved.device)
        return self

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        pass

    def _load_from_state_dict(self, *_: Any) -> None:
        pass

    def extra_repr(self) -> str:
        return ", ".join(name for name, _ in self._buffers.items())


class OrthoLinear(nn.Module):
    """y [..., out_features] = x [..., in_features] * (Base + alpha * Ortho)^T + bias.

    x is float32, float16 or bfloat16, of any shape and stride, on the layer's device; y has x's
    dtype. It can't be trained. Make one with from_linear, or from_handle; the constructor makes one
    without weights, as load_state_dict and Transformers' loader want it.

    density: of the entries to come, which only a module without weights has to know.
    group: weights per scale; 0 for the whole row. device None: meta."""

    in_features: int
    out_features: int
    bias: nn.Parameter | None
    _handle: LayerHandle | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 density: float = 0.01, rule: str = "outlier", group: int = 128,
                 activations: str = "exact", threads: int = 0, variant: str | None = None,
                 nnz: int | None = None, device: torch.device | str | None = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self._begin(in_features, out_features, min(group or in_features, in_features), rule)
        self.activations, self.threads, self.variant = activations, threads, variant
        marker = torch.empty(0, device=device or "meta", dtype=dtype or torch.get_default_dtype())
        _handle.dtype_code(marker.dtype, "a layer")
        self._marker = marker
        wanted = nnz if nnz is not None else int(density * (out_features * in_features))
        self._fill({name: torch.empty(shape, dtype=kind, device=marker.device)
                    for name, (kind, shape) in self._shapes(wanted).items()})
        value = torch.zeros(out_features, device=marker.device, dtype=marker.dtype) if bias else None
        self.bias = None if value is None else nn.Parameter(value, requires_grad=False)

    def _begin(self, in_features: int, out_features: int, group: int, rule: str) -> None:
        """Everything but weights, bias and where they are."""
        self.in_features, self.out_features = in_features, out_features
        self.group, self.rule = group, rule
        self._handle = None
        self._alpha = 1.0
        self._settling = threading.Lock()
        for part, names in _PARTS.items():
            self.add_module(part, _Part())
            for name in names:
                self.get_submodule(part).register_buffer(name, None)
        self.register_parameter("bias", None)

    # ---- where one comes from

    @classmethod
    def from_handle(cls, handle: LayerHandle, bias: torch.Tensor | None = None, *,
                    dtype: torch.dtype | None = None, threads: int = 0,
                    variant: str | None = None) -> OrthoLinear:
        """A layer around a handle, which it takes over. dtype: what it says its weights are. A bias
        that is a Parameter stays that Parameter."""
        self = cls.__new__(cls)
        nn.Module.__init__(self)
        info = handle.inspect()
        self._begin(info.k, info.n, info.group, info.rule)
        self.activations, self.threads, self.variant = info.activations, threads, variant
        dtype = dtype or torch.get_default_dtype()
        _handle.dtype_code(dtype, "a layer")
        self._marker = torch.empty(0, device=handle.device, dtype=dtype)
        self._handle, self._alpha = handle, info.alpha
        if bias is not None and not isinstance(bias, nn.Parameter):
            bias = nn.Parameter(bias, requires_grad=False)
        self.bias = bias
        return self

    @classmethod
    def from_linear(cls, linear: nn.Linear, density: float = 0.01, rule: str = "outlier",
                    group: int = 128, *, activations: str = "exact", threads: int = 0,
                    variant: str | None = None, hessian: torch.Tensor | None = None) -> OrthoLinear:
        """Sieves a Linear's weight, which is left as it is; the bias is shared with it.

        hessian [in_features]: its diagonal. Raises as LayerHandle.sieve does."""
        handle = LayerHandle.sieve(linear.weight, density, rule, group, None, threads, activations,
                                   hessian, variant)
        new = cls.from_handle(handle, linear.bias, dtype=linear.weight.dtype, threads=threads,
                              variant=variant)
        return new.train(linear.training)

    # ---- what it says of itself

    @property
    def device(self) -> torch.device:
        return self._marker.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights pass for: the dtype of the Linear that was."""
        return self._marker.dtype

    @property
    def weight(self) -> torch.Tensor:
        """A stand-in [out_features, in_features] of the layer's dtype and device that holds no
        weights: used in a computation, it is Base + Ortho, made dense for that once. It requires no
        gradient."""
        shape = self.out_features, self.in_features
        if self._handle is None and self._filled() is None:
            return torch.empty(shape, dtype=self.dtype, device="meta")
        handle = self.settle()
        if torch.compiler.is_compiling():
            return torch.ops.libortho.dequantize(self._marker, handle.key, *shape)
        return LinearWeight(handle, self.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights as they are held, on the layer's device; the bias apart."""
        if self._handle is not None:
            return self._handle.bytes
        return sum(t.nbytes for part in _PARTS for t in self.get_submodule(part).buffers())

    @property
    def alpha(self) -> float:
        """The kill switch: 1 is the sieved weights, 0 Base alone. Set it while no forward runs."""
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        if self._handle is not None:
            self._handle.set_alpha(alpha)
        elif not abs(float(alpha)) < float("inf"):
            raise ValueError(f"libortho: alpha is {alpha}; it must be finite")
        self._alpha = float(alpha)

    def extra_repr(self) -> str:
        nnz = self._nnz()
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}, group={self.group}, rule={self.rule!r}, "
                f"nnz={nnz}, dtype={self.dtype}, device={self.device}"
                + ("" if self._alpha == 1.0 else f", alpha={self._alpha:g}")
                + ("" if self.activations == "exact" else f", activations={self.activations!r}"))

    # ---- weights, in and out of the library

    def _nnz(self) -> int:
        value = self._buffered()["val"]
        return self._handle.nnz if self._handle is not None else value.numel() if value is not None else 0

    def _shapes(self, nnz: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        return _handle.shapes_of(self.out_features, self.in_features, nnz, self.group)

    def _fill(self, tensors: dict[str, torch.Tensor | None]) -> None:
        for part, names in _PARTS.items():
            for name in names:
                self.get_submodule(part)._buffers[name] = tensors.get(name)

    def _buffered(self) -> dict[str, torch.Tensor | None]:
        return {name: self.get_submodule(part)._buffers[name]
                for part, names in _PARTS.items() for name in names}

    def _filled(self) -> Split | None:
        """The buffers; None: some aren't there, or on the meta device."""
        tensors = {name: t for name, t in self._buffered().items() if t is not None and not t.is_meta}
        return Split(**tensors) if len(tensors) == len(KEYS) else None

    def split(self) -> Split:
        """The weights in canonical form, fresh CPU tensors. RuntimeError: it has none yet."""
        return self.settle().export()

    def settle(self) -> LayerHandle:
        """The handle; makes it of the buffers, which are let go, where there is none yet.

        Raises RuntimeError (no weights yet), ValueError or LibOrthoError (what was loaded is no
        layer of this size)."""
        if self._handle is not None:
            return self._handle
        with self._settling:
            if self._handle is not None:
                return self._handle
            split = self._filled()
            if split is None:
                raise RuntimeError("libortho: this OrthoLinear has no weights yet: load a state_dict "
                                   "(load_state_dict(..., assign=True) on the meta device)")
            return self._take(LayerHandle.from_split(
                split, self.in_features, self.group, self._place(split.q.device), self.threads,
                self.activations, self.variant))

    def _place(self, where: torch.device) -> torch.device:
        """Where the handle goes: where the layer says it is; on meta, where the data came to lie."""
        if self.device.type == "meta":
            self._marker = torch.empty(0, device=where, dtype=self.dtype)
        return self.device

    def _take(self, handle: LayerHandle) -> LayerHandle:
        if self._alpha != 1.0:
            handle.set_alpha(self._alpha)
        self._handle = handle
        self._fill({})
        return handle

    def keep(self, linear: nn.Linear) -> None:
        """Keeps the Linear that this layer was made from, for original(). It is no child of this
        module: it neither moves with it nor is in its state_dict."""
        self.__dict__["_original"] = linear

    def original(self) -> nn.Linear | None:
        """The Linear that was kept, in the dtype and on the device of this layer; None: none was,
        or other weights have been loaded since."""
        linear = self.__dict__.get("_original")
        if linear is not None:
            linear.bias = self.bias
            linear.weight.data = linear.weight.data.to(self.device, self.dtype)
        return linear

    # ---- the forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] to [..., out_features], fresh, of x's dtype; under autocast of the
        autocast dtype. Raises TypeError (dtype), RuntimeError (shape, device, no weights yet)."""
        kind = x.device.type
        if kind != "meta" and torch.is_autocast_enabled(kind) and x.dtype in _handle.DTYPES:
            x = x.to(torch.get_autocast_dtype(kind))
        shape = x.shape
        if not shape or shape[-1] != self.in_features:
            raise RuntimeError(f"libortho: x of shape {list(shape)} for a layer of "
                               f"{self.in_features} inputs")
        if kind == "meta":
            return x.new_empty((*shape[:-1], self.out_features))
        handle = self._handle or self.settle()
        y = _LINEAR(x, handle.key, self.out_features)
        bias = self.bias
        if bias is not None:
            y.add_(bias.to(y.dtype))  # y is this call's own
        return y

    # ---- state_dict

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        tensors = self._buffered() if self._handle is None else self._handle.export()._asdict()
        for key in KEYS:
            destination[prefix + key] = tensors[key.split(".")[1]]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool,
                              missing_keys: list, unexpected_keys: list, error_msgs: list) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys,
                                      unexpected_keys, error_msgs)
        there = [key for key in state_dict
                 if key.startswith((prefix + "base.", prefix + "ortho."))]
        if strict:
            unexpected_keys.extend(key for key in there if key[len(prefix):] not in KEYS)
        missing = [prefix + key for key in KEYS if prefix + key not in state_dict]
        missing_keys.extend(missing if strict else [])
        if missing:
            if len(missing) < len(KEYS):
                error_msgs.append(f"{prefix[:-1]}: {', '.join(missing)} missing: the five tensors of "
                                  "a layer go together")
            return
        split = Split(**{key.split(".")[1]: state_dict[prefix + key] for key in KEYS})
        try:
            self._load_split(split, bool(local_metadata.get("assign_to_params_buffers", False)))
        except (ValueError, RuntimeError) as error:
            error_msgs.append(f"{prefix[:-1]}: {error}")

    def _load_split(self, split: Split, assign: bool) -> None:
        """New weights for old ones, which stay if these are no layer of this size."""
        if self.device.type == "meta" and not assign:
            return  # as a stock module: what is copied to the meta device is lost
        if tuple(split.q.shape) != (self.out_features, (self.in_features + 1) // 2):
            raise ValueError(f"base.q of shape {list(split.q.shape)} for {self.in_features} inputs "
                             f"and {self.out_features} outputs")
        group = _group_of(split.scale, self.in_features, self.group)
        place = split.q.device if self.device.type == "meta" else self.device
        handle = LayerHandle.from_split(split, self.in_features, group, place, self.threads,
                                        self.activations, self.variant)
        self._place(place)
        self.group = group
        self.__dict__.pop("_original", None)
        self._take(handle)

    # ---- moves and copies

    def _apply(self, fn: Callable, recurse: bool = True) -> OrthoLinear:
        marker = fn(self._marker.new_empty(0))
        _handle.dtype_code(marker.dtype, "a layer")
        if self._handle is not None and marker.device != self.device:
            self._move(self._handle, marker.device)
        super()._apply(fn, recurse)
        self._marker = torch.empty(0, dtype=marker.dtype, device=marker.device)
        return self

    def _move(self, handle: LayerHandle, device: torch.device) -> None:
        """The weights to another device; to meta they are let go, as a stock module's are."""
        if device.type == "meta":
            self._handle = None
            self.__dict__.pop("_original", None)
            self._fill({name: torch.empty(shape, dtype=dtype, device="meta")
                        for name, (dtype, shape) in self._shapes(handle.nnz).items()})
            return
        self._take(LayerHandle.from_split(handle.export(), self.in_features, self.group, device,
                                          self.threads, self.activations, self.variant))

    def __getstate__(self) -> dict:
        """For pickle and deepcopy: the weights as a split. `_marker` says where they were, and
        follows torch.load's map_location."""
        state = {key: value for key, value in self.__dict__.items()
                 if key not in ("_handle", "_settling")}
        state["_split"] = None if self._handle is None else tuple(self._handle.export())
        return state

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        split = state.pop("_split")
        super().__setstate__(state)
        self._handle, self._settling = None, threading.Lock()
        if split is not None:
            self._fill(Split(*split)._asdict())
            self.settle()


def _group_of(scale: torch.Tensor, k: int, group: int) -> int:
    """The group that a scale [n, groups] is of: this one if it fits, or the one that does."""
    if scale.dim() == 2:
        for candidate in (group, k, 128, 64, 32):
            if candidate > 0 and -(-k // candidate) == scale.shape[1]:
                return candidate
    raise ValueError(f"base.scale of shape {list(scale.shape)} for {k} inputs: no group is of it")
