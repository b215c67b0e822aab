"""libortho.enable and what undoes it: a model's Linears become OrthoLinear, in place."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from . import _eligible, _handle, _library
from ._memory import trim
from ._weight import LinearWeight
from .linear import OrthoLinear

Model = TypeVar("Model", bound=nn.Module)
Hessian = Mapping[str, torch.Tensor]
Progress = Callable[[int, int, str], object]  # layers done, layers in all, the last one's name

_HF = __package__ + ".hf"  # there where Transformers is; it imports this module
_HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
          "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks",
          "_backward_pre_hooks", "_is_full_backward_hook")


@dataclass
class Report:
    """What enable did: model.libortho_report. Bytes are those of the converted layers' weights."""

    converted: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)  # name: reason
    bytes_before: int = 0
    bytes_after: int = 0

    def __str__(self) -> str:
        head = (f"libortho: {len(self.converted)} linear layers converted, {len(self.kept)} kept; "
                f"{self.bytes_before / 1e6:.1f} MB of weights became {self.bytes_after / 1e6:.1f} MB")
        return "\n".join([head, *(f"  kept {name}: {why}" for name, why in self.kept.items())])

    __repr__ = __str__


@dataclass(frozen=True)
class _Sieve:
    """How enable sieves; the fields are LayerHandle.sieve's parameters."""

    density: float
    rule: str
    group: int
    activations: str
    threads: int

    def run(self, weight: torch.Tensor, hessian: torch.Tensor | None = None) -> _handle.LayerHandle:
        return _handle.LayerHandle.sieve(weight, self.density, self.rule, self.group, None,
                                         self.threads, self.activations, hessian)


def enable(model: Model, use_libortho: bool = True, density: float = 0.01, rule: str = "outlier",
           group: int = 128, modules: str | Collection[str] | None = None,
           skip: Collection[str] = ("lm_head",), activations: str = "exact",
           hessian: Hessian | str | os.PathLike[str] | None = None,
           progress: bool | Progress = False, keep_original: bool = False,
           threads: int | None = None) -> Model:
    """Swaps the model's nn.Linear layers for OrthoLinear, in place, and returns the model.

    With use_libortho=False nothing at all is touched. Layers are sieved one at a time, and each
    weight is let go as soon as its layer is in libortho: never more than one layer is held twice.
    What can't be converted stays as it is; model.libortho_report names it, with the reason. The
    model gains set_alpha(a), unless it has such a method.

    density     0 to 1, the share of entries that go to Ortho
    rule        "outlier", "residual" or "legacy"
    group       weights per scale of Base: 32, 64, 128, or 0 for the whole row
    modules     a regular expression that a name must match (re.search), or names; None: all
    skip        names, or parts of names between dots, that stay: "lm_head", "layers.0"
    activations "exact", or "int8" for layers on the CPU
    hessian     diagonals [in_features] by layer or weight name, or a safetensors file of them; a
                layer that has none takes it from its weights
    progress    True: a line on stderr; or a function of layers done, layers in all, name
    keep_original  keeps the stock layers in CPU memory, so that disable gives them back bit for bit
    threads     CPU threads of the sieve and of forwards; None: torch.get_num_threads()

    Raises LibOrthoError, ValueError (options; no GPU in this build of libortho) before anything is
    touched; LibOrthoError (memory, the GPU's driver) with the layers so far converted: the model
    works, and enable may be called again."""
    if not use_libortho:
        return model
    how = _Sieve(density, rule, group, activations,
                 torch.get_num_threads() if threads is None else threads)
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    plan = _eligible.make_plan(model, _eligible.Selection(modules, skip, density, group))
    with _hessians(hessian) as diagonals:
        _rehearse(model, plan, how, diagonals)
        report = begin(model, plan.keep)
        tell = _teller(progress)
        for done, (name, places) in enumerate(plan.convert.items(), 1):
            _convert(model, places, how, _hessian_of(diagonals, name), keep_original, report)
            tell(done, len(plan.convert), name)
    if report.converted and (hf := sys.modules.get(_HF)) is not None:
        hf.attach(model, hf.LibOrthoConfig(how.density, how.rule, how.group, how.activations))
    return model


def begin(model: nn.Module, kept: dict[str, str]) -> Report:
    """The model's report and its set_alpha. What an earlier enable converted stays converted."""
    report = model.__dict__.get("libortho_report")
    if not isinstance(report, Report):
        report = model.__dict__["libortho_report"] = Report()
    report.kept = kept
    if not hasattr(model, "set_alpha"):
        model.__dict__["set_alpha"] = _SetAlpha(model)
    return report


def _rehearse(model: nn.Module, plan: _eligible.Plan, how: _Sieve,
              diagonals: Hessian | None) -> None:
    """Finds, before anything is touched, what would fail at every layer."""
    devices = {_linear(model, name).weight.device for name in plan.convert}
    for device in devices or {torch.device("cpu")}:
        how.run(torch.ones(32, 256, device=device))
    if diagonals is not None and plan.convert and not any(
            _hessian_of(diagonals, name) is not None for name in plan.convert):
        raise ValueError("libortho: hessian has an entry for none of the layers, the first of which "
                         f"is {next(iter(plan.convert))!r}")


def _linear(model: nn.Module, name: str) -> nn.Linear:
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _convert(model: nn.Module, places: list[str], how: _Sieve, diagonal: torch.Tensor | None,
             keep_original: bool, report: Report) -> None:
    """One layer, in all its places. When this returns, nothing here holds the stock weight."""
    old = _linear(model, places[0])
    try:
        handle = how.run(old.weight, diagonal)
    except _library.LibOrthoError as error:
        if error.status not in (_library.E_NONFINITE, _library.E_UNSUPPORTED):
            raise
        report.kept[places[0]] = str(error)
        return
    new = OrthoLinear.from_handle(handle, old.bias, dtype=old.weight.dtype, threads=how.threads)
    new.rule = how.rule
    new.__dict__["_weight_requires_grad"] = old.weight.requires_grad
    report.converted.append(places[0])
    report.bytes_before += old.weight.nbytes
    report.bytes_after += handle.bytes
    _replace(model, places, old, new)
    if keep_original:
        old.weight.data = old.weight.data.to("cpu")
        new.keep(old)
    del old
    trim()
    if new.device.type == "cuda":
        torch.cuda.empty_cache()  # libortho allocates beside PyTorch's cache


# ---- what a module passes on to the one in its place ---------------------------------------------

_PRIVATE = frozenset(nn.Linear(1, 1, device="meta").__dict__) | frozenset(
    OrthoLinear(1, 1).__dict__) | {"forward", "_hf_hook", "_old_forward", "_original",
                                   "_weight_requires_grad"}


def _replace(model: nn.Module, places: list[str], old: nn.Module, new: nn.Module) -> None:
    """`new` for `old` everywhere, with its hooks, its mode and what others wrote on it."""
    hook = old.__dict__.get("_hf_hook")
    if hook is not None:
        from accelerate.hooks import remove_hook_from_module
        remove_hook_from_module(old)
    new.train(old.training)
    for name in _HOOKS:  # the very dicts: handles that remove hooks know them
        new.__dict__[name] = old.__dict__[name]
    for name, value in old.__dict__.items():
        if name not in _PRIVATE:
            new.__dict__[name] = value
    for place in places:
        parent, _, child = place.rpartition(".")
        model.get_submodule(parent)._modules[child] = new
    if hook is not None:
        from accelerate.hooks import add_hook_to_module
        add_hook_to_module(new, hook)


def disable(model: nn.Module) -> nn.Module:
    """Stock nn.Linear layers again, in place; returns the model.

    A layer that enable(keep_original=True) made gives back its original, bit for bit, in the dtype
    and on the device that the model has now. Of any other the original is gone: its Linear has the
    sieved weights, Base + Ortho, rounded to the layer's dtype."""
    places: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, OrthoLinear):
            places.setdefault(id(module), []).append(name)
    for names in places.values():
        old = model.get_submodule(names[0])
        assert isinstance(old, OrthoLinear)
        new = old.original() or _dense_linear(old)
        if names[0] == "":
            return new
        _replace(model, names, old, new)
    for name in ("libortho_report", "set_alpha"):
        if isinstance(model.__dict__.get(name), (Report, _SetAlpha)):
            delattr(model, name)
    if (hf := sys.modules.get(_HF)) is not None:
        hf.detach(model)
    return model


def _dense_linear(layer: OrthoLinear) -> nn.Linear:
    new = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta",
                    dtype=layer.dtype)
    weight = layer.weight
    new.weight = nn.Parameter(weight.dense() if isinstance(weight, LinearWeight) else weight,
                              requires_grad=layer.__dict__.get("_weight_requires_grad", True))
    new.register_parameter("bias", layer.bias)
    return new.train(layer.training)


# ---- the kill switch -----------------------------------------------------------------------------

def layers(model: nn.Module) -> Iterator[tuple[str, OrthoLinear]]:
    """Name and module of each OrthoLinear."""
    for name, module in model.named_modules():
        if isinstance(module, OrthoLinear):
            yield name, module


def set_alpha(model: nn.Module, alpha: float) -> None:
    """alpha of every OrthoLinear of the model: 1 is the sieved weights, 0 Base alone. Must not run
    beside a forward. A CUDA graph keeps the alpha of its capture. ValueError unless finite."""
    if not math.isfinite(alpha):
        raise ValueError(f"libortho: alpha is {alpha}; it must be finite")
    for _, layer in layers(model):
        layer.alpha = alpha


@contextlib.contextmanager
def alpha(model: nn.Module, alpha: float) -> Iterator[nn.Module]:
    """Within the `with`, every OrthoLinear has this alpha; afterwards each has its own again."""
    before = [(layer, layer.alpha) for _, layer in layers(model)]
    try:
        set_alpha(model, alpha)
        yield model
    finally:
        for layer, own in before:
            layer.alpha = own


class _SetAlpha:
    """model.set_alpha: a method that doesn't keep its model alive, and that deepcopy and pickle
    bind to the copy."""

    def __init__(self, model: nn.Module) -> None:
        self._model = weakref.ref(model)

    def __call__(self, alpha: float) -> None:
        """libortho.set_alpha of this model."""
        model = self._model()
        if model is None:
            raise RuntimeError("libortho: the model of this set_alpha is gone: use "
                               "libortho.set_alpha(model, alpha)")
        set_alpha(model, alpha)

    def __getstate__(self) -> dict:
        return {"model": self._model()}

    def __setstate__(self, state: dict) -> None:
        self._model = weakref.ref(state["model"])


# ---- hessians and progress -----------------------------------------------------------------------

def _hessian_of(diagonals: Hessian | None, name: str) -> torch.Tensor | None:
    if diagonals is None:
        return None
    for key in (name, name + ".weight"):
        if key in diagonals:
            return diagonals[key]
    return None


class _File(Mapping):
    """A safetensors file as a mapping that reads a tensor when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file, self._keys = file, set(file.keys())

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._keys:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@contextlib.contextmanager
def _hessians(given: Hessian | str | os.PathLike[str] | None) -> Iterator[Hessian | None]:
    if given is None or isinstance(given, Mapping):
        yield given
        return
    from safetensors import safe_open
    with safe_open(os.fspath(given), "pt") as file:
        yield _File(file)


def _teller(progress: bool | Progress) -> Progress:
    if callable(progress):
        return progress
    if not progress:
        return lambda done, total, name: None

    def line(done: int, total: int, name: str) -> None:
        end = "\n" if done == total else ""
        print(f"\r\x1b[Klibortho: {done}/{total} {name}", end=end, file=sys.stderr, flush=True)
    return line
