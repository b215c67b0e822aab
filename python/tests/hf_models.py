"""What the tests of the Transformers integration share: checkpoints, artifacts, and the dense model
that a sieved one must agree with, made without libortho."""

from __future__ import annotations

import ctypes as c
import json
import pathlib

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from libortho import OrthoLinear
from libortho import _library as lib

QUIET = {"do_sample": False, "pad_token_id": 0}


def ids(vocabulary: int, shape: tuple[int, ...] = (2, 9)) -> torch.Tensor:
    return torch.randint(3, vocabulary, shape, generator=torch.Generator().manual_seed(5))


def logits(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(tokens.to(model.device)).logits


def greedy(model: nn.Module, tokens: torch.Tensor, count: int = 12) -> list[list[int]]:
    out = model.generate(tokens.to(model.device), max_new_tokens=count, min_new_tokens=count, **QUIET)
    return out[:, tokens.shape[1]:].tolist()


def sieved(model: nn.Module) -> dict[str, OrthoLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, OrthoLinear)}


class CheckpointOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("sieve", c.POINTER(lib.SieveOptions)), ("layers", c.c_char_p),
                ("projections", c.c_char_p), ("hessian", c.c_char_p), ("memory_budget", c.c_uint64),
                ("resume", c.c_int32), ("measure", c.c_int32), ("progress", c.c_void_p),
                ("progress_ctx", c.c_void_p)]


def make_artifact(source: pathlib.Path, out: pathlib.Path, density: float = 0.01,
                  rule: str = "outlier", group: int = 128, layers: str | None = None,
                  projections: str | None = None) -> pathlib.Path:
    """libortho's own sieve of a checkpoint."""
    sieve = lib.SieveOptions(size=c.sizeof(lib.SieveOptions), density=density,
                             rule=lib.RULES.index(rule), group=group)
    options = CheckpointOptions(size=c.sizeof(CheckpointOptions), sieve=c.pointer(sieve),
                                layers=layers and layers.encode(),
                                projections=projections and projections.encode())
    call = lib.library().ortho_checkpoint_sieve
    lib.check(call(bytes(source), bytes(out), c.byref(options), None))
    return out


def tensors_of(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            out.update({name: file.get_tensor(name) for name in file.keys()})
    return out


def dense_of(tensors: dict[str, torch.Tensor], name: str, k: int, group: int) -> torch.Tensor:
    """Base + Ortho of a layer, in fp32, as docs/ARTIFACT.md reads it."""
    q, scale, row_ptr, col, val = (tensors[name + part].numpy() for part in (
        ".base.q", ".base.scale", ".ortho.row_ptr", ".ortho.col", ".ortho.val"))
    nibbles = np.stack([q & 15, q >> 4], axis=2).reshape(len(q), -1)[:, :k]
    w = ((nibbles ^ 8).astype(np.int8) - 8) * np.repeat(scale.astype(np.float32), group, axis=1)[:, :k]
    w[np.repeat(np.arange(len(q)), np.diff(row_ptr)), col] += val.astype(np.float32)
    return torch.from_numpy(w)


def dense_model(folder: pathlib.Path, stock: nn.Module) -> nn.Module:
    """The stock model with the weights of a sieved checkpoint, dequantised, in its Linears."""
    shapes = json.loads((folder / "config.json").read_text())["quantization_config"]["shapes"]
    tensors = tensors_of(folder)
    for name, facts in shapes.items():
        w = dense_of(tensors, name, facts["k"], facts["group"])
        with torch.no_grad():
            stock.get_submodule(name).weight.copy_(w)
    return stock
