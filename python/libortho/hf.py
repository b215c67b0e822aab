"""libortho inside Transformers: `quantization_config=LibOrthoConfig(...)` and `from_pretrained`.

A stock checkpoint is sieved while it loads: each Linear gives way to an OrthoLinear as soon as its
weight has arrived, so that no more than one layer is ever held twice. A checkpoint that is sieved
already (one of `save_pretrained`, or an artifact of libortho's own) loads the five tensors of each
layer and makes a handle of them as soon as they are together.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (ConversionOps, WeightConverter, WeightRenaming,
                                             rename_source_key)
from transformers.quantizers.auto import register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from . import _eligible
from . import _library as lib
from ._handle import DTYPES, LayerHandle, Split
from ._hf_config import METHOD, SHAPE, LibOrthoConfig, artifact_layers, settings_of
from ._memory import trim
from .linear import OrthoLinear
from .model import begin, disable, enable

# A layer's five tensors, as an artifact names them, in the order of Split's fields.
PARTS = ("base.q", "base.scale", "ortho.row_ptr", "ortho.col", "ortho.val")
_BUFFERS = {part.rpartition(".")[2] for part in PARTS}

# What from_pretrained was asked for: Transformers passes a quantizer nothing but what config.json
# says, where that says something.
_activations: ContextVar[str | None] = ContextVar("libortho_activations", default=None)


def _leaf(values: Any) -> torch.Tensor:
    return values[0] if isinstance(values, (list, tuple)) else values


class _Operation(ConversionOps):
    """Transformers copies a converter for each layer; all copies share the quantizer."""

    def __init__(self, hf_quantizer: LibOrthoQuantizer) -> None:
        self.hf_quantizer = hf_quantizer

    def __deepcopy__(self, memo: dict) -> _Operation:
        return self


class SieveOnLoad(_Operation):
    """A weight that has arrived becomes an OrthoLinear in the model."""

    def convert(self, input_dict: dict[str, Any], *args: Any, model: Any = None,
                missing_keys: Any = None, **kwargs: Any) -> dict[str, Any]:
        rest = {}
        for key, values in input_dict.items():
            if self.hf_quantizer.param_needs_quantization(model, key):
                trim()  # the weight before this one
                self.hf_quantizer.sieve(model, key, _leaf(values))
                missing_keys.discard(key)
            else:
                rest[key] = values
        return rest


class SplitOnLoad(_Operation):
    """Five tensors of a layer that have arrived become the handle of its OrthoLinear."""

    def convert(self, input_dict: dict[str, Any], *args: Any, full_layer_name: str = "",
                model: Any = None, missing_keys: Any = None, **kwargs: Any) -> dict[str, Any]:
        name = full_layer_name.removesuffix("." + PARTS[0])
        by_part = {pattern.replace("\\", "").strip(".$"): _leaf(values)
                   for pattern, values in input_dict.items()}
        self.hf_quantizer.assemble(model, name, by_part)
        missing_keys.difference_update(f"{name}.{part}" for part in PARTS)
        return {}


@register_quantizer(METHOD)
class LibOrthoQuantizer(HfQuantizer):
    """Transformers' way in and out; made by from_pretrained, or by attach for a model at hand."""

    requires_calibration = False
    quantization_config: LibOrthoConfig

    def __init__(self, quantization_config: LibOrthoConfig, **kwargs: Any) -> None:
        super().__init__(copy.deepcopy(quantization_config), **kwargs)
        asked = _activations.get()
        if asked is not None:
            self.quantization_config.activations = asked
        self._targets: set[str] = set()  # Linears that are still to be sieved
        self._kept: dict[str, str] = {}
        self._rooms: set[str] = set()  # OrthoLinears that still wait for their five tensors
        self._device_map: dict[str, Any] | None = None
        self._planning = False  # True while Transformers decides where modules go
        self._failure: Exception | None = None

    # ---- what Transformers asks

    @property
    def is_trainable(self) -> bool:
        return False

    @property
    def is_compileable(self) -> bool:
        return True

    def is_serializable(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def validate_environment(self, *args: Any, device_map: Any = None, **kwargs: Any) -> None:
        """Called with what the user asked for, and again with what "auto" came to."""
        self._planning = isinstance(device_map, str)
        if not isinstance(device_map, dict):
            return
        places = {_place(where) for where in device_map.values()}
        if "disk" in places:
            raise ValueError("libortho: device_map sends modules to the disk, where no layer can be "
                             "served from; give max_memory more, or a device_map without \"disk\"")
        if len({place.split(":")[0] for place in places}) > 1:
            raise ValueError(f"libortho: device_map spreads over {', '.join(sorted(places))}: layers "
                             "on the CPU would have to move to the GPU for each call. Name one kind "
                             "of device, as in device_map=\"cpu\" or device_map=\"cuda\"")
        self._device_map = device_map

    def update_dtype(self, dtype: torch.dtype) -> torch.dtype:
        if dtype is not None and dtype not in DTYPES:
            raise TypeError(f"libortho: dtype={dtype}; layers take float32, float16 and bfloat16")
        return dtype

    def param_element_size(self, model: Any, param_name: str, param: torch.Tensor) -> float:
        """Bytes an element, for planning a device_map. Once that is settled Transformers wants to
        know what to reserve in PyTorch's allocator, from which layers of libortho take nothing."""
        module_name, _, leaf = param_name.rpartition(".")
        if self.param_needs_quantization(model, param_name):
            return self._bytes_per_weight(param.shape[1]) if self._planning else 0
        if leaf in _BUFFERS and isinstance(_submodule(model, module_name.rpartition(".")[0]),
                                           OrthoLinear):
            return param.element_size() if self._planning else 0
        return param.element_size()

    def _bytes_per_weight(self, k: int) -> float:
        config = self.quantization_config
        column = 2 if k <= 65536 else 4
        return 0.5 + 2 / (config.group or k) + config.density * (2 + column) + 4 / k

    def param_needs_quantization(self, model: Any, param_name: str, **kwargs: Any) -> bool:
        name, _, leaf = param_name.rpartition(".")
        return leaf == "weight" and name in self._targets

    def get_quantize_ops(self) -> ConversionOps:
        return SieveOnLoad(self)

    def update_weight_conversions(self, weight_conversions: list, *args: Any) -> list:
        if not self.pre_quantized:
            return weight_conversions
        patterns = ["\\." + part.replace(".", "\\.") + "$" for part in PARTS]
        whole = WeightConverter(patterns, "." + PARTS[0], [SplitOnLoad(self)], force_cpu=True)
        return [whole, *weight_conversions]

    def get_state_dict_and_metadata(self, model: Any) -> tuple[None, dict[str, str]]:
        """save_pretrained is about to write config.json and the state_dict."""
        self.quantization_config.shapes = shapes_of(model)
        return None, {}

    def _dequantize(self, model: Any, dtype: Any = None) -> Any:
        return disable(model)

    # ---- before the weights come

    def _process_model_before_weight_loading(self, model: Any, device_map: Any = None,
                                             checkpoint_files: list[str] | None = None,
                                             **kwargs: Any) -> None:
        self._planning = isinstance(device_map, str)
        layers = self._layers_of(model, checkpoint_files)
        if layers is not None:
            self.pre_quantized = True
            for name, facts in layers.items():
                self._make_room(model, name, facts)
        else:
            self._choose(model)

    def _layers_of(self, model: Any, files: list[str] | None) -> dict[str, dict] | None:
        """The layers that the checkpoint has sieved, by their names in the model; None: a stock
        checkpoint."""
        config = self.quantization_config
        layers = config.shapes if self.pre_quantized else None
        if layers is None:
            layers = artifact_layers(files or ())
            if layers:
                vars(config).update(settings_of(layers))
                config.check()
        if self.pre_quantized and config.shapes is None and not layers:
            raise ValueError("libortho: config.json says that this checkpoint is sieved, but has no "
                             "quantization_config.shapes, and its files no metadata that tell of "
                             "layers; save it anew with save_pretrained, or sieve the original "
                             "checkpoint again")
        if not layers and not self.pre_quantized:
            return None
        rename = _renaming(model)
        config.shapes = {rename(name): {key: facts[key] for key in SHAPE}
                         for name, facts in layers.items()}
        return config.shapes

    def _make_room(self, model: Any, name: str, facts: dict) -> None:
        """An OrthoLinear without weights for a Linear."""
        linear = _submodule(model, name)
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"libortho: the checkpoint holds a sieved layer {name}, where this model "
                             f"has {'nothing' if linear is None else type(linear).__name__}")
        if (linear.out_features, linear.in_features) != (facts["n"], facts["k"]):
            raise ValueError(f"libortho: {name} is {facts['n']} x {facts['k']} in the checkpoint and "
                             f"{linear.out_features} x {linear.in_features} in the model")
        config = self.quantization_config
        with torch.device("meta"):
            new = OrthoLinear(linear.in_features, linear.out_features, linear.bias is not None,
                              rule=config.rule, group=facts["group"], nnz=facts["nnz"],
                              activations=config.activations, threads=torch.get_num_threads(),
                              device="meta", dtype=linear.weight.dtype)
        _replace(model, name, linear, new)
        self._rooms.add(name)

    def _choose(self, model: Any) -> None:
        """Which Linears shall be sieved as their weights come."""
        config = self.quantization_config
        keep = [name.removesuffix(".bias") for name in self.get_modules_to_not_convert(
            model, config.modules_to_not_convert, model._keep_in_fp32_modules)]
        tied = {*model.all_tied_weights_keys, *model.all_tied_weights_keys.values()}
        selection = _eligible.Selection(None, (), config.density, config.group)
        seen: dict[int, str] = {}
        for name, linear in model.named_modules(remove_duplicate=False):
            if not isinstance(linear, nn.Linear):
                continue
            first = seen.setdefault(id(linear), name)
            reason = (f"it is {first}, too" if first != name or not name else None
                      ) or _eligible._odd(linear)
            if reason is None and f"{name}.weight" in tied:
                reason = "its weight is tied to another module's"
            if reason is None and not should_convert_module(name, keep):
                reason = "modules_to_not_convert"
            reason = reason or _eligible.unsized(linear.weight, selection)
            if reason is None:
                self._targets.add(name)
            else:
                self._kept[name] = reason
                self._targets.discard(first)

    # ---- while they come; Transformers turns an exception here into a page of its own words, so the
    # first one waits until the model is through

    def sieve(self, model: Any, key: str, weight: torch.Tensor) -> None:
        """The Linear of this weight becomes an OrthoLinear on the weight's device."""
        if self._failure is not None:
            return
        name, config = key.rpartition(".")[0], self.quantization_config
        linear = model.get_submodule(name)
        try:
            if tuple(weight.shape) != (linear.out_features, linear.in_features):
                raise ValueError(f"the checkpoint's weight is {list(weight.shape)}, the model's "
                                 f"{[linear.out_features, linear.in_features]}")
            threads = torch.get_num_threads()
            handle = LayerHandle.sieve(weight, config.density, config.rule, config.group, None,
                                       threads, config.activations)
            new = OrthoLinear.from_handle(handle, linear.bias, dtype=weight.dtype, threads=threads)
            new.rule = config.rule
        except Exception as error:
            self._fail(name, error)
            return
        _replace(model, name, linear, new)

    def assemble(self, model: Any, name: str, parts: dict[str, torch.Tensor]) -> None:
        """The five tensors of an OrthoLinear are there."""
        if self._failure is not None:
            return
        try:
            missing = [f"{name}.{part}" for part in PARTS if part not in parts]
            if missing:
                raise ValueError(f"the checkpoint lacks {', '.join(missing)}")
            layer = model.get_submodule(name)
            layer._place(self._device_of(name))
            layer._load_split(Split(*(parts[part] for part in PARTS)), assign=True)
            self._rooms.remove(name)
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        kind = type(error) if isinstance(error, (lib.LibOrthoError, ValueError, TypeError)) \
            else lib.LibOrthoError
        self._failure = kind(f"libortho: {name}: {str(error).removeprefix('libortho: ')}")
        self._failure.__cause__ = error

    def _device_of(self, name: str) -> torch.device:
        """Where the device_map sends a layer; the longest name in it that leads there counts."""
        places = self._device_map or {"": "cpu"}
        keys = [key for key in places if not key or f"{name}.".startswith(f"{key}.")]
        keys = keys or [key for key in places if key.startswith(f"{name}.")] or [""]
        return torch.device(_place(places.get(max(keys, key=len), "cpu")))

    # ---- after they came

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        if self._failure is not None:
            raise self._failure
        layers = {name: module for name, module in model.named_modules()
                  if isinstance(module, OrthoLinear)}
        empty = sorted(self._rooms)  # Transformers has put something at random there
        if empty:
            raise ValueError(f"libortho: the checkpoint holds nothing of {', '.join(empty[:3])}"
                             + (f" and {len(empty) - 3} more" if len(empty) > 3 else "")
                             + ", which it says are sieved")
        for layer in layers.values():
            if layer.bias is not None and not getattr(layer.bias, "_is_hf_initialized", False):
                layer.bias.data.zero_()  # not in the checkpoint: as Transformers begins a stock one
        conversions = getattr(model, "_weight_conversions", None) or []
        model._weight_conversions = [one for one in conversions if not _is_ours(one)]
        self._report(model, layers)
        _as_stock(model)
        trim()
        if any(layer.device.type == "cuda" for layer in layers.values()):
            torch.cuda.empty_cache()  # libortho allocates beside PyTorch's cache
        return model

    def _report(self, model: Any, layers: dict[str, OrthoLinear]) -> None:
        missing = {name: "the checkpoint has no weight for it" for name in self._targets - set(layers)}
        report = begin(model, {**self._kept, **missing})
        report.converted = list(layers)
        report.bytes_before = sum(layer.out_features * layer.in_features * layer.dtype.itemsize
                                  for layer in layers.values())
        report.bytes_after = sum(layer.nbytes for layer in layers.values())


def _is_ours(conversion: Any) -> bool:
    return any(isinstance(op, _Operation) for op in getattr(conversion, "operations", ()))


def _as_stock(model: Any) -> None:
    """Transformers forbids half() and float() where is_quantized is set; they work here. Training
    is refused by the layers themselves."""
    model.is_quantized = False


def _place(where: Any) -> str:
    return str(torch.device("cuda", where) if isinstance(where, int) else where)


def _submodule(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _replace(model: nn.Module, name: str, linear: nn.Linear, new: OrthoLinear) -> None:
    new.train(linear.training)
    for module in new.modules():
        vars(module)["_is_hf_initialized"] = True  # else Transformers would initialise it
    model.set_submodule(name, new)


def _renaming(model: Any) -> Callable[[str], str]:
    """From a layer's name in the checkpoint to the one it has in the model: Transformers renames
    tensors of some models, and adds or drops a prefix between AutoModel and AutoModelFor..."""
    known = model.state_dict()
    renamings = [entry for entry in get_model_conversion_mapping(model)
                 if isinstance(entry, WeightRenaming)]

    def rename(name: str) -> str:
        key = f"{name}.weight"
        if key not in known:
            key, _ = rename_source_key(key, renamings, [], model.base_model_prefix, known)
        return key.removesuffix(".weight")

    return rename


def shapes_of(model: nn.Module) -> dict[str, dict[str, int]]:
    """What config.json says of each sieved layer."""
    return {name: {"n": layer.out_features, "k": layer.in_features, "nnz": layer._nnz(),
                   "group": layer.group}
            for name, layer in model.named_modules() if isinstance(layer, OrthoLinear)}


def from_pretrained(name_or_dir: str | os.PathLike[str], use_libortho: bool = True, *,
                    density: float | None = None, rule: str | None = None, group: int | None = None,
                    activations: str | None = None, modules_to_not_convert: list[str] | None = None,
                    model_class: Any = None, **kwargs: Any) -> Any:
    """A model of Transformers whose linear layers are served by libortho.

    name_or_dir: a stock checkpoint, which is sieved while it loads; a folder that save_pretrained
        of a sieved model wrote; or an artifact, as ortho_checkpoint_sieve and `ortho-bench sieve`
        write them. With gguf_file=... a GGUF file, which is loaded whole and dense before it is sieved
    use_libortho: False is model_class.from_pretrained(name_or_dir, **kwargs) and nothing else
    density, rule, group: as in LibOrthoConfig; None: its defaults, or for what is sieved already
        what it was sieved with
    activations: as in LibOrthoConfig; None: "exact", or what save_pretrained wrote
    model_class: AutoModelForCausalLM unless another of Transformers' is given
    kwargs: as for from_pretrained of Transformers: dtype, device_map, revision, ...
    Raises ValueError (options; a sieved checkpoint that was sieved otherwise than asked for),
    LibOrthoError (a weight that is not finite, a hostile file: names the layer), and whatever
    Transformers does.
    """
    from transformers import AutoModelForCausalLM

    load = (model_class or AutoModelForCausalLM).from_pretrained
    if not use_libortho:
        return load(name_or_dir, **kwargs)
    if kwargs.get("quantization_config") is not None:
        raise ValueError("libortho: quantization_config beside use_libortho=True; give density, rule "
                         "and group, or call Transformers' own from_pretrained with LibOrthoConfig")
    settings: dict[str, Any] = {"density": density, "rule": rule, "group": group}
    asked = {key: value for key, value in settings.items() if value is not None}
    config = LibOrthoConfig(**asked, activations="exact" if activations is None else activations,
                            modules_to_not_convert=modules_to_not_convert)
    if kwargs.get("gguf_file") is not None:
        return _from_gguf(load, name_or_dir, config, kwargs)
    if _stored_method(name_or_dir, kwargs) != METHOD:
        kwargs["quantization_config"] = config
    before = _activations.set(activations)
    try:
        loaded = load(name_or_dir, **kwargs)  # with output_loading_info, a pair
    finally:
        _activations.reset(before)
    _same_as(loaded[0] if isinstance(loaded, tuple) else loaded, asked)
    return loaded


def _stored_method(name_or_dir: str | os.PathLike[str], kwargs: dict[str, Any]) -> str | None:
    """How the checkpoint's config.json says that it is quantised; None: not."""
    config = kwargs.get("config")
    if isinstance(config, PreTrainedConfig):
        stored = getattr(config, "quantization_config", None) or {}
        return stored.get("quant_method") if isinstance(stored, dict) else stored.quant_method
    told, _ = PreTrainedConfig.get_config_dict(name_or_dir, **kwargs)
    return (told.get("quantization_config") or {}).get("quant_method")


def _same_as(model: Any, asked: dict[str, Any]) -> None:
    """ValueError when a checkpoint was sieved with other settings than those asked for."""
    config = model.config.quantization_config
    for key, value in asked.items():
        got = getattr(config, key)
        if got != value:
            raise ValueError(f"libortho: this checkpoint was sieved with {key} {got}, not {value}; "
                             "leave it out, or sieve the original checkpoint")


def _from_gguf(load: Callable, name_or_dir: str | os.PathLike[str], config: LibOrthoConfig,
               kwargs: dict[str, Any]) -> Any:
    """Transformers can't sieve while it reads GGUF: the model is whole and dense once."""
    from transformers import GgufConfig

    kwargs["quantization_config"] = GgufConfig(gguf_file=kwargs["gguf_file"], dequantize=True)
    model = load(name_or_dir, **kwargs)
    return enable(model, density=config.density, rule=config.rule, group=config.group,
                  activations=config.activations)


def attach(model: Any, config: LibOrthoConfig) -> None:
    """Tells a model of Transformers whose layers were sieved in place what it is, so that
    save_pretrained writes a checkpoint that from_pretrained knows. Any other model, and one that
    somebody else quantised, stays as it is."""
    if not isinstance(model, PreTrainedModel) or \
            getattr(model, "quantization_method", METHOD) != METHOD:
        return
    quantizer = LibOrthoQuantizer(config, pre_quantized=True)
    vars(model).update(hf_quantizer=quantizer, quantization_method=METHOD)
    model.config.quantization_config = quantizer.quantization_config
    _as_stock(model)


def detach(model: Any) -> None:
    """Undoes attach and from_pretrained, for a model whose layers are stock again."""
    if isinstance(model, PreTrainedModel) and getattr(model, "quantization_method", None) == METHOD:
        quantizer: Any = model.hf_quantizer
        quantizer.remove_quantization_config(model)
