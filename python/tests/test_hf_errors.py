"""What can go wrong between Transformers and libortho is said in words that name the layer."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import tiny_llama
from hf_models import make_artifact, tensors_of
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

import libortho
from libortho.hf import LibOrthoConfig, from_pretrained

DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture
def stock(tmp_path):
    tiny_llama().save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


@pytest.fixture
def folder(stock, tmp_path):
    """A checkpoint that is sieved, whose tensors and config.json a test may spoil."""
    from_pretrained(stock).save_pretrained(tmp_path / "sieved")
    return tmp_path / "sieved"


def spoil(folder, change, metadata=None):
    tensors = tensors_of(folder)
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata or {"format": "pt"})


def spoil_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config["quantization_config"])
    (folder / "config.json").write_text(json.dumps(config))


# ---- options

@pytest.mark.parametrize("options, words", [
    ({"density": 1.5}, "density 1.5; it is a share from 0 to 1"),
    ({"density": float("nan")}, "density nan"),
    ({"density": "0.1"}, "density '0.1'"),
    ({"density": True}, "density True"),
    ({"rule": "best"}, "outlier, residual, legacy"),
    ({"group": 100}, "32, 64, 128, or 0"),
    ({"activations": "int4"}, "exact, int8"),
    ({"shapes": {"a": {"n": 1}}}, "shapes: a: n, k, nnz and group are wanted"),
    ({"shapes": {"a": None}}, "shapes: a: n, k, nnz and group are wanted"),
    ({"shapes": {"a": {"n": 4, "k": 4, "nnz": 17, "group": 4}}}, "shapes: a: no layer has"),
    ({"shapes": {"a": {"n": 4, "k": 4, "nnz": 1, "group": 5}}}, "shapes: a: no layer has"),
    ({"shapes": {"a": {"n": 4, "k": 4, "nnz": 1.0, "group": 4}}}, "shapes: a: no layer has"),
])
def test_config(options, words):
    with pytest.raises(ValueError, match=words):
        LibOrthoConfig(**options)
    with pytest.raises(ValueError, match=words):
        LibOrthoConfig.from_dict({"quant_method": "libortho", **options})


def test_config_of_a_later_version():
    config = LibOrthoConfig.from_dict({"quant_method": "libortho", "density": 0.2, "flavour": 1})
    assert config.density == 0.2
    with pytest.raises(TypeError, match="flavour"):
        LibOrthoConfig(flavour=1)


def test_dtype(stock):
    with pytest.raises(TypeError, match="float64; layers take float32, float16 and bfloat16"):
        from_pretrained(stock, dtype=torch.float64)


@pytest.mark.parametrize("device_map, words", [
    ({"model.embed_tokens": "cpu", "model": "disk", "lm_head": "cpu"}, "to the disk"),
    ({"model.embed_tokens": "cpu", "model": 0, "lm_head": "cpu"}, "cpu, cuda:0"),
])
def test_device_map(stock, device_map, words, tmp_path):
    with pytest.raises(ValueError, match=f"libortho: device_map .*{words}"):
        from_pretrained(stock, device_map=device_map, offload_folder=tmp_path / "offload")


def test_both_ways_at_once(stock):
    with pytest.raises(ValueError, match="quantization_config beside use_libortho=True"):
        from_pretrained(stock, quantization_config=LibOrthoConfig())


@pytest.mark.parametrize("options, words", [
    ({"density": 0.05}, "density 0.01, not 0.05"), ({"rule": "legacy"}, "rule outlier, not legacy"),
    ({"group": 32}, "group 128, not 32"), ({"group": 0}, "group 128, not 0")])
def test_sieved_otherwise(folder, stock, tmp_path, options, words):
    for path in (folder, make_artifact(stock, tmp_path / "artifact")):
        with pytest.raises(ValueError, match=f"this checkpoint was sieved with {words}"):
            from_pretrained(path, **options)


# ---- a stock checkpoint

@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite(stock, value):
    def change(tensors):
        tensors[f"{DOWN}.weight"][5, 7] = value
    spoil(stock, change)
    with pytest.raises(libortho.LibOrthoError, match=f"{DOWN}: .*row 5.*column 7"):
        from_pretrained(stock)
    with pytest.raises(ValueError, match=DOWN):
        AutoModelForCausalLM.from_pretrained(stock, quantization_config=LibOrthoConfig())


def test_a_weight_of_another_shape(stock):
    def change(tensors):
        tensors[f"{DOWN}.weight"] = torch.zeros(128, 335)
    spoil(stock, change)
    with pytest.raises(ValueError, match=rf"{DOWN}: the checkpoint's weight is \[128, 335\]"):
        from_pretrained(stock)


def test_a_weight_that_is_missing(stock, recwarn):
    spoil(stock, lambda tensors: tensors.pop(f"{DOWN}.weight"))
    loaded = from_pretrained(stock)  # as stock: begun at random, with a warning of Transformers
    assert type(loaded.get_submodule(DOWN)) is torch.nn.Linear
    assert loaded.libortho_report.kept[DOWN] == "the checkpoint has no weight for it"


# ---- a sieved one

def test_a_tensor_is_missing(folder):
    spoil(folder, lambda tensors: tensors.pop(f"{DOWN}.ortho.col"))
    with pytest.raises(ValueError, match=f"the checkpoint lacks {DOWN}.ortho.col"):
        from_pretrained(folder)


def test_a_layer_is_missing(folder):
    def change(tensors):
        for name in [name for name in tensors if name.startswith(DOWN)]:
            del tensors[name]
    spoil(folder, change)
    with pytest.raises(ValueError, match=f"nothing of {DOWN}, which it says are sieved"):
        from_pretrained(folder)


def _falling(tensors):
    tensors[f"{DOWN}.ortho.row_ptr"][3] = 2**30


def _too_far(tensors):
    tensors[f"{DOWN}.ortho.col"] = torch.full_like(tensors[f"{DOWN}.ortho.col"], 60000)


def _negative(tensors):
    tensors[f"{DOWN}.base.scale"][2, 0] = -1


def _short(tensors):
    tensors[f"{DOWN}.base.q"] = tensors[f"{DOWN}.base.q"][:, :-1].contiguous()


def _wide(tensors):
    tensors[f"{DOWN}.ortho.val"] = tensors[f"{DOWN}.ortho.val"].float()


def _fewer(tensors):
    tensors[f"{DOWN}.ortho.val"] = tensors[f"{DOWN}.ortho.val"][:-1]


def _no_rows(tensors):
    tensors[f"{DOWN}.ortho.row_ptr"] = tensors[f"{DOWN}.ortho.row_ptr"][:0]


def _flat(tensors):
    tensors[f"{DOWN}.base.scale"] = tensors[f"{DOWN}.base.scale"].flatten()


@pytest.mark.parametrize("change", [_falling, _too_far, _negative, _short, _wide, _fewer, _no_rows, _flat])
def test_hostile_tensors(folder, change):
    spoil(folder, change)
    with pytest.raises(ValueError, match=f"libortho: {DOWN}: "):
        from_pretrained(folder)


def test_shapes_that_are_not_the_models(folder):
    spoil_config(folder, lambda told: told["shapes"][DOWN].update(n=64))
    with pytest.raises(ValueError, match=f"{DOWN} is 64 x 336 in the checkpoint and 128 x 336 in"):
        from_pretrained(folder)


def test_a_layer_that_the_model_lacks(folder):
    spoil_config(folder, lambda told: told["shapes"].update({"model.norm": told["shapes"][DOWN]}))
    with pytest.raises(ValueError, match="sieved layer model.norm, where this model has LlamaRMSNorm"):
        from_pretrained(folder)
    spoil_config(folder, lambda told: told["shapes"].update({"x": told["shapes"].pop("model.norm")}))
    with pytest.raises(ValueError, match="sieved layer x, where this model has nothing"):
        from_pretrained(folder)


def test_no_shapes(folder):
    spoil_config(folder, lambda told: told.update(shapes=None))
    with pytest.raises(ValueError, match="no quantization_config.shapes"):
        from_pretrained(folder)


# ---- an artifact

@pytest.mark.parametrize("metadata, words", [
    ({"ortho.artifact": "2"}, "ortho.artifact is '2'; this libortho reads 1: update it"),
    ({"ortho.artifact": "1", f"ortho.layer:{DOWN}": "{"}, f"ortho.layer:{DOWN}: "),
    ({"ortho.artifact": "1", f"ortho.layer:{DOWN}": "[]"}, "n, k, nnz and group are wanted"),
    ({"ortho.artifact": "1", f"ortho.layer:{DOWN}": '{"n": 1, "k": 1, "nnz": 2, "group": 1}'},
     "no layer has"),
])
def test_hostile_metadata(stock, tmp_path, metadata, words):
    artifact = make_artifact(stock, tmp_path / "artifact")
    spoil(artifact, lambda tensors: None, metadata)
    with pytest.raises(ValueError, match=words):
        from_pretrained(artifact)


def test_metadata_that_are_lost(stock, tmp_path):
    artifact = make_artifact(stock, tmp_path / "artifact")
    spoil(artifact, lambda tensors: None)
    with pytest.raises(ValueError, match="metadata that tell of layers; .* or sieve the original"):
        from_pretrained(artifact)


def test_an_artifact_whose_config_is_no_choice(stock, tmp_path):
    artifact = make_artifact(stock, tmp_path / "artifact")
    spoil_config(artifact, lambda told: told.update(density=7))
    with pytest.raises(ValueError, match="libortho: density 7"):
        from_pretrained(artifact)


def test_a_source_that_is_quantised(stock, tmp_path):
    config = json.loads((stock / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    (stock / "config.json").write_text(json.dumps(config))
    with pytest.raises(libortho.LibOrthoError, match=r"config.json: .* quantised already \(fp8\)"):
        make_artifact(stock, tmp_path / "artifact")


def test_another_quantisation(stock):
    config = json.loads((stock / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    (stock / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="FineGrainedFP8Config"):
        from_pretrained(stock)
