"""A folder that libortho's own sieve made is a checkpoint of Transformers."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from conftest import tiny_llama
from hf_models import greedy, ids, logits, make_artifact, sieved, tensors_of
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM

from libortho.hf import LibOrthoConfig, from_pretrained

TOKENS = ids(320)
KEY = "quantization_config"


@pytest.fixture
def stock(tmp_path):
    tiny_llama().save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


def load(path, **options):
    return AutoModelForCausalLM.from_pretrained(path, **options)


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def forget(folder):
    """The artifact as it was before its config.json said anything."""
    config = config_of(folder)
    del config[KEY]
    (folder / "config.json").write_text(json.dumps(config))


def test_config_json(stock, tmp_path):
    source = (stock / "config.json").read_bytes()
    artifact = make_artifact(stock, tmp_path / "artifact", 0.02, "residual", 64)
    made = (artifact / "config.json").read_bytes()
    told = config_of(artifact).pop(KEY)
    assert told == {"quant_method": "libortho", "density": 0.02, "rule": "residual", "group": 64}
    begin = made.index(b",\n  \"quantization_config\"")
    end = made.index(b"}", begin) + 1
    assert made[:begin] + made[end:] == source and b"1e-06" in source


@pytest.mark.parametrize("size", ["50GB", "200KB"])
def test_it_is_what_loading_sieves(tmp_path, size, device):
    tiny_llama().save_pretrained(tmp_path / "stock", max_shard_size=size)
    artifact = make_artifact(tmp_path / "stock", tmp_path / "artifact")
    wanted = from_pretrained(tmp_path / "stock", device_map=device)
    for loaded in (load(artifact, device_map=device), from_pretrained(artifact, device_map=device)):
        assert len(sieved(loaded)) == 14 and type(loaded.lm_head) is nn.Linear
        assert loaded.config.quantization_config.density == 0.01
        assert torch.equal(logits(loaded, TOKENS), logits(wanted, TOKENS))
        assert greedy(loaded, TOKENS) == greedy(wanted, TOKENS)
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load(tmp_path / "again", device_map=device), TOKENS),
                       logits(wanted, TOKENS))
    assert len(sieved(from_pretrained(artifact, model_class=AutoModel))) == 14


def test_one_of_before(stock, tmp_path):
    artifact = make_artifact(stock, tmp_path / "artifact")
    wanted = logits(load(artifact), TOKENS)
    forget(artifact)
    for loaded in (from_pretrained(artifact),
                   load(artifact, quantization_config=LibOrthoConfig(density=0.7))):
        assert len(sieved(loaded)) == 14 and torch.equal(logits(loaded, TOKENS), wanted)
        assert loaded.config.quantization_config.density == 0.01


@pytest.mark.parametrize("rule, group, told", [
    ("outlier", 0, 0), ("residual", 32, 32), ("legacy", 128, 0)])
def test_groups_and_rules(stock, tmp_path, rule, group, told):
    artifact = make_artifact(stock, tmp_path / "artifact", 0.03, rule, group)
    assert config_of(artifact)[KEY]["group"] == told
    for loaded in (load(artifact), from_pretrained(artifact, density=0.03, rule=rule, group=told)):
        config = loaded.config.quantization_config
        assert (config.density, config.rule, config.group) == (0.03, rule, told)
        assert loaded.model.layers[0].mlp.down_proj.group == (group if told else 336)
        wanted = from_pretrained(stock, density=0.03, rule=rule, group=group)
        assert torch.equal(logits(loaded, TOKENS), logits(wanted, TOKENS))


@pytest.mark.parametrize("chosen", [{"layers": "1"}, {"projections": "q,down"}])
def test_a_part_of_the_layers(stock, tmp_path, chosen):
    artifact = make_artifact(stock, tmp_path / "artifact", **chosen)
    loaded = load(artifact)
    names = [name for name, module in tiny_llama().named_modules() if isinstance(module, nn.Linear)
             and (".layers.1." in name if "layers" in chosen else name.endswith(("q_proj", "down_proj")))]
    assert list(sieved(loaded)) == names
    keep = [name for name, module in loaded.named_modules() if type(module) is nn.Linear]
    wanted = load(stock, quantization_config=LibOrthoConfig(modules_to_not_convert=keep))
    assert list(sieved(wanted)) == names
    assert torch.equal(logits(loaded, TOKENS), logits(wanted, TOKENS))
    assert torch.equal(logits(from_pretrained(artifact), TOKENS), logits(wanted, TOKENS))


def test_layers_of_several_densities(stock, tmp_path):
    densities = (0.01, 0.2)
    parts = [make_artifact(stock, tmp_path / f"part{i}", density, layers=str(i))
             for i, density in enumerate(densities)]
    alone = [load(part).model.layers[i].mlp.up_proj for i, part in enumerate(parts)]
    tensors, metadata = {}, {}
    for i, part in enumerate(parts):
        with safe_open(part / "model.safetensors", "pt") as file:
            metadata.update(file.metadata())
        tensors.update((name, tensor) for name, tensor in tensors_of(part).items()
                       if f".layers.{1 - i}." not in name)
    save_file(tensors, parts[0] / "model.safetensors", metadata)
    for loaded in (load(parts[0]), from_pretrained(parts[0])):
        assert len(sieved(loaded)) == 14
        for i, density in enumerate(densities):
            layer = loaded.model.layers[i].mlp.up_proj
            assert layer._nnz() == int(density * 336 * 128)
            assert torch.equal(layer.weight.dequantize(), alone[i].weight.dequantize())


def test_activations(stock, tmp_path):
    artifact = make_artifact(stock, tmp_path / "artifact")
    loaded = from_pretrained(artifact, activations="int8")
    assert {layer.activations for layer in sieved(loaded).values()} == {"int8"}
    loaded.save_pretrained(tmp_path / "int8")
    for options, wanted in (({}, "int8"), ({"activations": "exact"}, "exact")):
        again = from_pretrained(tmp_path / "int8", **options)
        assert {layer.activations for layer in sieved(again).values()} == {wanted}
    assert {layer.activations for layer in sieved(load(artifact)).values()} == {"exact"}


def _elsewhere(folder: pathlib.Path, before: str) -> subprocess.CompletedProcess:
    """What a process of its own says that loads it."""
    script = f"""{before}
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({str(folder)!r})
print(type(model.model.layers[0].mlp.up_proj).__name__)"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": path})


def test_where_libortho_is_not_imported(stock, tmp_path):
    """Transformers says that it doesn't know the method, whether it refuses (as later versions may)
    or goes on with random weights."""
    artifact = make_artifact(stock, tmp_path / "artifact")
    done = _elsewhere(artifact, "import libortho")
    assert done.stdout.split() == ["OrthoLinear"] and "libortho" not in done.stderr, done.stderr
    done = _elsewhere(artifact, "")
    assert "OrthoLinear" not in done.stdout
    assert "Unknown quantization type, got libortho" in done.stderr, done.stderr
