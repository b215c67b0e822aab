"""What loading takes: never more than one layer twice, and once it is loaded each weight once.

Each way of loading runs in a process of its own, which measures its private memory (RssAnon): pages
of the checkpoint that are mapped are the kernel's, to drop as it likes. Stock Transformers leaves
weights there as long as their dtype stays: what it holds itself shows where the dtype changes."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
import torch
from hf_models import make_artifact, tensors_of
from transformers import LlamaConfig, LlamaForCausalLM

MB = 1e6
# What a process takes beside weights, and gives back or not as malloc sees fit: the sieve's scratch,
# buffers of safetensors, code that is imported at the first layer.
SLACK = 12 * MB

WORKER = pathlib.Path(__file__).with_name("hf_memory_worker.py")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """300 MB in bf16, in shards: 84 linear layers, the largest of 5.8 MB."""
    folder = tmp_path_factory.mktemp("memory")
    config = LlamaConfig(vocab_size=4096, hidden_size=1024, intermediate_size=2816,
                         num_hidden_layers=12, num_attention_heads=16, num_key_value_heads=8,
                         dtype="bfloat16")
    torch.manual_seed(1)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / "stock",
                                                                max_shard_size="100MB")
    return folder / "stock"


def measure(folder, dtype, use_libortho=True, out="-"):
    run = subprocess.run([sys.executable, WORKER, folder, dtype, str(int(use_libortho)), out],
                         stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(run.stdout)
    print({key: round(value / MB, 1) for key, value in told.items()})
    return told


def linear_bytes(folder):
    return sum(t.nbytes for name, t in tensors_of(folder).items() if ".base." in name or ".ortho." in name)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_sieving_while_loading(checkpoint, tmp_path, dtype):
    stock = measure(checkpoint, dtype, use_libortho=False)
    ours = measure(checkpoint, dtype, out=str(tmp_path / "sieved"))
    # A layer twice: the weight as it arrives, and the handle in the making
    largest = ours["largest"]
    held = ours["layers"] + ours["rest"]
    assert ours["layers"] <= 1.05 * linear_bytes(tmp_path / "sieved")
    assert ours["peak"] <= held + 2 * largest + SLACK
    assert ours["after"] <= held + SLACK
    assert held < 0.4 * stock["rest"]
    if dtype == "float32":
        assert ours["peak"] < 0.5 * stock["peak"]


def test_loading_what_is_sieved(checkpoint, tmp_path):
    artifact = make_artifact(checkpoint, tmp_path / "artifact")
    ours = measure(artifact, "bfloat16")
    held = ours["layers"] + ours["rest"]
    assert ours["layers"] <= 1.05 * linear_bytes(artifact)
    assert ours["peak"] <= held + 2 * ours["largest"] + SLACK
