"""python/benchmarks/decode.py: what it measures, that it judges it, and what it writes."""

from __future__ import annotations

import json
import pathlib
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import tiny_llama
from test_linear import NEEDS_CUDA

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "benchmarks"))

import decode  # noqa: E402
import decode_report  # noqa: E402
import decode_run  # noqa: E402

SCHEMA = json.loads((ROOT / "reports/schema/ortho-python-decode-1.schema.json").read_text())
RECORDED = sorted((ROOT / "reports/results/h200/pytorch").glob("decode*.json"))
TINY = {**decode_run.LLAMA_3_2_3B, "hidden_size": 128, "intermediate_size": 336, "vocab_size": 320,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
SPEED = re.compile(r"\d\.\.\d")
QUICK = ("--tokens", "6", "--prompt", "4", "--rounds", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("tiny")
    tiny_llama(dtype=torch.float16).save_pretrained(path)
    return str(path)


@pytest.fixture
def run(folder, tmp_path, capsys):
    """Runs decode.py: its exit status, what it printed, and its document."""
    def call(*options, device="cpu", model=True, quick=QUICK):
        path = tmp_path / "decode.json"
        source = ("--model", folder) if model else ()
        code = decode.main([*source, *quick, "--device", device, "--json", str(path), *options])
        document = json.loads(path.read_text()) if path.exists() else None
        return code, capsys.readouterr(), document
    return call


# ---- the schema: the part of JSON Schema that it uses -----------------------------------------------

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float),
         "integer": int}
KNOWN = {"$schema", "$ref", "title", "description", "type", "required", "additionalProperties",
         "properties", "definitions", "const", "enum", "minItems", "items", "minimum",
         "exclusiveMinimum", "maximum", "minLength"}


def fit(value, schema: dict, at: str = "") -> None:
    """Asserts that the value is what the schema says."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        fit(value, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], at)
    if "type" in schema:
        kind = TYPES[schema["type"]]
        assert isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), at
    assert value == schema.get("const", value) and value in schema.get("enum", [value]), (at, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        assert value >= schema.get("minimum", value) and value <= schema.get("maximum", value), at
        assert value > schema.get("exclusiveMinimum", value - 1), at
    if isinstance(value, str):
        assert len(value) >= schema.get("minLength", 0), at
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0), at
        for i, item in enumerate(value):
            fit(item, schema.get("items", {}), f"{at}[{i}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value), (at, set(value))
        assert schema.get("additionalProperties", True) or set(value) <= set(properties), (at, set(value))
        for key, inside in value.items():
            fit(inside, properties.get(key, {}), f"{at}.{key}")


def assert_judged(document: dict) -> None:
    """It fits the schema, and no mode has a number without both verdicts."""
    fit(document, SCHEMA)
    for variant in document["variants"]:
        for mode in variant["modes"].values():
            if mode["status"] == "ok":
                assert variant["status"] == "ok"
                assert mode["verified"] == {"before": "pass", "after": "pass"}
            else:
                assert not {"seconds", "readings", "tokens_per_s", "ms_per_token",
                            "over_stock"} & set(mode)


def raising(error: BaseException):
    """A function that raises it, whatever it is given."""
    def call(*_, **__):
        raise error
    return call


# ---- a run that passes ------------------------------------------------------------------------------

def test_a_run(run):
    code, said, document = run("--density", "0.01,0.05")
    assert code == 0 and document["status"] == "ok" and not document["model"]["synthetic"]
    assert_judged(document)
    stock, one, five = document["variants"]
    assert [v.get("density") for v in (stock, one, five)] == [None, 0.01, 0.05]
    for variant in (stock, one, five):
        mode = variant["modes"]["eager"]
        assert mode["status"] == "ok" and len(mode["seconds"]) == 2 and len(variant["tokens"]) == 7
        rates = sorted(6 / s for s in mode["seconds"])
        assert mode["tokens_per_s"] == pytest.approx(
            {"lo": rates[0], "median": sum(rates) / 2, "hi": rates[1]})
        assert (f"{mode['tokens_per_s']['median']:.1f}" in said.out) and set(variant["modes"]) == {"eager"}
    assert "over_stock" not in stock["modes"]["eager"]
    base, mine = (v["modes"]["eager"]["seconds"] for v in (stock, five))
    assert five["modes"]["eager"]["over_stock"] == pytest.approx(
        (base[0] / mine[0] + base[1] / mine[1]) / 2)
    assert one["layers"]["converted"] == 14 and one["layers"]["bytes_after"] < five["layers"]["bytes_after"]
    assert 0 < one["layer_error"] <= 1
    assert "decode: round 2 of 2" in said.err and "libortho 5 %" in said.out


def test_memory_and_the_head(run):
    _, said, document = run("--density", "0.01")
    stock, ours = document["variants"]
    head = 320 * 128 * 2
    assert document["model"]["head"] == {"bytes": head, "tied": False}
    layers = ours["layers"]
    before, after = stock["memory"]["held_bytes"], ours["memory"]["held_bytes"]
    assert before - after == layers["bytes_before"] - layers["bytes_after"] > 0
    assert ours["read_bytes"] == after - head  # all but the other embeddings
    assert ours["head_share"] == head / ours["read_bytes"] > stock["head_share"]
    assert f"{100 * ours['head_share']:.0f} % (libortho 1 %)" in said.out


def test_the_made_model(run, monkeypatch):
    monkeypatch.setattr(decode_run, "LLAMA_3_2_3B", TINY)
    code, said, document = run("--density", "0.05", "--layers", "1", "--dtype", "bfloat16", model=False)
    assert code == 0 and document["model"]["layers"] == 1 and document["model"]["head"]["tied"]
    assert document["model"]["synthetic"] and document["model"]["name"] == "synthetic:llama-3.2-3b"
    assert "synthetic weights" in said.out and "tied" in said.out and "bfloat16" in said.out
    assert_judged(document)
    first = decode_run.make_llama(None, torch.float16, torch.device("cpu"), 3)
    again = decode_run.make_llama(None, torch.float16, torch.device("cpu"), 3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))
    assert {p.dtype for p in first.parameters()} == {torch.float16}
    states = first(torch.arange(64)[None], output_hidden_states=True).hidden_states[-2]
    assert 0.1 < states.float().std() < 10  # finite in fp16, however many layers


def test_tokens_are_those_of_generate(folder):
    model = decode_run.load(folder, torch.float32, torch.device("cpu"))
    prompt = decode_run.random_prompt(model, 5, 1, torch.device("cpu"))
    decoder = decode_run.Decoder(model, prompt, 9)
    for _ in range(2):  # from the beginning each time
        assert decoder.run("eager") > 0
        wanted = model.generate(prompt[None], max_new_tokens=10, do_sample=False, eos_token_id=None)
        assert decoder.tokens() == wanted[0, 5:].tolist()


# ---- verdicts ---------------------------------------------------------------------------------------

def spoil(model, amount: float = 0.5) -> None:
    """Another weight than the one that layer 1's handle has."""
    layer = model.model.layers[1].mlp.down_proj
    export = layer._handle.export
    layer._handle.export = lambda: export()._replace(scale=export().scale * amount)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_wrong_weight(run, monkeypatch, when):
    check, calls = decode_run.check_layers, []

    def spoiling(decoder):
        calls.append(decoder)
        if len(calls) == {"before": 1, "after": 2}[when]:
            spoil(decoder.model)
        return check(decoder)

    monkeypatch.setattr(decode_run, "check_layers", spoiling)
    code, said, document = run("--density", "0.05")
    assert code == 1 and document["status"] == "failed"
    assert_judged(document)
    stock, ours = document["variants"]
    assert stock["modes"]["eager"]["status"] == "ok" and ours["status"] == "failed"
    assert f"{when} timing: model.layers.1.mlp.down_proj" in ours["reason"]
    line = next(line for line in said.out.splitlines() if line.startswith("libortho"))
    assert "failed" in line and "down_proj" in line and not SPEED.search(line)
    assert "The run: failed." in said.out
    markdown = decode_report.render(document)
    line = next(line for line in markdown.splitlines() if line.startswith("| libortho"))
    assert "failed" in line and not SPEED.search(line) and "The run: failed." in markdown


def test_a_wrong_weight_for_single_tokens_alone(folder):
    """The kernel for one token is another one than that for the prompt."""
    model = decode_run.load(folder, torch.float16, torch.device("cpu"))
    decode_run.libortho.enable(model, density=0.05)
    decoder = decode_run.Decoder(model, torch.arange(4), 4)
    assert decode_run.check_layers(decoder) <= 1
    layer = model.model.layers[0].self_attn.v_proj
    forward = layer.forward
    layer.forward = lambda x: forward(x) * (1.01 if x.shape[-2] == 1 else 1)
    with pytest.raises(decode_run.Wrong, match=r"layers\.0\.self_attn\.v_proj.* for 1 tokens"):
        decode_run.check_layers(decoder)
    x, weight = torch.ones(1, 128, dtype=torch.float16), decode_run.dense(layer)
    assert decode_run.check_layer("v", layer, x, forward(x), weight) <= 1
    for wrong in (forward(x) * float("nan"), forward(x)[:, :-1], forward(x) * 0):
        with pytest.raises(decode_run.Wrong):
            decode_run.check_layer("v", layer, x, wrong, weight)


def test_other_tokens(run, monkeypatch):
    tokens, calls = decode_run.Decoder.tokens, []

    def another(self):
        calls.append(self)
        made = tokens(self)
        return made[:3] + [made[3] + 1] + made[4:] if len(calls) == 4 else made

    monkeypatch.setattr(decode_run.Decoder, "tokens", another)  # 1, 2: before; 3, 4: the first round
    code, said, document = run("--density", "0.05")
    assert code == 1 and document["variants"][1]["modes"]["eager"]["status"] == "failed"
    assert "while timing: token 4 of 7" in document["variants"][1]["modes"]["eager"]["reason"]
    assert_judged(document)


def test_what_cannot_be_enabled(run, monkeypatch):
    monkeypatch.setattr(decode_run.libortho, "enable", raising(RuntimeError("no memory")))
    code, said, document = run("--density", "0.05")
    assert code == 1 and document["variants"][1]["modes"] == {}
    assert "no memory" in document["variants"][1]["reason"] and "failed: it can't" in said.out
    assert document["variants"][0]["modes"]["eager"]["status"] == "ok"
    assert_judged(document)


# ---- interrupted ------------------------------------------------------------------------------------

def interrupting(monkeypatch, *at: int) -> None:
    """Ctrl-C in the runs of these numbers. Of stock and one density: 1, 2 judge, then 3, 4 a round."""
    run, calls = decode_run.Decoder.run, []

    def call(self, mode):
        calls.append(mode)
        if len(calls) in at:
            raise KeyboardInterrupt
        return run(self, mode)

    monkeypatch.setattr(decode_run.Decoder, "run", call)


def test_interrupted(run, monkeypatch):
    interrupting(monkeypatch, 6)
    code, said, document = run("--density", "0.05")
    assert code == 130 and document["status"] == "interrupted" and document["interrupted"]
    assert_judged(document)
    assert [len(v["modes"]["eager"]["seconds"]) for v in document["variants"]] == [2, 1]
    assert "over_stock" in document["variants"][1]["modes"]["eager"]
    assert "The run: interrupted." in said.out


def test_interrupted_before_a_round(run, monkeypatch):
    interrupting(monkeypatch, 3)
    code, said, document = run("--density", "0.05")
    assert code == 130 and not SPEED.search(said.out) and said.out.count("interrupted") == 3
    assert_judged(document)


def test_interrupted_twice(run, monkeypatch):
    interrupting(monkeypatch, 6, 8)  # 7 judges stock
    code, said, document = run("--density", "0.05")
    assert code == 130
    assert [v["modes"]["eager"]["status"] for v in document["variants"]] == ["ok", "interrupted"]
    assert_judged(document)


def test_interrupted_at_once(run, monkeypatch):
    monkeypatch.setattr(decode_run, "load", raising(KeyboardInterrupt()))
    code, said, document = run()
    assert code == 130 and document is None and said.out == ""


# ---- options and files ------------------------------------------------------------------------------

@pytest.mark.parametrize("options, code, words", [
    (("--model", "no/such"), 1, "no config.json"), (("--graph",), 1, "no CUDA graph on the CPU"),
    (("--tokens", "300"), 1, "256 positions"), (("--density", "2"), 2, "from 0 to 1"),
    (("--density", "0.1,0.1"), 2, "different"), (("--layers", "1"), 2, "--layers"),
    (("--tokens", "0"), 2, "at least 1"), (("--json", "no/such/x.json"), 2, "no folder"),
])
def test_refused(folder, capsys, options, code, words):
    try:
        got = decode.main(["--model", folder, "--device", "cpu", *options])
    except SystemExit as error:
        got = error.code
    said = capsys.readouterr()
    assert got == code and words in said.err and said.out == ""


def test_a_sieved_folder_is_refused(folder, tmp_path, capsys):
    model = decode_run.load(folder, torch.float16, torch.device("cpu"))
    decode_run.libortho.enable(model).save_pretrained(tmp_path)
    assert decode.main(["--model", str(tmp_path), "--device", "cpu"]) == 1
    assert "sieved already" in capsys.readouterr().err


def test_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(ValueError):
        decode_report.write({"schema": float("nan")}, str(path))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    decode_report.write({"schema": 1}, str(path))
    assert json.loads(path.read_text()) == {"schema": 1} and list(tmp_path.iterdir()) == [path]


def test_render(run, tmp_path, capsys):
    _, _, document = run("--density", "0.05")
    path = tmp_path / "decode.json"
    assert decode.main(["--render", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1
    median = document["variants"][1]["modes"]["eager"]["tokens_per_s"]["median"]
    assert f"| libortho 5 % | eager | {median:.1f} |" in table[3] and table[3].endswith("| ok |")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other"}',
                                  '{"schema": "ortho-python-decode-1"}',
                                  '{"schema": "ortho-python-decode-1", "variants": [1]}', "[" * 9999])
def test_render_of_what_is_none(tmp_path, capsys, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert decode.main(["--render", str(path)]) == 1
    assert capsys.readouterr().err.startswith("decode: ")


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.name)
def test_the_docs_have_the_recorded_tables(recorded):
    document = decode_report.read(str(recorded))
    assert_judged(document)
    assert decode_report.render(document) in (ROOT / "docs/PYTHON.md").read_text()


# ---- a GPU ------------------------------------------------------------------------------------------

@NEEDS_CUDA
def test_graphs(run):
    code, said, document = run("--density", "0.05", device="cuda")
    assert code == 0
    assert_judged(document)
    for variant in document["variants"]:
        assert set(variant["modes"]) == {"eager", "graph"}
        assert variant["memory"]["driver_bytes"] <= variant["memory"]["peak_driver_bytes"]
    code, said, document = run("--density", "0.05", "--graph", device="cuda")
    assert code == 0 and set(document["variants"][1]["modes"]) == {"graph"}


@NEEDS_CUDA
def test_a_graph_of_other_tokens(run, monkeypatch):
    capture = decode_run.Decoder.capture

    def idle(self):
        capture(self)
        self._graph = SimpleNamespace(replay=lambda: None)

    monkeypatch.setattr(decode_run.Decoder, "capture", idle)
    code, said, document = run("--density", "0.05", device="cuda")
    assert code == 1
    assert {v["modes"]["graph"]["status"] for v in document["variants"]} == {"failed"}
    assert {v["modes"]["eager"]["status"] for v in document["variants"]} == {"ok"}
    assert_judged(document)
