"""enable, disable and alpha on whole models: nobody's code breaks."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import pathlib
import subprocess
import sys
import weakref

import pytest
import torch
from conftest import dense, tiny_llama
from torch import nn

import libortho
from libortho import OrthoLinear

PER_LAYER = 7  # of a Llama


def ids(device, *shape):
    return torch.randint(2, 320, shape or (2, 9), device=device)


def logits(model, tokens):
    with torch.no_grad():
        return model(tokens).logits


def densified(model):
    """The same model with stock Linears over Base + Ortho in fp32."""
    return libortho.disable(copy.deepcopy(model).float())


def test_false_touches_nothing(llama, device):
    tokens = ids(device)
    before = (dict(llama.named_modules()), dict(llama.named_parameters()), dict(llama.__dict__))
    wanted = logits(llama, tokens)
    values = {name: p.clone() for name, p in llama.named_parameters()}
    assert libortho.enable(llama, use_libortho=False, density=7, rule="none") is llama
    assert before[2] == llama.__dict__
    for old, new in zip(before[:2], (llama.named_modules(), llama.named_parameters())):
        new = dict(new)
        assert list(old) == list(new) and all(old[name] is new[name] for name in old)
    assert all(torch.equal(p, values[name]) for name, p in llama.named_parameters())
    assert torch.equal(logits(llama, tokens), wanted)


@pytest.mark.parametrize("dtype, loss", [(torch.float32, 1e-5), (torch.float16, 5e-3),
                                         (torch.bfloat16, 4e-2)])
def test_logits(device, dtype, loss):
    model = libortho.enable(tiny_llama(dtype=dtype).to(device), density=0.05)
    tokens = ids(device)
    got, wanted = logits(model, tokens), logits(densified(model), tokens)
    assert got.dtype == dtype
    assert (got.float() - wanted).norm() <= loss * wanted.norm()


def test_sieved_weights_are_close(llama, device):
    tokens = ids(device)
    stock = logits(llama, tokens)
    got = logits(libortho.enable(llama, density=0.05), tokens)
    assert 1e-4 < (got - stock).norm() / stock.norm() < 0.2


def test_greedy_text(llama, device):
    libortho.enable(llama, density=0.02)
    reference, tokens = densified(llama), ids(device, 2, 5)
    wanted = reference.generate(tokens, max_new_tokens=16, do_sample=False)
    got = llama.generate(tokens, max_new_tokens=16, do_sample=False)
    for row in range(len(got)):
        differ = (got[row] != wanted[row]).nonzero()
        if len(differ):  # only where the reference's own two best are a tie
            at = int(differ[0])
            best = logits(reference, wanted[row:row + 1, :at])[0, -1].topk(2).values
            assert best[0] - best[1] < 1e-4


def test_names_and_order(llama):
    before = [name for name, _ in llama.named_modules()]
    libortho.enable(llama)
    new = {f"{name}.{part}" for name in llama.libortho_report.converted for part in ("base", "ortho")}
    assert [name for name, _ in llama.named_modules() if name not in new] == before
    assert len(llama.libortho_report.converted) == 2 * PER_LAYER
    attention = llama.model.layers[0].self_attn
    assert isinstance(attention.q_proj, OrthoLinear) and attention.q_proj.weight.shape == (128, 128)
    assert not any(module.training for module in llama.modules())


def test_report(llama):
    libortho.enable(llama)
    report = llama.libortho_report
    layers = [m for m in llama.modules() if isinstance(m, OrthoLinear)]
    assert report.kept == {"lm_head": "skipped by name"}
    assert report.bytes_after == sum(layer.nbytes for layer in layers)
    assert report.bytes_before == sum(4 * m.in_features * m.out_features for m in layers)
    # On a GPU rows are padded to 128 columns: these have 64 to 192.
    assert report.bytes_after < report.bytes_before / (4 if layers[0].device.type == "cuda" else 5)
    assert "14 linear layers converted, 1 kept" in repr(report) and "lm_head: skipped" in str(report)


def test_bytes_held():
    model = libortho.enable(tiny_llama(hidden_size=512, intermediate_size=1536), density=0.01)
    layers = [m for m in model.modules() if isinstance(m, OrthoLinear)]
    assert sum(m.nbytes for m in layers) <= 1.05 * sum(t.nbytes for m in layers for t in m.split())


def test_weights_are_let_go():
    model = nn.Sequential(nn.Linear(256, 128), nn.Linear(128, 64))
    seen, alive = [weakref.ref(m.weight) for m in model], []
    gc.disable()
    try:
        libortho.enable(model, progress=lambda *_: alive.append([r() is not None for r in seen]))
    finally:
        gc.enable()
    assert alive == [[False, True], [False, False]]


@pytest.mark.parametrize("choice, converted", [
    ({"modules": r"\.q_proj$"}, ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]),
    ({"modules": ["model.layers.1.mlp.up_proj"]}, ["model.layers.1.mlp.up_proj"]),
    ({"modules": "proj", "skip": ("layers.0", "mlp", "self_attn.q_proj", "k_proj", "v_proj")},
     ["model.layers.1.self_attn.o_proj"]),
    ({"modules": "lm_head", "skip": ()}, ["lm_head"]), ({"modules": "nothing"}, []),
])
def test_selection(choice, converted):
    model = libortho.enable(tiny_llama(), **choice)
    assert model.libortho_report.converted == converted
    assert len(model.libortho_report.kept) == 2 * PER_LAYER + 1 - len(converted)


def test_tied_head_is_untouched(device):
    model = tiny_llama(tied=True).to(device)
    head = model.lm_head
    libortho.enable(model, skip=())
    assert model.lm_head is head and head.weight is model.model.embed_tokens.weight
    assert "tied" in model.libortho_report.kept["lm_head"]
    assert len(model.libortho_report.converted) == 2 * PER_LAYER


class Special(nn.Linear):
    pass


def odd_ones():
    """Linears that must stay, each with a word of the reason."""
    half = nn.Linear(64, 64)
    masked = nn.utils.prune.random_unstructured(nn.Linear(64, 64), "weight", 0.5)
    hooked, patched, saved = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
    hooked.weight.register_hook(lambda gradient: gradient)
    patched.forward = lambda x: x
    saved.register_state_dict_post_hook(lambda *_: None)
    compiled, shared, nan = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
    compiled.compile()
    shared.weight = half.weight
    nan.weight.data[5, 7] = float("nan")
    return {
        "special": (Special(64, 64), "Special"), "lazy": (nn.LazyLinear(8), "LazyLinear"),
        "twin": (half, "tied"), "shared": (shared, "tied"), "masked": (masked, "parameters"),
        "normed": (nn.utils.weight_norm(nn.Linear(64, 64)), "parameters"),
        "parametrized": (nn.utils.parametrizations.orthogonal(nn.Linear(64, 64)), "Parametrized"),
        "wide": (nn.Linear(64, 64).double(), "float64"), "thin": (nn.Linear(1, 64).half(), "small"),
        "hooked": (hooked, "hooks"), "patched": (patched, "forward"), "saved": (saved, "state_dict"),
        "compiled": (compiled, "compiled"), "meta": (nn.Linear(64, 64, device="meta"), "meta"),
        "nan": (nan, "row 5, column 7"), "none": (nn.Linear(64, 0), "small"),
    }


@pytest.mark.filterwarnings("ignore")
def test_unsupported_layers_stay():
    import torch.nn.utils.prune
    odd = odd_ones()
    model = nn.ModuleDict({name: module for name, (module, _) in odd.items()})
    model["good"] = nn.Linear(64, 64)
    model["attention"] = nn.MultiheadAttention(64, 4)
    libortho.enable(model)
    for name, (module, word) in odd.items():
        assert model[name] is module
        assert word in model.libortho_report.kept.pop(name), name
    assert model.libortho_report.converted == ["good"]
    assert list(model.libortho_report.kept) == ["attention.out_proj"]


def test_the_model_itself_is_a_linear():
    linear = nn.Linear(64, 64)
    assert libortho.enable(linear) is linear and "from_linear" in linear.libortho_report.kept[""]


def test_one_module_in_two_places():
    model = nn.ModuleDict({"a": nn.Linear(64, 64), "b": nn.ModuleList()})
    model["b"].append(model["a"])
    libortho.enable(model)
    assert isinstance(model["a"], OrthoLinear) and model["b"][0] is model["a"]
    libortho.disable(model)
    assert type(model["a"]) is nn.Linear and model["b"][0] is model["a"]


def test_a_fused_encoder_layer():
    """nn.TransformerEncoderLayer's fast path reads weights, not modules."""
    model = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    libortho.enable(model)
    assert "linear1" in model.libortho_report.converted
    x = torch.randn(2, 5, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), densified(model)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options, words", [({"density": 1.5}, "density"), ({"rule": "best"}, "rule"),
                                            ({"group": 17}, "group"), ({"activations": "x"}, "act"),
                                            ({"hessian": {"nobody": torch.ones(3)}}, "none of the")])
def test_refused_before_anything_is_touched(options, words):
    model = tiny_llama()
    before = dict(model.named_modules())
    with pytest.raises(ValueError, match=words):
        libortho.enable(model, **options)
    assert dict(model.named_modules()) == before and not hasattr(model, "set_alpha")


def test_hessian(tmp_path):
    from safetensors.torch import save_file
    heavy = torch.ones(128)
    heavy[3] = 1e8
    name = "model.layers.0.self_attn.q_proj"
    save_file({name + ".weight": heavy}, tmp_path / "h.safetensors")
    source = tiny_llama()
    splits = [libortho.enable(copy.deepcopy(source), hessian=hessian, rule="residual",
                              density=0.01).get_submodule(name).split()
              for hessian in ({name: heavy}, tmp_path / "h.safetensors", None)]
    assert torch.equal(splits[0].val, splits[1].val)
    counts = [(split.col.to(torch.int64) == 3).sum() for split in splits]
    assert counts[0] == counts[1] > 60 > counts[2]


def test_hooks(device):
    model, calls = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 16)).to(device), []
    model[0].note = "mine"
    before = model[0].register_forward_pre_hook(lambda m, x: calls.append(("pre", type(m))))
    model[0].register_forward_hook(lambda m, x, y, **k: calls.append("post"))
    model[0].register_forward_hook(lambda m, x, kw, y: y * 0, with_kwargs=True)
    libortho.enable(model)
    x = torch.randn(3, 64, device=device)
    assert torch.equal(model(x), model[1](torch.zeros(3, 32, device=device)))
    assert calls == [("pre", OrthoLinear), "post"] and model[0].note == "mine"
    before.remove()
    model(x)
    assert calls[2:] == ["post"]
    libortho.disable(model)
    model(x)
    assert calls[3:] == ["post"] and model[0].note == "mine"


def test_accelerate_hooks():
    accelerate = pytest.importorskip("accelerate")
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64))
    accelerate.dispatch_model(model, {"0": "cpu", "1": "cpu", "2": "cpu"}, force_hooks=True)
    hooks = [m._hf_hook for m in model]
    libortho.enable(model)
    assert model.libortho_report.kept == {} and [m._hf_hook for m in model] == hooks
    x = torch.randn(3, 64)
    got = model(x)
    torch.testing.assert_close(got, libortho.disable(model)(x), rtol=1e-4, atol=1e-5)
    assert [m._hf_hook for m in model] == hooks


def test_alpha(llama, device):
    libortho.enable(llama, density=0.05)
    tokens, layers = ids(device), [m for m in llama.modules() if isinstance(m, OrthoLinear)]
    dual = logits(llama, tokens)
    layers[3].alpha = 0.5
    with libortho.alpha(llama, 0.0) as model:
        assert model is llama and {layer.alpha for layer in layers} == {0.0}
        base = logits(llama, tokens)
    assert [layer.alpha for layer in layers] == [1.0] * 3 + [0.5] + [1.0] * 10
    with pytest.raises(ZeroDivisionError), libortho.alpha(llama, 0.0):
        raise ZeroDivisionError
    assert layers[0].alpha == 1.0 and layers[3].alpha == 0.5
    llama.set_alpha(1.0)
    assert torch.equal(logits(llama, tokens), dual)
    reference = densified(llama)
    for name, layer in libortho.model.layers(llama):
        reference.get_submodule(name).weight.data.copy_(dense(layer, 0.0))
    torch.testing.assert_close(base, logits(reference, tokens), rtol=1e-4, atol=1e-4)
    assert (base - dual).abs().max() > 1e-4
    with pytest.raises(ValueError, match="finite"):
        llama.set_alpha(float("inf"))


def test_set_alpha_follows_its_model(llama, device):
    libortho.enable(llama)
    stream = io.BytesIO()
    torch.save(llama, stream)
    stream.seek(0)
    for other in (copy.deepcopy(llama), torch.load(stream, weights_only=False)):
        other.set_alpha(0.0)
        assert other.model.layers[0].mlp.up_proj.alpha == 0.0
        assert llama.model.layers[0].mlp.up_proj.alpha == 1.0
        assert repr(other.libortho_report) == repr(llama.libortho_report)
        other.set_alpha(1.0)
        assert torch.equal(logits(other, tokens := ids(device)), logits(llama, tokens))
    gone = weakref.ref(llama.model.layers[0])
    orphan = copy.deepcopy(llama).set_alpha
    gc.collect()
    with pytest.raises(RuntimeError, match="gone"):
        orphan(0.0)
    assert gone() is not None


def test_a_models_own_set_alpha_stays():
    class Mine(nn.Sequential):
        def set_alpha(self, a):
            return "mine"

    model = libortho.disable(libortho.enable(Mine(nn.Linear(64, 64))))
    assert model.set_alpha(1) == "mine" and not hasattr(model, "libortho_report")


def test_state_dict(llama, device):
    libortho.enable(llama, density=0.03, group=64)
    state, tokens = llama.state_dict(), ids(device)
    other = libortho.enable(tiny_llama().to(device))
    other.load_state_dict(state)
    assert torch.equal(logits(other, tokens), logits(llama, tokens))
    again = other.state_dict()
    assert list(again) == list(state)
    assert all(again[k].dtype == v.dtype and torch.equal(again[k].cpu().float(), v.cpu().float())
               for k, v in state.items())
    assert "model.layers.1.mlp.down_proj.ortho.row_ptr" in state


def test_disable_gives_sieved_weights(llama, device):
    libortho.enable(llama, density=0.05)
    tokens, names = ids(device), [n for n, _ in llama.named_modules() if not n.endswith(
        (".base", ".ortho"))]
    wanted, w = logits(llama, tokens), dense(llama.model.layers[0].mlp.up_proj, dtype=torch.float32)
    assert libortho.disable(llama) is llama
    assert [name for name, _ in llama.named_modules()] == names
    assert torch.equal(llama.model.layers[0].mlp.up_proj.weight, w) and "set_alpha" not in vars(llama)
    torch.testing.assert_close(logits(llama, tokens), wanted, rtol=1e-4, atol=1e-4)
    llama(tokens, labels=tokens).loss.backward()
    assert llama.model.layers[0].mlp.up_proj.weight.grad is not None


def test_disable_gives_the_original(llama, device):
    tokens = ids(device)
    wanted, state = logits(llama, tokens), {k: v.clone() for k, v in llama.state_dict().items()}
    before = dict(llama.named_modules())
    libortho.enable(llama, keep_original=True)
    copied = copy.deepcopy(llama)
    assert set(llama.state_dict()) != set(state) and len(list(llama.parameters())) == 7
    libortho.disable(llama)
    assert dict(llama.named_modules()) == before
    assert all(torch.equal(v, state[k]) for k, v in llama.state_dict().items())
    assert torch.equal(logits(llama, tokens), wanted)
    libortho.disable(copied.bfloat16())
    assert all(torch.equal(v, state[k].bfloat16()) for k, v in copied.state_dict().items())


def test_loaded_weights_have_no_original():
    model = libortho.enable(nn.Sequential(nn.Linear(64, 64)), keep_original=True)
    model.load_state_dict(libortho.enable(nn.Sequential(nn.Linear(64, 64))).state_dict())
    w = dense(model[0], dtype=torch.float32)
    assert torch.equal(libortho.disable(model)[0].weight, w)


def test_enable_twice():
    model = libortho.enable(tiny_llama(), modules="layers.0")
    first = model.model.layers[0].mlp.up_proj
    libortho.enable(model)
    assert model.model.layers[0].mlp.up_proj is first
    assert len(model.libortho_report.converted) == 2 * PER_LAYER
    assert model.libortho_report.kept == {"lm_head": "skipped by name"}


def test_training_is_refused(llama, device):
    libortho.enable(llama).train()
    tokens = ids(device)
    loss = llama(tokens, labels=tokens).loss
    with pytest.raises(RuntimeError, match="can't be trained"):
        loss.backward()


def test_dtype_moves(llama, device):
    libortho.enable(llama, density=0.05)
    assert llama.to(torch.bfloat16).dtype == torch.bfloat16
    assert llama.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert logits(llama, ids(device)).dtype == torch.bfloat16


def compiled(model, tokens):
    """The model in one graph, after its first call. Skips where PyTorch can't with the stock one."""
    stock, graph = libortho.disable(copy.deepcopy(model)), torch.compile(model, fullgraph=True)
    try:
        graph(tokens)
    except torch._dynamo.exc.Unsupported as error:
        with contextlib.suppress(torch._dynamo.exc.Unsupported):
            torch.compile(stock, fullgraph=True)(tokens)
            raise error
        pytest.skip("this PyTorch can't compile this Transformers' stock model in one graph")
    return graph


@pytest.mark.parametrize("grad", [False, True])
def test_compile(llama, device, grad):
    libortho.enable(llama, density=0.05)
    tokens, counters = ids(device), torch._dynamo.utils.counters["stats"]
    with torch.set_grad_enabled(grad):
        graph = compiled(llama, tokens)
        torch.testing.assert_close(graph(tokens).logits, llama(tokens).logits, rtol=1e-4, atol=1e-5)
        graphs = counters["unique_graphs"]
        with libortho.alpha(llama, 0.0):
            base = llama(tokens).logits
            torch.testing.assert_close(graph(tokens).logits, base, rtol=1e-4, atol=1e-5)
        assert counters["unique_graphs"] == graphs  # alpha recompiles nothing
        assert (llama(tokens).logits - base).abs().max() > 1e-3


def test_autocast(llama, device):
    libortho.enable(llama)
    with torch.autocast(device, dtype=torch.bfloat16):
        got = llama(ids(device)).logits
    assert got.dtype == torch.bfloat16 and got.isfinite().all()


def test_progress(capsys):
    libortho.enable(tiny_llama(), progress=True, modules="layers.0")
    assert "7/7 model.layers.0.mlp.down_proj\n" in capsys.readouterr().err


@pytest.mark.parametrize("hidden, layers", [(576, 30), (1536, 4)])
def test_peak_memory(hidden, layers):
    """Converting holds no more than the model and one layer twice, and then what it has to."""
    script = pathlib.Path(__file__).with_name("peak.py")
    done = subprocess.run([sys.executable, script, str(hidden), str(layers)], capture_output=True,
                          text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
