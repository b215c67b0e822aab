"""OrthoLinear: the product, what it says of its weight, and that it moves, copies and saves."""

from __future__ import annotations

import copy
import gc
import io
import threading
import time
import warnings

import pytest
import torch
from conftest import DEVICES, dense
from torch import nn
from torch.nn.functional import linear as stock

from libortho import LayerHandle, OrthoLinear

NEEDS_CUDA = pytest.mark.skipif("cuda" not in DEVICES, reason="no GPU, or a libortho.so without CUDA")

# What one rounding to the dtype, and a second where a bias is added, may lose of the largest output.
LOSS = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def layer(k=300, n=96, bias=True, device="cpu", dtype=torch.float32, **options):
    linear = nn.Linear(k, n, bias=bias, device=device, dtype=dtype)
    return OrthoLinear.from_linear(linear, **{"density": 0.05, **options})


def assert_product(o, x, y):
    wanted = stock(x.double(), dense(o), None if o.bias is None else o.bias.double())
    assert y.dtype == x.dtype and y.shape == wanted.shape and y.device == x.device
    if y.numel():
        assert (y.double() - wanted).abs().max() <= LOSS[x.dtype] * wanted.abs().max().clamp(min=1)


@pytest.mark.parametrize("dtype", LOSS)
@pytest.mark.parametrize("shape", [(300,), (1, 300), (2, 3, 300), (5, 1, 2, 300), (70, 300), (0, 300),
                                   (3, 0, 300)])
@pytest.mark.parametrize("bias", [True, False])
def test_forward(device, dtype, shape, bias):
    o = layer(bias=bias, device=device, dtype=dtype)
    x = torch.randn(shape, device=device, dtype=dtype)
    before = x.clone()
    y = o(x)
    assert torch.equal(x, before)
    assert_product(o, x, y)


@pytest.mark.parametrize("k, n, group", [(65, 96, 128), (128, 1, 32), (1024, 64, 0), (77, 33, 64)])
def test_sizes(device, k, n, group):
    o = layer(k, n, device=device, group=group)
    assert_product(o, *[(x := torch.randn(4, k, device=device)), o(x)])


def test_not_contiguous(device):
    o = layer(device=device)
    for x in (torch.randn(300, 6, device=device).T, torch.randn(4, 600, device=device)[:, ::2],
              torch.randn(4, 400, device=device)[:, 50:350], torch.randn(3, 4, 300, device=device)
              .transpose(0, 1), torch.randn(1, 300, device=device).expand(5, 300),
              torch.randn(1301, device=device)[1:1201].view(4, 300)):
        assert_product(o, x, o(x))


def test_outputs_are_fresh(device):
    o, x = layer(bias=False, device=device), torch.randn(2, 300, device=device)
    first = o(x)
    kept = first.clone()
    assert o(-x).data_ptr() != first.data_ptr() and torch.equal(first, kept)


@pytest.mark.parametrize("x, error, words", [
    (torch.randn(2, 300, dtype=torch.float64), TypeError, "float64"),
    (torch.ones(2, 300, dtype=torch.int64), TypeError, "int64"),
    (torch.randn(2, 299), RuntimeError, "300 inputs"), (torch.randn(()), RuntimeError, "300 inputs"),
])
def test_refused(device, x, error, words):
    with pytest.raises(error, match=words):
        layer(device=device)(x.to(device))


@NEEDS_CUDA
def test_other_device():
    with pytest.raises(RuntimeError, match="x is on cuda:0"):
        layer()(torch.randn(2, 300, device="cuda"))


@pytest.mark.parametrize("shape, n", [((2, 299), 96), ((2, 600), 96), ((2, 300), 97), ((), 96)])
def test_op_refuses_what_is_no_x_of_the_layer(device, shape, n):
    o = layer(device=device)
    with pytest.raises(RuntimeError, match="300 inputs and 96 outputs"):
        torch.ops.libortho.linear(torch.zeros(shape, device=device), o.settle().key, n)


def test_int8():
    o = layer(activations="int8")
    x = torch.randn(4, 300)
    step = x.abs().max() / 127
    error = (o(x) - stock(x, dense(o, dtype=torch.float32), o.bias)).abs()
    assert 0 < error.max() <= step / 2 * dense(o, 0.0, torch.float32).abs().sum(1).max() + 1e-5


def test_alpha(device):
    o, x = layer(device=device, bias=False), torch.randn(3, 300, device=device)
    for alpha in (0.0, 0.5, 1.0):
        o.alpha = alpha
        torch.testing.assert_close(o(x).double(), stock(x.double(), dense(o, alpha)), rtol=1e-5,
                                   atol=1e-5)
    assert (dense(o, 0.0) - dense(o)).abs().max() > 1e-3
    with pytest.raises(ValueError, match="finite"):
        o.alpha = float("nan")
    assert o.alpha == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(device, dtype):
    linear = nn.Linear(300, 96, device=device)
    o, x = OrthoLinear.from_linear(linear, 0.05), torch.randn(3, 300, device=device)
    with torch.autocast(device, dtype=dtype):
        assert linear(x).dtype == o(x).dtype == dtype
        assert_product(o, x.to(dtype), o(x))
        with torch.autocast(device, enabled=False):
            assert o(x).dtype == torch.float32
    assert o(x).dtype == torch.float32


def test_weight(device):
    o = layer(device=device, dtype=torch.bfloat16)
    w = o.weight
    assert (w.shape, w.dtype, w.device.type) == ((96, 300), torch.bfloat16, device)
    assert not w.requires_grad and w.numel() == 96 * 300 and w.ndim == 2 and "LinearWeight" in repr(w)
    wanted = dense(o, dtype=torch.bfloat16)
    x = torch.randn(2, 300, device=device, dtype=torch.bfloat16)
    for got, want in ((w + 0, wanted), (w.T, wanted.T), (w[3], wanted[3]), (w.detach() * 1, wanted),
                      (w.float(), wanted.float()), (w.data.clone(), wanted), (w.abs().max(),
                      wanted.abs().max()), (stock(x, w), stock(x, wanted)),
                      (copy.deepcopy(w), wanted), (torch.cat([w, w]), torch.cat([wanted, wanted]))):
        assert torch.equal(got, want)
    assert torch.equal(w.to("cpu"), wanted.cpu())
    for change in (lambda: w.zero_(), lambda: w.data.mul_(2), lambda: w.__setitem__(0, 1.0),
                   lambda: torch.add(wanted, 1, out=w)):
        with pytest.raises(RuntimeError):
            change()
    assert torch.equal(o.weight + 0, wanted)


def test_training_is_refused(device):
    o = layer(device=device).train()
    x = torch.randn(2, 300, device=device, requires_grad=True)
    y = o(x)
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="can't be trained"):
        y.sum().backward()
    assert x.grad is None
    y = torch.compile(o)(x)
    with pytest.raises(RuntimeError, match="can't be trained"):
        y.sum().backward()
    assert not layer(bias=False, device=device)(x.detach()).requires_grad


def test_bias_is_the_same_parameter(device):
    linear = nn.Linear(300, 96, device=device)
    o = OrthoLinear.from_linear(linear)
    assert o.bias is linear.bias and [name for name, _ in o.named_parameters()] == ["bias"]
    o(torch.randn(2, 300, device=device)).sum().backward()
    assert torch.equal(o.bias.grad, torch.full((96,), 2.0, device=device))


def test_opcheck(device):
    o = layer(device=device)
    for x in (torch.randn(2, 3, 300, device=device), torch.randn(4, 600, device=device)[:, ::2],
              torch.randn(0, 300, device=device), torch.randn(300, device=device).half()):
        torch.library.opcheck(torch.ops.libortho.linear.default, (x, o.settle().key, 96))
    marker = torch.empty(0, device=device)
    torch.library.opcheck(torch.ops.libortho.dequantize.default, (marker, o.settle().key, 96, 300))


def test_compile(device):
    torch._dynamo.reset()  # what other tests compiled of forward() counts towards PyTorch's limit
    o = layer(device=device)
    compiled = torch.compile(o, fullgraph=True)
    for x in (torch.randn(2, 300, device=device), torch.randn(7, 300, device=device),
              torch.randn(300, 5, device=device).T, torch.randn(2, 300, device=device).half()):
        torch.testing.assert_close(compiled(x), o(x))
    x = torch.randn(2, 300, device=device)
    o.alpha = 0.0
    torch.testing.assert_close(compiled(x), o(x))
    asks = torch.compile(lambda x: o(x.to(o.weight.dtype)) + stock(x, o.weight), fullgraph=True)
    torch.testing.assert_close(asks(x), o(x) + stock(x, o.weight), rtol=1e-4, atol=1e-5)


def test_weights_are_held_once(device):
    o = layer(4096, 512, device=device, density=0.01)
    canonical = sum(t.nbytes for t in o.split())
    assert o.nbytes <= 1.05 * canonical
    assert list(o.buffers()) == [] and sum(p.nbytes for p in o.parameters()) == 512 * 4


def test_state_dict(device):
    o, x = layer(device=device), torch.randn(3, 300, device=device)
    state = nn.Sequential(o).state_dict()
    assert set(state) == {"0.bias", "0.base.q", "0.base.scale", "0.ortho.row_ptr", "0.ortho.col",
                          "0.ortho.val"}
    for other in (layer(device=device), OrthoLinear(300, 96, density=0.05, device=device)):
        loading = nn.Sequential(other)
        assert loading.load_state_dict(state).missing_keys == []
        assert torch.equal(loading(x), o(x))
        again = loading.state_dict()
        assert all(torch.equal(state[key].cpu().float(), again[key].cpu().float()) for key in state)


def test_state_dict_of_other_settings():
    state = layer(group=32, density=0.1).state_dict()
    o = layer(group=128)
    o.load_state_dict(state)
    assert (o.group, o.settle().nnz) == (32, 2880)


def test_state_dict_refused():
    o, good = layer(), layer().state_dict()
    before = o.split()
    bad = {**good, "ortho.row_ptr": good["ortho.row_ptr"].flip(0)}
    some = {key: value for key, value in good.items() if key != "ortho.val"}
    for state, words in ((bad, "row"), (some, "ortho.val"), ({"bias": good["bias"]}, "Missing"),
                         (layer(n=95).state_dict(), "95"), (layer(k=600).state_dict(), "300 inputs"),
                         (nn.Linear(300, 96).state_dict(), "weight")):
        with pytest.raises(RuntimeError, match=words):
            o.load_state_dict(state)
        assert all(torch.equal(a.float(), b.float()) for a, b in zip(before, o.split()))
    o.load_state_dict({"bias": torch.ones(96)}, strict=False)
    assert torch.equal(o.bias, torch.ones(96)) and torch.equal(o.split().val, before.val)
    with pytest.raises(RuntimeError, match="zero"):
        o.load_state_dict({**good, "base.zero": good["bias"]})


def test_meta():
    o = OrthoLinear(300, 96, density=0.05, dtype=torch.float16)
    assert {key: (v.shape, v.dtype, v.is_meta) for key, v in o.state_dict().items()} == {
        key: (v.shape, v.dtype, True) for key, v in layer(dtype=torch.float16).state_dict().items()}
    assert o.weight.is_meta and (o.weight.shape, o.weight.dtype) == ((96, 300), torch.float16)
    assert o(torch.randn(2, 300, device="meta")).shape == (2, 96)
    with pytest.raises(RuntimeError, match="no weights yet"):
        o(torch.randn(2, 300))
    source, x = layer(dtype=torch.float16), torch.randn(2, 300)
    o.load_state_dict(source.state_dict(), assign=True)
    assert torch.equal(o(x), source(x)) and o.device.type == "cpu"


def test_filled_by_a_loader():
    """As Transformers does: it sets each tensor, and calls forward."""
    o, source, x = OrthoLinear(300, 96, density=0.05), layer(), torch.randn(2, 300)
    for key, tensor in source.state_dict().items():
        parent, _, name = key.rpartition(".")
        if name == "bias":
            o.bias = nn.Parameter(tensor)
        else:
            setattr(o.get_submodule(parent), name, tensor)
    assert torch.equal(o(x), source(x)) and list(o.buffers()) == []


def test_to_meta_and_back():
    o, state, x = layer(), layer().state_dict(), torch.randn(2, 300)
    o.to("meta")
    assert o.device.type == "meta" and all(v.is_meta for v in o.state_dict().values())
    o.to_empty(device="cpu")
    o.load_state_dict(state)
    wanted = stock(x, dense(o, dtype=torch.float32), state["bias"])
    torch.testing.assert_close(o(x), wanted, rtol=1e-5, atol=1e-5)
    assert torch.equal(o.split().val, state["ortho.val"]) and o.device.type == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        OrthoLinear(300, 96, density=0.05).load_state_dict(state)  # as stock: nothing happens


def test_dtypes(device):
    o, x = layer(device=device), torch.randn(2, 300, device=device)
    wanted, split = o(x), o.split()
    for move in (lambda: o.half(), lambda: o.to(torch.bfloat16), lambda: o.bfloat16()):
        move()
    assert o.weight.dtype == o.dtype == o.bias.dtype == torch.bfloat16
    assert o(x.bfloat16()).dtype == torch.bfloat16
    assert all(torch.equal(a.float(), b.float()) for a, b in zip(split, o.split()))
    o.float()
    torch.testing.assert_close(o(x), wanted, rtol=0, atol=1e-2)
    with pytest.raises(TypeError, match="float64"):
        o.double()
    fresh = OrthoLinear(300, 96, device=device).to(torch.bfloat16)
    assert fresh.base.scale.dtype == torch.float16 and fresh.dtype == torch.bfloat16


@NEEDS_CUDA
def test_moves():
    o, x = layer(), torch.randn(2, 300)
    o.alpha = 0.5
    wanted = o(x)
    o.cuda()
    assert o.device.type == o.weight.device.type == o.bias.device.type == "cuda"
    torch.testing.assert_close(o(x.cuda()).cpu(), wanted)
    assert torch.equal(o.cpu()(x), wanted)


def test_copies(device):
    o, x = layer(device=device), torch.randn(2, 300, device=device)
    o.alpha = 0.25
    stream = io.BytesIO()
    torch.save(o, stream)
    stream.seek(0)
    for other in (copy.deepcopy(o), torch.load(stream, weights_only=False)):
        assert torch.equal(other(x), o(x)) and other.alpha == 0.25
        other.alpha = 0.0
        other.bias.data.zero_()
        assert not torch.equal(other(x), o(x)) and repr(other).replace(", alpha=0", "") == \
            repr(o).replace(", alpha=0.25", "")
    stream.seek(0)
    assert torch.load(stream, weights_only=False, map_location="cpu").device.type == "cpu"


def test_threads(device):
    o = layer(1024, 256, device=device)
    xs = [torch.randn(m, 1024, device=device) for m in (1, 3, 17, 40)]
    wanted = [o(x) for x in xs]
    wrong = []

    def work():
        for _ in range(40):
            wrong.extend(i for i, x in enumerate(xs) if not torch.equal(o(x), wanted[i]))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_threads_settle_once(monkeypatch):
    o = OrthoLinear(300, 96, density=0.05, bias=False, device="cpu")
    for key, tensor in layer(bias=False).state_dict().items():
        parent, _, name = key.rpartition(".")
        setattr(o.get_submodule(parent), name, tensor)
    make, made = LayerHandle.from_split, []

    def slowly(*args):
        time.sleep(0.1)
        made.append(make(*args))
        return made[-1]

    monkeypatch.setattr(LayerHandle, "from_split", slowly)
    workers = [threading.Thread(target=o.settle) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert made == [o.settle()]


def test_a_graph_outlives_its_layer():
    o, x = layer(), torch.randn(2, 300)
    graph = torch.export.export(o, (x,)).module()
    assert torch.equal(graph(x), o(x))
    del o
    gc.collect()
    with pytest.raises(RuntimeError, match="was freed"):
        graph(x)


@NEEDS_CUDA
def test_streams_and_graphs():
    o = layer(1024, 512, bias=False, device="cuda", dtype=torch.float16)
    x = torch.randn(1, 1024, device="cuda", dtype=torch.float16)
    wanted = o(x)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(20_000_000)
        late = x * 2
        y = o(late)  # right only on this very stream
    torch.cuda.current_stream().wait_stream(side)
    torch.testing.assert_close(y, 2 * wanted, rtol=1e-2, atol=1e-2)
    graph, static = torch.cuda.CUDAGraph(), torch.zeros_like(x)
    with torch.cuda.graph(graph):
        out = o(static)
    static.copy_(x)
    graph.replay()
    assert torch.equal(out, wanted)


def test_handle_taken_over():
    handle = LayerHandle.sieve(torch.randn(96, 300), 0.05)
    o = OrthoLinear.from_handle(handle, torch.ones(96), dtype=torch.float16)
    assert o.settle() is handle and isinstance(o.bias, nn.Parameter) and not o.bias.requires_grad
    with pytest.raises(TypeError, match="int8"):
        OrthoLinear.from_handle(handle, dtype=torch.int8)
