"""Models built empty, by accelerate's init_empty_weights, whose libortho layers are loaded later."""

from __future__ import annotations

import pytest
import torch
from accelerate import init_empty_weights
from conftest import tiny_llama
from test_model import ids, logits
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

import libortho
from libortho import OrthoLinear


def empty_like(source: nn.Module, buffers: bool) -> nn.Module:
    """The source's modules without their weights: its OrthoLinears as the constructor makes them."""
    with init_empty_weights(include_buffers=buffers):
        model = tiny_llama()
        for name, module in source.named_modules():
            if isinstance(module, OrthoLinear):
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, OrthoLinear(
                    module.in_features, module.out_features, bias=module.bias is not None))
    return model


def test_a_state_dict_is_assigned():
    source = libortho.enable(tiny_llama(), density=0.05)
    model = empty_like(source, buffers=False)
    layers = [m for m in model.modules() if isinstance(m, OrthoLinear)]
    assert len(layers) == 14 and all(p.is_meta for p in model.parameters())
    assert all(t.is_meta for layer in layers for t in layer.state_dict().values())
    with pytest.raises(RuntimeError, match="no weights yet"):
        layers[0](torch.randn(1, layers[0].in_features))
    missing, unexpected = model.load_state_dict(source.state_dict(), assign=True)
    assert missing == unexpected == []
    assert all(layer.device.type == "cpu" and list(layer.buffers()) == [] for layer in layers)
    tokens = ids("cpu")
    assert torch.equal(logits(model, tokens), logits(source, tokens))


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer(buffers, bias):
    source = OrthoLinear.from_linear(nn.Linear(300, 96, bias=bias), density=0.05)
    with init_empty_weights(include_buffers=buffers):
        o = OrthoLinear(300, 96, bias=bias)
    assert all(t.is_meta for t in o.state_dict().values()) and o.device.type == "meta"
    o.load_state_dict(source.state_dict(), assign=True)
    x = torch.randn(2, 300)
    assert torch.equal(o(x), source(x)) and o.device.type == "cpu"


def test_what_is_empty_is_not_sieved():
    with init_empty_weights():
        model = tiny_llama()
    libortho.enable(model)
    assert model.libortho_report.converted == []
    assert "meta device" in model.libortho_report.kept["model.layers.0.mlp.up_proj"]


def test_a_folder_is_loaded_beside_an_empty_model(tmp_path):
    """What Transformers' users do to plan a device_map: an empty model first, then the real one."""
    source = libortho.enable(tiny_llama(), density=0.05)
    source.save_pretrained(tmp_path)
    with init_empty_weights():
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    assert all(p.is_meta for p in empty.parameters())
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = ids("cpu")
    assert torch.equal(logits(model, tokens), logits(source, tokens))
    empty.load_state_dict(libortho.disable(model).state_dict(), assign=True)
    assert torch.equal(logits(empty, tokens), logits(model, tokens))


def test_a_folder_is_loaded_empty(tmp_path):
    """from_pretrained within the context leaves parameters on meta, as with a stock folder; a sieved
    layer's weights are buffers, which this context loads."""
    source = libortho.enable(tiny_llama(), density=0.05)
    source.save_pretrained(tmp_path)
    with init_empty_weights():
        model = AutoModelForCausalLM.from_pretrained(tmp_path)
    layers = [m for m in model.modules() if isinstance(m, OrthoLinear)]
    assert len(layers) == 14 and all(p.is_meta for p in model.parameters())
    assert not any(t.is_meta for layer in layers for t in layer.state_dict().values())
    model.load_state_dict(source.state_dict(), assign=True)
    tokens = ids("cpu")
    assert torch.equal(logits(model, tokens), logits(source, tokens))
