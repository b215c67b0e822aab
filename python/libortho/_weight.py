"""LinearWeight: what stands for an OrthoLinear's weight [n, k] where other code asks for it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree

from . import _ops
from ._handle import LayerHandle

_READ_ONLY = "libortho: the weight of an OrthoLinear can't be written; sieve the changed weight anew"


class LinearWeight(torch.Tensor):
    """Shape, dtype and device of a weight, without storage. Any operation on it works on
    W = Base + Ortho, made dense for that operation alone: slow, never wrong. It can't be written; a
    view of it is a copy."""

    handle: LayerHandle

    @staticmethod
    def __new__(cls, handle: LayerHandle, dtype: torch.dtype) -> LinearWeight:
        self = torch.Tensor._make_wrapper_subclass(
            cls, (handle.n, handle.k), dtype=dtype, device=handle.device, requires_grad=False)
        self.handle = handle
        return self

    def dense(self) -> torch.Tensor:
        """Base + Ortho [n, k], fresh."""
        w = _ops.dense(self.handle.export(), self.handle.k, self.handle.group)
        return w.to(self.device, self.dtype)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (),  # type: ignore[override]
                           kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return LinearWeight(args[0].handle, args[0].dtype)
        for position, argument in enumerate(func._schema.arguments):
            written = argument.alias_info is not None and argument.alias_info.is_write
            value = args[position] if position < len(args) else (kwargs or {}).get(argument.name)
            if written and isinstance(value, LinearWeight):
                raise RuntimeError(_READ_ONLY)
        args, kwargs = _pytree.tree_map_only(LinearWeight, LinearWeight.dense, (args, kwargs or {}))
        return func(*args, **kwargs)

    def __setitem__(self, *_: Any) -> None:
        raise RuntimeError(_READ_ONLY)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return (f"LinearWeight({list(self.shape)}, dtype={self.dtype}, device={self.device}: "
                "Base + Ortho, held by libortho)")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.dense().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict) -> torch.Tensor:
        return self.dense()
