"""Real weights: SmolLM2-135M-Instruct from the GGUF that scripts/setup puts into the cache.

They were 4-bit already (Q4_1: 32 weights share a scale and an offset), so that what the sieve loses
here says little of models that weren't."""

from __future__ import annotations

import copy
import os
import pathlib

import pytest
import torch
from hf_models import dense_model, dense_of, greedy, logits, sieved, tensors_of
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

import libortho

pytest.importorskip("gguf")
CACHE = pathlib.Path(os.environ.get("ORTHO_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ortho-bench")
FOLDER, FILE = CACHE / "models/smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = ["The capital of France is", "To make bread you need flour,", "def add(a, b):\n"]

pytestmark = pytest.mark.skipif(not (FOLDER / FILE).is_file(), reason="no SmolLM2 in the cache")


@pytest.fixture(scope="module")
def tokens():
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, gguf_file=FILE)
    return [tokenizer(prompt, return_tensors="pt").input_ids for prompt in PROMPTS]


@pytest.fixture(scope="module")
def stock():
    return libortho.from_pretrained(FOLDER, use_libortho=False, gguf_file=FILE)


@pytest.fixture(scope="module")
def ours():
    return libortho.from_pretrained(FOLDER, gguf_file=FILE, density=0.03, group=32)


@pytest.fixture(scope="module")
def folder(ours, tmp_path_factory):
    path = tmp_path_factory.mktemp("smollm")
    ours.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def dense(stock, folder):
    """The fp32 reference: dequantised without libortho."""
    return dense_model(folder, copy.deepcopy(stock))


def test_what_is_sieved(stock, ours, folder):
    assert type(stock.model.layers[3].mlp.up_proj) is nn.Linear
    assert len(sieved(ours)) == 210 and list(ours.libortho_report.kept) == ["lm_head"]
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    kept = sum(tensor.nbytes for name, tensor in tensors_of(folder).items()
               if ".base." in name or ".ortho." in name)
    assert sum(layer.nbytes for layer in sieved(ours).values()) <= 1.05 * kept


def test_logits_within_the_quantisations_own_error(stock, ours, dense, tokens):
    for prompt in tokens:
        original, wanted, got = (logits(model, prompt) for model in (stock, dense, ours))
        lost = (wanted - original).abs().max()
        assert lost > 0.01 * original.abs().max()  # it was sieved
        assert (got - wanted).abs().max() < 1e-3 * lost


def test_the_same_text(ours, dense, tokens):
    for prompt in tokens:
        assert greedy(ours, prompt, 16) == greedy(dense, prompt, 16)


def test_alpha_0_is_base_alone(ours, folder, dense, tokens):
    tensors, base = tensors_of(folder), copy.deepcopy(dense)
    for name, layer in sieved(ours).items():
        tensors[f"{name}.ortho.val"].zero_()
        w = dense_of(tensors, name, layer.in_features, layer.group)
        base.get_submodule(name).weight.data.copy_(w)
    with libortho.alpha(ours, 0.0):
        got = logits(ours, tokens[0])
    wanted = logits(base, tokens[0])
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert (got - logits(dense, tokens[0])).abs().max() > 1e-2 * wanted.abs().max()


def test_loaded_again(ours, folder, tokens):
    again = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(logits(again, tokens[0]), logits(ours, tokens[0]))
    assert greedy(again, tokens[0], 4) == greedy(ours, tokens[0], 4)
