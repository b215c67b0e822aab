"""LibOrthoConfig and from_pretrained: what a sieved model of Transformers computes, and that it is
written and read again bit for bit."""

from __future__ import annotations

import copy
import io
import json

import pytest
import torch
from conftest import tiny_llama
from hf_models import dense_model, greedy, ids, logits, sieved, tensors_of
from safetensors.torch import save_file
from torch import nn
from transformers import (AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification,
                          BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel,
                          LlamaForCausalLM)

import libortho
from libortho.hf import LibOrthoConfig, from_pretrained

TOKENS = ids(320)
PARTS = ("base.q", "base.scale", "ortho.col", "ortho.row_ptr", "ortho.val")


@pytest.fixture
def stock(tmp_path):
    """A stock model and its checkpoint, in several shards."""
    model = tiny_llama()
    model.save_pretrained(tmp_path / "stock", max_shard_size="300KB")
    return model, tmp_path / "stock"


def load(path, **options):
    return AutoModelForCausalLM.from_pretrained(path, **options)


# ---- sieving while loading

def test_what_is_sieved(stock):
    model, path = stock
    loaded = load(path, quantization_config=LibOrthoConfig(density=0.05))
    linears = [name for name, module in model.named_modules()
               if isinstance(module, nn.Linear) and name != "lm_head"]
    assert list(sieved(loaded)) == linears and len(linears) == 14
    assert type(loaded.lm_head) is nn.Linear and not loaded.training
    names = [name for name, _ in loaded.named_modules() if name.split(".")[-1] not in ("base", "ortho")]
    assert names == [name for name, _ in model.named_modules()]
    for layer in sieved(loaded).values():
        n, k = layer.weight.shape
        assert layer._nnz() == int(0.05 * n * k) and layer.weight.dtype == torch.float32


def test_report(stock):
    loaded = from_pretrained(stock[1])
    assert loaded.libortho_report.converted == list(sieved(loaded))
    assert list(loaded.libortho_report.kept) == ["lm_head"]
    assert loaded.libortho_report.bytes_before == sum(4 * layer.weight.numel()
                                                      for layer in sieved(loaded).values())
    assert loaded.libortho_report.bytes_after < loaded.libortho_report.bytes_before / 4


def test_logits_and_text_are_the_dense_models(stock, tmp_path, device):
    model, path = stock
    loaded = from_pretrained(path, density=0.05, device_map=device)
    loaded.save_pretrained(tmp_path / "sieved")
    dense = dense_model(tmp_path / "sieved", copy.deepcopy(model)).to(device)
    got, wanted = logits(loaded, TOKENS), logits(dense, TOKENS)
    assert (got - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert greedy(loaded, TOKENS) == greedy(dense, TOKENS)
    assert not torch.allclose(got.cpu(), logits(model, TOKENS), atol=1e-4)  # it is no stock model


def test_it_is_what_enable_makes(stock):
    model, path = stock
    loaded = from_pretrained(path, density=0.03, rule="residual", group=32)
    enabled = libortho.enable(copy.deepcopy(model), density=0.03, rule="residual", group=32)
    assert list(sieved(loaded)) == list(sieved(enabled))
    assert torch.equal(logits(loaded, TOKENS), logits(enabled, TOKENS))


def test_biases(tmp_path):
    model = tiny_llama(attention_bias=True, mlp_bias=True)
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(value)
    model.save_pretrained(tmp_path / "stock")
    loaded = from_pretrained(tmp_path / "stock")
    for name, layer in sieved(loaded).items():
        assert torch.equal(layer.bias, model.get_submodule(name).bias)
    loaded.save_pretrained(tmp_path / "sieved")
    again = from_pretrained(tmp_path / "sieved")
    assert torch.equal(logits(loaded, TOKENS), logits(again, TOKENS))
    dense = dense_model(tmp_path / "sieved", model)
    torch.testing.assert_close(logits(loaded, TOKENS), logits(dense, TOKENS), rtol=1e-5, atol=1e-5)


def test_a_bias_that_is_missing(tmp_path):
    tiny_llama(mlp_bias=True).save_pretrained(tmp_path / "stock")
    tensors = tensors_of(tmp_path / "stock")
    del tensors["model.layers.1.mlp.up_proj.bias"]
    save_file(tensors, tmp_path / "stock/model.safetensors", {"format": "pt"})
    torch.use_deterministic_algorithms(True)  # memory that nobody wrote to is NaN
    try:
        loaded = from_pretrained(tmp_path / "stock")
    finally:
        torch.use_deterministic_algorithms(False)
    assert loaded.model.layers[1].mlp.up_proj.bias.count_nonzero() == 0  # as Transformers begins one


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_dtype(stock, dtype):
    loaded = from_pretrained(stock[1], dtype=dtype)
    assert loaded.dtype == dtype and logits(loaded, TOKENS).dtype == dtype
    assert all(layer.weight.dtype == dtype for layer in sieved(loaded).values())


def test_what_stays_stock(stock, tmp_path):
    config = LibOrthoConfig(modules_to_not_convert=["lm_head", "model.layers.0.mlp", "q_proj"])
    loaded = LlamaForCausalLM.from_pretrained(stock[1], quantization_config=config)
    names = list(sieved(loaded))
    assert len(names) == 14 - 3 - 2
    assert not any("layers.0.mlp" in name or "q_proj" in name for name in names)
    assert loaded.libortho_report.kept["model.layers.0.mlp.up_proj"] == "modules_to_not_convert"
    loaded.save_pretrained(tmp_path / "sieved")
    assert config.shapes is None  # the caller's own isn't written to


def test_tied_embeddings(tmp_path):
    model = tiny_llama(tied=True)
    model.save_pretrained(tmp_path / "stock")
    tensors = tensors_of(tmp_path / "stock")  # some checkpoints hold it twice
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "stock/model.safetensors", {"format": "pt"})
    # Asked for everything, it still leaves what is tied
    config = LibOrthoConfig(modules_to_not_convert=[])
    loaded = load(tmp_path / "stock", quantization_config=config)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight and len(sieved(loaded)) == 14
    loaded.save_pretrained(tmp_path / "sieved")
    assert "lm_head.weight" not in tensors_of(tmp_path / "sieved")
    again = load(tmp_path / "sieved")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert torch.equal(logits(loaded, TOKENS), logits(again, TOKENS))


def test_another_architecture(tmp_path):
    config = BertConfig(vocab_size=320, hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=256, num_labels=3)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "stock")
    loaded = from_pretrained(tmp_path / "stock", density=0.1,
                             model_class=AutoModelForSequenceClassification)
    assert len(sieved(loaded)) == 13 and set(loaded.libortho_report.kept) == {"classifier"}
    assert (logits(loaded, TOKENS) - logits(model, TOKENS)).abs().max() < 0.1
    loaded.save_pretrained(tmp_path / "sieved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "sieved")
    assert torch.equal(logits(again, TOKENS), logits(loaded, TOKENS))


def test_nothing_to_sieve(tmp_path):
    config = GPT2Config(vocab_size=320, n_embd=64, n_layer=1, n_head=2, n_positions=32)
    GPT2LMHeadModel(config).eval().save_pretrained(tmp_path / "stock")  # it has Conv1D, no Linear
    loaded = from_pretrained(tmp_path / "stock")
    assert not loaded.libortho_report.converted
    loaded.save_pretrained(tmp_path / "sieved")
    assert torch.equal(logits(load(tmp_path / "sieved"), TOKENS), logits(loaded, TOKENS))
    assert torch.equal(logits(load(tmp_path / "stock"), TOKENS), logits(loaded, TOKENS))


def test_without_libortho_it_is_stock(stock):
    model, path = stock
    loaded = from_pretrained(path, use_libortho=False)
    assert type(loaded) is LlamaForCausalLM and not sieved(loaded)
    assert set(vars(loaded)) == set(vars(load(path)))
    assert not hasattr(loaded.config, "quantization_config")
    wanted = load(path).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.state_dict().items())
    assert torch.equal(logits(loaded, TOKENS), logits(model, TOKENS))
    info = from_pretrained(path, use_libortho=False, output_loading_info=True)[1]
    assert not info["missing_keys"]


# ---- written and read again

@pytest.mark.parametrize("size", ["50GB", "40KB"])
def test_round_trip(stock, tmp_path, size, device):
    loaded = from_pretrained(stock[1], density=0.02, device_map=device)
    loaded.save_pretrained(tmp_path / "sieved", max_shard_size=size)
    assert len(list((tmp_path / "sieved").glob("*.safetensors"))) == 1 or size == "40KB"
    keys = {name for name in tensors_of(tmp_path / "sieved") if ".base." in name or ".ortho." in name}
    assert keys == {f"{name}.{part}" for name in sieved(loaded) for part in PARTS}
    for again in (load(tmp_path / "sieved", device_map=device),
                  from_pretrained(tmp_path / "sieved", device_map=device),
                  from_pretrained(tmp_path / "sieved", density=0.02, group=128, rule="outlier",
                                  device_map=device)):
        assert list(sieved(again)) == list(sieved(loaded))
        assert str(again.model.layers[0].mlp.up_proj) == str(loaded.model.layers[0].mlp.up_proj)
        assert torch.equal(logits(again, TOKENS), logits(loaded, TOKENS))
        assert greedy(again, TOKENS) == greedy(loaded, TOKENS)
        assert again.libortho_report.converted == list(sieved(loaded))


def test_saved_again_it_is_the_same_file(stock, tmp_path):
    from_pretrained(stock[1]).save_pretrained(tmp_path / "one")
    load(tmp_path / "one").save_pretrained(tmp_path / "two")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_config_json(stock, tmp_path):
    from_pretrained(stock[1], density=0.02).save_pretrained(tmp_path / "sieved")
    told = json.loads((tmp_path / "sieved/config.json").read_text())["quantization_config"]
    assert told["quant_method"] == "libortho" and told["density"] == 0.02
    assert told["shapes"]["model.layers.1.mlp.down_proj"] == {
        "n": 128, "k": 336, "nnz": int(0.02 * 128 * 336), "group": 128}
    assert len(told["shapes"]) == 14


def test_the_base_model_of_a_causal_one(stock, tmp_path):
    loaded = from_pretrained(stock[1])
    loaded.save_pretrained(tmp_path / "sieved")
    base = AutoModel.from_pretrained(tmp_path / "sieved")
    assert len(sieved(base)) == 14
    with torch.no_grad():
        assert torch.equal(base(TOKENS)[0], loaded.model(TOKENS)[0])
    base.save_pretrained(tmp_path / "base")
    again = load(tmp_path / "base")  # its lm_head is a new one
    with torch.no_grad():
        assert torch.equal(again.model(TOKENS)[0], loaded.model(TOKENS)[0])


def test_copies(stock):
    loaded = from_pretrained(stock[1])
    wanted = logits(loaded, TOKENS)
    assert torch.equal(logits(copy.deepcopy(loaded), TOKENS), wanted)
    file = io.BytesIO()
    torch.save(loaded, file)
    file.seek(0)
    assert torch.equal(logits(torch.load(file, weights_only=False), TOKENS), wanted)
    again = load(stock[1], quantization_config=LibOrthoConfig(density=0.5))
    again.load_state_dict(loaded.state_dict())
    assert torch.equal(logits(again, TOKENS), wanted)


def test_a_model_that_enable_made(stock, tmp_path):
    enabled = libortho.enable(load(stock[1]), density=0.04)
    enabled.save_pretrained(tmp_path / "sieved", max_shard_size="50KB")
    again = load(tmp_path / "sieved")
    assert list(sieved(again)) == list(sieved(enabled))
    assert torch.equal(logits(again, TOKENS), logits(enabled, TOKENS))
    assert again.config.quantization_config.density == 0.04


def test_disable(stock, tmp_path):
    for loaded in (from_pretrained(stock[1]), libortho.enable(load(stock[1]))):
        wanted = logits(loaded, TOKENS)
        libortho.disable(loaded)
        assert not sieved(loaded) and not hasattr(loaded.config, "quantization_config")
        torch.testing.assert_close(logits(loaded, TOKENS), wanted, rtol=1e-5, atol=1e-5)
        loaded.save_pretrained(tmp_path / "dense")
        assert torch.equal(logits(load(tmp_path / "dense"), TOKENS), logits(loaded, TOKENS))
    assert not sieved(from_pretrained(stock[1]).dequantize())


def test_casts(stock):
    for loaded in (from_pretrained(stock[1]), libortho.enable(load(stock[1]))):
        wanted = logits(loaded, TOKENS)
        for dtype, cast in ((torch.float16, "half"), (torch.bfloat16, "bfloat16")):
            changed = getattr(copy.deepcopy(loaded), cast)()
            assert logits(changed, TOKENS).dtype == dtype
            assert all(layer.weight.dtype == dtype for layer in sieved(changed).values())
            assert (logits(changed, TOKENS) - wanted).abs().max() < 0.05 * wanted.abs().max()
            torch.testing.assert_close(logits(changed.float(), TOKENS), wanted, rtol=0.02, atol=0.02)


def test_alpha(stock):
    loaded = from_pretrained(stock[1], density=0.1)
    whole = logits(loaded, TOKENS)
    with libortho.alpha(loaded, 0.0):
        base = logits(loaded, TOKENS)
    assert torch.equal(logits(loaded, TOKENS), whole) and not torch.equal(base, whole)
    loaded.set_alpha(0.0)
    assert torch.equal(logits(loaded, TOKENS), base)


# ---- what Transformers wants to know

def test_quantizer(stock):
    loaded = from_pretrained(stock[1])
    assert loaded.quantization_method == "libortho"
    assert not loaded.hf_quantizer.is_trainable and loaded.hf_quantizer.is_serializable()
    with pytest.raises(RuntimeError, match="can't be trained"):
        loaded(TOKENS, labels=TOKENS).loss.backward()


def test_sizes_for_a_device_map(stock):
    loaded = from_pretrained(stock[1], density=0.05)
    quantizer, name = loaded.hf_quantizer, "model.layers.0.mlp.down_proj"
    model, layer = stock[0], loaded.get_submodule(name)
    quantizer._targets = {name}
    quantizer.validate_environment(device_map="auto")
    weight = model.get_submodule(name).weight
    size = quantizer.param_element_size(model, f"{name}.weight", weight) * weight.numel()
    assert abs(size - layer.nbytes) < 0.03 * layer.nbytes
    quantizer.validate_environment(device_map={"": "cpu"})
    assert quantizer.param_element_size(model, f"{name}.weight", weight) == 0
    assert quantizer.param_element_size(model, "lm_head.weight", model.lm_head.weight) == 4


def test_device_map_of_modules(stock, tmp_path):
    loaded = from_pretrained(stock[1], device_map={"model": "cpu", "lm_head": "cpu"})
    loaded.save_pretrained(tmp_path / "sieved")
    again = from_pretrained(tmp_path / "sieved", device_map="auto")
    torch.testing.assert_close(logits(again, TOKENS).cpu(), logits(loaded, TOKENS), rtol=1e-4,
                               atol=1e-4)
