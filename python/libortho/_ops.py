"""torch.ops.libortho: the calls that a graph of torch.compile or torch.export may hold.

A layer stands in a graph as an int, the key of a live handle. Ops mutate nothing and return fresh
tensors; alpha is read from the layer at each call, so that changing it recompiles nothing.
"""

from __future__ import annotations

import torch

from . import _handle

_REFUSAL = ("libortho layers can't be trained; no gradient goes through them. Run inference under "
            "torch.inference_mode(), or convert only the layers that no gradient has to pass "
            "(libortho.enable(modules=...))")


@torch.library.custom_op("libortho::linear", mutates_args=(), device_types=("cpu", "cuda"))
def linear(x: torch.Tensor, handle: int, n: int) -> torch.Tensor:
    """x [..., k] * (Base + alpha * Ortho)^T: a fresh [..., n] of x's dtype and device.

    Runs on the current stream of x's device. A non-contiguous x is made contiguous: the only copy.
    Raises TypeError (dtype), RuntimeError (device, a dead handle), LibOrthoError."""
    layer = _handle.handle_of(handle)
    dtype = _handle.dtype_code(x.dtype, "activations")
    shape, device = x.shape, x.device
    if device != layer.device:
        raise RuntimeError(f"libortho: x is on {device}, but the layer is on {layer.device}")
    if not shape or shape[-1] != layer.k or n != layer.n:
        raise RuntimeError(f"libortho: x of shape {list(shape)} and {n} outputs for a layer of "
                           f"{layer.k} inputs and {layer.n} outputs")
    y = x.new_empty((*shape[:-1], n))
    m = x.numel() // layer.k
    if m == 0:
        return y
    stream = None if device.type == "cpu" else _current_stream(device)
    layer.forward(x.contiguous(), y, m, dtype, stream)
    return y


def _current_stream(device: torch.device) -> int:
    """The cudaStream_t. torch.cuda.current_stream makes an object of it first, which takes longer
    than the rest of a call."""
    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return torch.cuda.current_stream(device).cuda_stream if raw is None else raw(device.index)


@linear.register_fake
def _(x: torch.Tensor, handle: int, n: int) -> torch.Tensor:
    _handle.dtype_code(x.dtype, "activations")
    return x.new_empty((*x.shape[:-1], n))


@torch.library.custom_op("libortho::refuse_gradient", mutates_args=())
def refuse_gradient(gradient: torch.Tensor, k: int) -> torch.Tensor:
    """What stands in a backward graph for the gradient of x: an error as soon as it runs. An op, so
    that a graph traced with gradients enabled still serves inference."""
    raise RuntimeError(_REFUSAL)


@refuse_gradient.register_fake
def _(gradient: torch.Tensor, k: int) -> torch.Tensor:
    return gradient.new_empty((*gradient.shape[:-1], k))


def _keep_shape(ctx, inputs: tuple, output: torch.Tensor) -> None:
    ctx.k = inputs[0].shape[-1]


def _refuse(ctx, gradient: torch.Tensor):
    return torch.ops.libortho.refuse_gradient(gradient, ctx.k), None, None


linear.register_autograd(_refuse, setup_context=_keep_shape)


@torch.library.custom_op("libortho::dequantize", mutates_args=())
def dequantize(marker: torch.Tensor, handle: int, n: int, k: int) -> torch.Tensor:
    """W = Base + Ortho [n, k], dense, whatever alpha is, in the dtype and on the device of the
    empty tensor `marker`."""
    layer = _handle.handle_of(handle)
    return dense(layer.export(), layer.k, layer.group).to(marker.device, marker.dtype)


@dequantize.register_fake
def _(marker: torch.Tensor, handle: int, n: int, k: int) -> torch.Tensor:
    return marker.new_empty((n, k))


def dense(split: _handle.Split, k: int, group: int, alpha: float = 1.0) -> torch.Tensor:
    """Base + alpha * Ortho of a split, as float32 [n, k] on its device."""
    nibbles = torch.stack([split.q & 15, split.q >> 4], dim=2).flatten(1)[:, :k]
    w = (nibbles ^ 8).to(torch.float32) - 8.0
    w *= split.scale.to(torch.float32).repeat_interleave(group, dim=1)[:, :k]
    entries = split.row_ptr.diff()
    rows = torch.arange(len(entries), device=w.device).repeat_interleave(entries)
    w[rows, split.col.to(torch.int64)] += alpha * split.val.to(torch.float32)
    return w
