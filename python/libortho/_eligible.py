"""Which Linears of a model become OrthoLinear, and why the others stay as they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import nn

from . import _handle

MAX_NNZ = 2**31 - 1  # row_ptr is I32
_STATE_HOOKS = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
                "_load_state_dict_post_hooks")
_WEIGHT_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


@dataclass(frozen=True)
class Selection:
    """What the caller asked for: `modules` a regular expression, names, or None for all; `skip`
    names, whole or as a part between dots."""

    modules: str | Collection[str] | None
    skip: Collection[str]
    density: float
    group: int

    def reason(self, name: str) -> str | None:
        """Why the module of this name isn't asked for; None: it is."""
        if any(f".{part}." in f".{name}." for part in self.skip):
            return "skipped by name"
        if isinstance(self.modules, str):
            return None if re.search(self.modules, name) else "not among modules"
        if self.modules is not None and name not in self.modules:
            return "not among modules"
        return None


@dataclass(frozen=True)
class Plan:
    """Names to convert, each with every name under which the same module stands; names kept, with
    the reason."""

    convert: dict[str, list[str]]
    keep: dict[str, str]


def make_plan(model: nn.Module, selection: Selection) -> Plan:
    """Looks, and touches nothing."""
    places: dict[int, list[str]] = defaultdict(list)
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear):
            places[id(module)].append(name)
    is_shared = _sharing(model)
    plan = Plan({}, {})
    for names in places.values():
        name, linear = names[0], model.get_submodule(names[0])
        assert isinstance(linear, nn.Linear)
        reasons = (selection.reason(name), _odd(linear) or _shared(linear, is_shared)
                   or _unfit(linear.weight, selection))
        reason = next((r for r in reasons if r), None) if name else "it is the model itself: use " \
            "OrthoLinear.from_linear"
        if reason is None:
            plan.convert[name] = names
        else:
            plan.keep[name] = reason
    return plan


def _storage(tensor: torch.Tensor) -> tuple:
    """What two tensors over the same numbers have in common."""
    if type(tensor) is not nn.Parameter or tensor.is_meta or tensor.numel() == 0:
        return (id(tensor),)
    return str(tensor.device), tensor.data_ptr(), tensor.numel()


def _sharing(model: nn.Module) -> Callable[[torch.Tensor], bool]:
    """Whether a parameter is more than one module's, or passes under more than one name there."""
    owners: dict[tuple, set] = defaultdict(set)
    for module in model.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None:
                owners[_storage(tensor)].add((id(module), name))
    return lambda tensor: len(owners[_storage(tensor)]) > 1


def _shared(linear: nn.Linear, is_shared: Callable[[torch.Tensor], bool]) -> str | None:
    return "its weight is tied to another module's" if is_shared(linear.weight) else None


def _odd(linear: nn.Linear) -> str | None:
    """What makes the module more than a plain Linear; None: nothing."""
    if type(linear) is not nn.Linear:
        return f"it is a {type(linear).__name__}"
    if set(linear._parameters) != {"weight", "bias"} or linear.weight is None or linear._buffers \
            or linear._modules:
        return "it has parameters, buffers or children that a Linear doesn't have"
    if "_compiled_call_impl" in linear.__dict__:
        return "it is compiled by itself"
    if "forward" in linear.__dict__ and not hasattr(linear, "_hf_hook"):
        return "its forward was replaced"
    if "_hf_hook" in linear.__dict__ and _is_offloaded(linear._hf_hook):
        return "its weight is offloaded"
    if any(getattr(linear, hooks, None) for hooks in _STATE_HOOKS):
        return "it has hooks on its state_dict"
    if any(getattr(linear.weight, hooks, None) for hooks in _WEIGHT_HOOKS):
        return "its weight has hooks"
    return None


def _is_offloaded(hook: object) -> bool:
    """Of a hook of accelerate, or of several in sequence."""
    return any(getattr(one, "offload", False) for one in (hook, *getattr(hook, "hooks", ())))


def _unfit(weight: torch.Tensor, selection: Selection) -> str | None:
    """What makes the weight one that libortho can't serve or wouldn't make smaller."""
    if type(weight) is not nn.Parameter:
        return f"its weight is a {type(weight).__name__}"
    if weight.is_meta:
        return "its weight is on the meta device: it holds no data"
    if weight.device.type not in ("cpu", "cuda"):
        return f"its weight is on {weight.device}"
    return unsized(weight, selection)


def unsized(weight: torch.Tensor, selection: Selection) -> str | None:
    """What makes a weight of this shape and dtype, which may be on meta, one not to convert."""
    if weight.dtype not in _handle.DTYPES:
        return f"its weight is {weight.dtype}"
    n, k = weight.shape
    group = selection.group or k
    if n == 0 or k == 0 or _handle.bytes_of(n, k, 0, group) >= weight.nbytes:
        return f"{n} x {k} is too small to become smaller"
    if selection.density * n * k > MAX_NNZ:
        return f"more than {MAX_NNZ} entries: lower the density"
    return None
