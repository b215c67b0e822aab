"""What the tests share: the device to run on, a tiny Llama, and the dense weights of a layer."""

from __future__ import annotations

import pytest
import torch

import libortho
from libortho import _ops


def _serves_cuda() -> bool:
    """Whether there is a GPU, and this libortho.so was built for it."""
    if not torch.cuda.is_available():
        return False
    try:
        libortho.LayerHandle.sieve(torch.ones(32, 256, device="cuda"))
    except libortho.LibOrthoError:
        return False
    return True


DEVICES = ["cpu"] + (["cuda"] if _serves_cuda() else [])


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def tiny_llama(tied: bool = False, dtype: torch.dtype = torch.float32, **changes):
    """A random LlamaForCausalLM of 2 layers, in eval mode."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(**{
        "vocab_size": 320, "hidden_size": 128, "intermediate_size": 336, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "tie_word_embeddings": tied, "bos_token_id": 1, "eos_token_id": None, "pad_token_id": 0,
        **changes})
    return LlamaForCausalLM(config).to(dtype).eval()


@pytest.fixture
def llama(device):
    return tiny_llama().to(device)


def dense(layer: libortho.OrthoLinear, alpha: float = 1.0,
          dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Base + alpha * Ortho [n, k] of a layer, on its device."""
    w = _ops.dense(layer.split(), layer.in_features, layer.group, alpha)
    return w.to(layer.device, dtype)
