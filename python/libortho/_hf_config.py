"""What libortho tells Transformers' config.json, and what an artifact's headers tell libortho."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from transformers.quantizers.auto import register_quantization_config
from transformers.utils.quantization_config import QuantizationConfigMixin

from . import _library as lib
from ._handle import choice

METHOD = "libortho"
ARTIFACT_KEY, LAYER_KEY = "ortho.artifact", "ortho.layer:"
ARTIFACT_VERSION = 1
SHAPE = ("n", "k", "nnz", "group")
_SETTINGS = ("density", "rule", "group", "activations", "modules_to_not_convert", "shapes")


@register_quantization_config(METHOD)
class LibOrthoConfig(QuantizationConfigMixin):
    """How from_pretrained sieves, and in a config.json how a checkpoint was sieved.

    density: the share of weights that goes to Ortho, 0 to 1
    rule: "outlier", "residual" or "legacy"
    group: weights along k that share a scale: 32, 64, 128, or 0 for the row
    activations: "exact", or "int8" (on the CPU alone)
    modules_to_not_convert: names, suffixes or regular expressions of Linears that stay stock; None:
        what Transformers leaves out, the output embeddings. Tied weights stay stock in any case
    shapes: by layer {"n", "k", "nnz", "group"} of what the checkpoint holds; save_pretrained sets
        it, and a checkpoint that is yet to be sieved has None
    Raises ValueError.
    """

    def __init__(self, density: float = 0.01, rule: str = "outlier", group: int = 128,
                 activations: str = "exact", modules_to_not_convert: list[str] | None = None,
                 shapes: dict[str, dict[str, int]] | None = None) -> None:
        self.quant_method: Any = METHOD
        self.density = density
        self.rule = rule
        self.group = group
        self.activations = activations
        self.modules_to_not_convert = modules_to_not_convert
        self.shapes = shapes
        self.check()

    def check(self) -> None:
        """ValueError naming the first setting that can't be."""
        if isinstance(self.density, bool) or not isinstance(self.density, (int, float)) \
                or not 0 <= self.density <= 1:
            raise ValueError(f"libortho: density {self.density!r}; it is a share from 0 to 1")
        choice(lib.RULES, self.rule, "rule")
        choice(lib.ACTIVATIONS, self.activations, "activations")
        if self.group not in (0, 32, 64, 128):
            raise ValueError(f"libortho: group {self.group!r}; it is 32, 64, 128, or 0 for the row")
        if self.shapes is not None:
            self.shapes = {name: facts_of(facts, f"config.json: quantization_config.shapes: {name}")
                           for name, facts in self.shapes.items()}

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], return_unused_kwargs: bool = False,
                  **kwargs: Any) -> Any:
        """Keys of a later version's config.json are ignored."""
        known = {key: value for key, value in config_dict.items()
                 if key in _SETTINGS}
        return super().from_dict(known, return_unused_kwargs, **kwargs)


def facts_of(facts: Any, where: str) -> dict[str, int]:
    """n, k, nnz and group of a layer as a file tells them; ValueError when they make no sense."""
    try:
        n, k, nnz, group = (facts[key] for key in SHAPE)
    except (KeyError, TypeError):
        raise ValueError(f"{where}: n, k, nnz and group are wanted, not {facts!r}") from None
    if not all(type(value) is int for value in (n, k, nnz, group)) or \
            not (n > 0 and 0 < group <= k and 0 <= nnz <= n * k):
        raise ValueError(f"{where}: no layer has {facts!r}")
    return {"n": n, "k": k, "nnz": nnz, "group": group}


def artifact_layers(files: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The sieved layers that safetensors files tell of in their metadata, by name; of headers only.

    Raises ValueError (facts that make no sense, a layer that two files describe, an artifact of a
    later version)."""
    from safetensors import safe_open

    layers: dict[str, dict[str, Any]] = {}
    for path in files:
        if not path.endswith(".safetensors"):
            continue
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        version = metadata.get(ARTIFACT_KEY)
        if version is None:
            continue
        if version != str(ARTIFACT_VERSION):
            raise ValueError(f"{path}: {ARTIFACT_KEY} is {version!r}; this libortho reads "
                             f"{ARTIFACT_VERSION}: update it")
        for key, text in metadata.items():
            if key.startswith(LAYER_KEY):
                name, where = key[len(LAYER_KEY):], f"{path}: {key}"
                if name in layers:
                    raise ValueError(f"{where}: another file describes this layer, too")
                try:
                    facts = json.loads(text)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
                layers[name] = {**facts_of(facts, where), "density": facts.get("density"),
                                "rule": facts.get("rule")}
    return layers


def settings_of(layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The density, rule and group that all of an artifact's layers were sieved with; what they
    don't agree in is left out."""
    facts = list(layers.values())
    settings = {key: facts[0][key] for key in ("density", "rule")
                if all(one[key] == facts[0][key] for one in facts)}
    for group in (128, 64, 32, 0):
        if all(one["group"] == min(group or one["k"], one["k"]) for one in facts):
            return {**settings, "group": group}
    return settings
