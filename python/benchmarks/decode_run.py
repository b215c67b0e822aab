"""What decode.py times and how it judges it: the model, one decoding, and its verdict."""

from __future__ import annotations

import gc
import inspect
import pathlib
import sys
import threading
import time

import torch
from torch import nn

import libortho
from libortho import OrthoLinear, _ops

# Llama-3.2-3B's shapes, as its config.json tells them.
LLAMA_3_2_3B = {
    "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
    "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256,
    "tie_word_embeddings": True, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0,
                        "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 8192},
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}

# What a layer's output may lose of the largest output to one rounding to the dtype, as in the tests.
LOSS = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

WARM_STEPS = 3  # before a capture: what a library sets up at its first calls can't be captured


class Refused(Exception):
    """What was asked for can't be done; the message says what to do."""


# ---- the model -----------------------------------------------------------------------------------

def make_llama(layers: int | None, dtype: torch.dtype, device: torch.device, seed: int) -> nn.Module:
    """A random Llama of Llama-3.2-3B's shapes, made on the device.

    A branch's outputs are of size 1 over the root of their number, so that the residual stream stays
    of size 1; the embeddings are small against it, or a tied head would say each token again."""
    from transformers import LlamaConfig, LlamaForCausalLM
    shapes = {**LLAMA_3_2_3B, **({} if layers is None else {"num_hidden_layers": layers})}
    config = LlamaConfig(**shapes, dtype=dtype)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    generator = torch.Generator(device).manual_seed(seed)
    branches = 2 * config.num_hidden_layers
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                continue
            std = parameter.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                std *= branches ** -0.5
            if "embed_tokens" in name:
                std = 0.02
            parameter.normal_(0.0, std, generator=generator)
    return model


def load(folder: str, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A stock checkpoint's model. Refused: no such folder, or one whose weights aren't plain."""
    from transformers import AutoConfig, AutoModelForCausalLM
    if not (pathlib.Path(folder) / "config.json").is_file():
        raise Refused(f"--model {folder}: there is no config.json; name a folder of Transformers")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if getattr(config, "quantization_config", None) is not None:
            raise Refused(f"--model {folder}: its weights are quantised or sieved already; name a "
                          "folder with the stock weights")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise Refused(f"--model {folder}: {error}") from error
    return model.eval().to(device)


def tensor_bytes(model: nn.Module) -> int:
    """Bytes of the model's tensors, each once, and of what libortho holds of it."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.nbytes for t in tensors.values()) + sum(m.nbytes for m in ortho_layers(model).values())


def read_bytes(model: nn.Module) -> int:
    """Bytes of weights that one token needs: all but the embedding, of which it takes a row, unless
    that is the head's as well."""
    inner, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is not None and head.weight is inner.weight
    return tensor_bytes(model) - (0 if tied else inner.weight.nbytes)


def head_bytes(model: nn.Module) -> int:
    """Of the output embeddings, which stay stock."""
    head = model.get_output_embeddings()
    return 0 if head is None else head.weight.nbytes


def ortho_layers(model: nn.Module) -> dict[str, OrthoLinear]:
    return {name: m for name, m in model.named_modules() if isinstance(m, OrthoLinear)}


# ---- decoding ------------------------------------------------------------------------------------

def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Decoder:
    """Greedy decoding of one sequence over a static cache.

    A step reads and writes fixed buffers alone, and nothing of it passes through the CPU: the
    sequence so far, the position that is read next, the cache. So a CUDA graph of one step is the
    step of every token."""

    def __init__(self, model: nn.Module, prompt: torch.Tensor, steps: int) -> None:
        from transformers import StaticCache
        self.model, self.prompt, self.steps = model, prompt, steps
        length = len(prompt) + steps + 1
        longest = getattr(model.config, "max_position_embeddings", length)
        if length > longest:
            raise Refused(f"{length} tokens, but the model knows {longest} positions: lower --tokens")
        self._cache = StaticCache(config=model.config, max_cache_len=length)
        parameters = inspect.signature(model.forward).parameters  # both names were in use since 5.0
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"
        self._wants_position = "cache_position" in parameters
        self._sequence = prompt.new_zeros(length)
        self._position = prompt.new_zeros(1)
        self._graph: torch.cuda.CUDAGraph | None = None

    def _call(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits [vocabulary] after the last of the tokens, which the cache then knows."""
        more = {self._cache_name: self._cache}
        if self._wants_position:
            more["cache_position"] = positions
        out = self.model(input_ids=tokens[None], position_ids=positions[None], use_cache=True,
                         logits_to_keep=1, **more)
        return out.logits[0, -1]

    def _append(self, logits: torch.Tensor) -> None:
        self._position.add_(1)
        self._sequence.index_copy_(0, self._position, logits.argmax(-1, keepdim=True))

    def _step(self) -> None:
        token = self._sequence.index_select(0, self._position)
        self._append(self._call(token, self._position))

    @torch.inference_mode()
    def start(self) -> torch.Tensor:
        """From the beginning: the prompt, and the first token after it. Returns its logits."""
        m = len(self.prompt)
        self._cache.reset()
        self._sequence.zero_()
        self._sequence[:m] = self.prompt
        self._position.fill_(m - 1)
        logits = self._call(self.prompt, torch.arange(m, device=self.prompt.device))
        self._append(logits)
        return logits

    @torch.inference_mode()
    def step(self) -> None:
        self._step()

    @torch.inference_mode()
    def capture(self) -> None:
        """One step as a CUDA graph."""
        self.start()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(min(WARM_STEPS, self.steps)):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        gc.collect()  # a layer freed while capturing would end the capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        self._graph = graph

    @torch.inference_mode()
    def run(self, mode: str) -> float:
        """Seconds of all steps, after the prompt."""
        if mode == "graph":
            assert self._graph is not None
        step = self._graph.replay if mode == "graph" else self._step
        self.start()
        synchronize(self.prompt.device)
        begin = time.perf_counter()
        for _ in range(self.steps):
            step()
        synchronize(self.prompt.device)
        return time.perf_counter() - begin

    def tokens(self) -> list[int]:
        """Those that the last run made."""
        return self._sequence[len(self.prompt):].tolist()


# ---- verdicts ------------------------------------------------------------------------------------

class Wrong(Exception):
    """A result isn't what it must be."""


def dense(layer: OrthoLinear) -> torch.Tensor:
    """Base + alpha * Ortho [n, k], float64 on the layer's device."""
    split = layer.split()
    split = split._replace(col=split.col.to(torch.int64))  # few kernels know unsigned integers
    here = type(split)(*(tensor.to(layer.device) for tensor in split))
    return _ops.dense(here, layer.in_features, layer.group, layer.alpha).double()


def check_layer(name: str, layer: OrthoLinear, x: torch.Tensor, y: torch.Tensor,
                weight: torch.Tensor) -> float:
    """The largest error of y as a share of what is allowed."""
    bias = None if layer.bias is None else layer.bias.double()
    wanted = nn.functional.linear(x.double(), weight, bias)
    if y.shape != wanted.shape:
        raise Wrong(f"{name}: an output of shape {list(y.shape)}, not {list(wanted.shape)}")
    allowed = LOSS[x.dtype] * wanted.abs().max().item()
    error = (y.double() - wanted).abs().max().item()
    if not error <= allowed:
        raise Wrong(f"{name}: an output is off by {error:.3g}, more than {allowed:.3g}, for "
                    f"{x.numel() // x.shape[-1]} tokens at once")
    return error / allowed if allowed else 0.0


def check_layers(decoder: Decoder) -> float:
    """Each libortho layer's outputs for the prompt, and for the token after it, against its dense
    weights over the same activations in float64. The largest error, as a share of what is allowed.

    Raises Wrong. One dense weight is there at a time."""
    layers = ortho_layers(decoder.model)
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in layers}
    hooks = [layer.register_forward_hook(
        lambda _, inputs, y, name=name: seen[name].append((inputs[0].clone(), y.clone())))
        for name, layer in layers.items()]
    try:
        logits = decoder.start()
        decoder.step()
    finally:
        for hook in hooks:
            hook.remove()
    if not logits.isfinite().all():
        raise Wrong("a logit is not finite")
    worst = 0.0
    for name, layer in layers.items():
        if len(seen[name]) < 2:
            raise Wrong(f"{name}: no token went through it, so that it can't be judged")
        weight = dense(layer)
        for x, y in seen.pop(name):
            worst = max(worst, check_layer(name, layer, x, y, weight))
    return worst


def same_tokens(got: list[int], wanted: list[int]) -> None:
    """Raises Wrong where two decodings differ."""
    if got != wanted:
        at = next(i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1])
        raise Wrong(f"token {at + 1} of {len(wanted)} is {got[at]}, but was {wanted[at]} in the "
                    "first eager run")


# ---- memory --------------------------------------------------------------------------------------

class MemoryWatch:
    """What a block of code makes of the GPU's memory. libortho allocates beside PyTorch's
    allocator, so it is the driver that is asked, over and over, from a thread."""

    INTERVAL_S = 0.001

    def __init__(self, device: torch.device) -> None:
        self._device, self._stop = device, threading.Event()
        self.driver_bytes = self.peak_driver_bytes = self.torch_bytes = 0

    def _used(self) -> int:
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free

    def _watch(self) -> None:
        while not self._stop.wait(self.INTERVAL_S):
            self._peak = max(self._peak, self._used())

    def __enter__(self) -> MemoryWatch:
        self._settle()
        self._torch = torch.cuda.memory_allocated(self._device)
        self._begin = self._peak = self._used()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak_driver_bytes = max(self._peak, self._used()) - self._begin
        self._settle()
        self.driver_bytes = self._used() - self._begin
        self.torch_bytes = torch.cuda.memory_allocated(self._device) - self._torch

    def _settle(self) -> None:
        gc.collect()
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()

    def told(self) -> dict[str, int]:
        return {"torch_bytes": self.torch_bytes, "driver_bytes": self.driver_bytes,
                "peak_driver_bytes": self.peak_driver_bytes}


def random_prompt(model: nn.Module, length: int, seed: int, device: torch.device) -> torch.Tensor:
    """Tokens [length], the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    return torch.randint(0, vocabulary, (length,), generator=generator).to(device)


def enabled(model: nn.Module, density: float, options) -> nn.Module:
    """The model with libortho, in place. Refused: there is nothing in it to sieve."""
    libortho.enable(model, density=density, rule=options.rule, group=options.group, progress=sys.stderr.isatty())
    if not model.libortho_report.converted:
        raise Refused("no linear layer of this model can be sieved:\n" + str(model.libortho_report))
    return model
