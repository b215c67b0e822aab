#!/usr/bin/env python3
"""Tokens a second of greedy decoding: a model as it is beside the same model with libortho.

One sequence, batch 1, over Transformers' static cache, in one process. Each weight form runs
eagerly, a launch at a time from Python, and where there is a GPU as one CUDA graph a token; the
rounds take turns, so that what drifts drifts for all. Prefill isn't timed.

Nothing is told without a verdict. Before timing and after it every libortho layer's outputs are held
against its dense weights in float64, over the model's own activations, for the prompt and for a
single token, and every decoding must give the tokens of the form's first eager run. Where that
fails, the row says "failed" and has no speed, and the exit status is 1.

  decode.py                                 a made Llama of Llama-3.2-3B's shapes, all of it
  decode.py --layers 4 --rounds 3           a look at it in seconds
  decode.py --model DIR --json decode.json  a Transformers folder; everything into a file
  decode.py --render decode.json            that file's table again, as markdown

exit: 0; 1 when a result is wrong or something can't be done; 130 interrupted: what was measured by
then is told, if it passes
"""

from __future__ import annotations

import argparse
import copy
import datetime
import pathlib
import platform
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import decode_report as report  # noqa: E402

DTYPES = ("float16", "bfloat16", "float32")
MODES = ("eager", "graph")


def say(text: str) -> None:
    print(f"decode: {text}", file=sys.stderr, flush=True)


# ---- options -------------------------------------------------------------------------------------

def whole(least: int):
    def parse(text: str) -> int:
        if not (value := int(text)) >= least:
            raise argparse.ArgumentTypeError(f"{text}: at least {least}")
        return value
    return parse


def densities(text: str) -> list[float]:
    values = [float(part) for part in text.split(",")]
    if not all(0 <= value <= 1 for value in values) or len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"{text}: different shares from 0 to 1, like 0.01,0.05")
    return values


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="decode.py", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", metavar="DIR", help="a Transformers folder with stock weights (default: a made one)")
    add("--layers", type=whole(1), metavar="N", help="of the made model (default: all 28)")
    add("--density", type=densities, default=[0.01, 0.05], metavar="D,D", help="shares that go to "
        "Ortho, each a model of its own (default: 0.01,0.05)")
    add("--rule", default="outlier", choices=("outlier", "residual", "legacy"), help="of the sieve")
    add("--group", type=int, default=128, choices=(0, 32, 64, 128), help="weights a scale; 0: the row")
    add("--dtype", default="float16", choices=DTYPES, help="of weights and activations")
    add("--tokens", type=whole(1), default=128, metavar="N", help="timed in a round (default: 128)")
    add("--prompt", type=whole(1), default=32, metavar="N", help="tokens before them (default: 32)")
    add("--rounds", type=whole(1), default=5, metavar="N", help="of every form in turns (default: 5)")
    add("--seed", type=whole(0), default=1, metavar="N", help="of weights and prompt (default: 1)")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where PyTorch has it")
    add("--graph", action=argparse.BooleanOptionalAction, default=None,
        help="a CUDA graph alone, or none (default: both modes where there is a GPU)")
    add("--json", metavar="FILE", help="writes everything there, every round's seconds included")
    add("--render", metavar="FILE", help="prints such a file's table as markdown, and runs nothing")
    options = parser.parse_args(argv)
    if options.model and options.layers:
        parser.error("--layers is for the made model: leave it or --model out")
    if options.json and (fault := report.check_folder(options.json)):
        parser.error(f"--json: {fault}")
    return options


# ---- a weight form -------------------------------------------------------------------------------

class Form:
    """The model under one form of its weights: what it decodes in, and what is known of it."""

    def __init__(self, name: str, density: float | None = None) -> None:
        self.told: dict = {"name": name, "status": "ok", "modes": {}}
        if density is not None:
            self.told["density"] = density
        self.decoder = None
        self.wanted: list[int] | None = None

    def fail(self, reason: str) -> None:
        """Nothing of this form stands."""
        say(f"FAILED: {report.label(self.told)}: {reason}")
        self.told.update(status="failed", reason=reason)
        for mode in self.told["modes"].values():
            mode.update(status="failed", reason=reason)

    def fail_mode(self, name: str, reason: str) -> None:
        say(f"FAILED: {report.label(self.told)}, {name}: {reason}")
        self.told["modes"][name].update(status="failed", reason=reason)

    def alive(self) -> list[str]:
        return [name for name, mode in self.told["modes"].items() if mode["status"] != "failed"]


class Benchmark:
    """One run of this program. What it finds is in `document`."""

    def __init__(self, options: argparse.Namespace) -> None:
        import decode_run
        import torch
        self.run, self.torch, self.options = decode_run, torch, options
        self.device = self._device(options.device)
        if options.graph and self.device.type != "cuda":
            raise decode_run.Refused("--graph: there is no CUDA graph on the CPU; leave it out")
        cuda = self.device.type == "cuda"
        self.modes = [mode for mode in MODES if (mode == "graph") == options.graph
                      or options.graph is None and (cuda or mode == "eager")]
        self.dtype = getattr(torch, options.dtype)
        self.gpu = None
        self.forms: list[Form] = []
        self.document = self._begin()

    def _device(self, asked: str | None):
        there = self.torch.cuda.is_available()
        if asked == "cuda" and not there:
            raise self.run.Refused("--device cuda: PyTorch finds no GPU")
        kind = asked or ("cuda" if there else "cpu")
        return self.torch.device(kind, self.torch.cuda.current_device()) if kind == "cuda" \
            else self.torch.device(kind)

    def _begin(self) -> dict:
        import libortho
        import transformers
        o, torch = self.options, self.torch
        versions = {"python": platform.python_version(), "torch": str(torch.__version__),
                    "transformers": transformers.__version__, "libortho": libortho.version()}
        device = {"type": self.device.type, "name": f"a CPU, {torch.get_num_threads()} threads"}
        if self.device.type == "cuda":
            import decode_nvml
            facts = torch.cuda.get_device_properties(self.device)
            self.gpu = decode_nvml.Gpu(getattr(facts, "uuid", ""))
            device.update(name=facts.name, memory_bytes=facts.total_memory, **self.gpu.limits())
            versions["cuda"] = str(torch.version.cuda)
            if driver := self.gpu.driver():
                versions["driver"] = driver
        return {"schema": report.SCHEMA, "status": "interrupted", "interrupted": False,
                "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "versions": versions, "device": device,
                "model": {"name": pathlib.Path(o.model).resolve().name if o.model
                          else "synthetic:llama-3.2-3b", "synthetic": not o.model,
                          "dtype": o.dtype},
                "options": {"density": o.density, "rule": o.rule, "group": o.group,
                            "tokens": o.tokens, "prompt": o.prompt, "rounds": o.rounds,
                            "seed": o.seed, "modes": self.modes},
                "variants": []}

    # ---- the forms

    def measure(self) -> None:
        """Everything; what an interruption or a failure left out is marked in the document."""
        try:
            self._prepare()
            self._rounds()
        except KeyboardInterrupt:
            self.document["interrupted"] = True
            say("interrupted; once more ends this without a verdict")
        try:
            self._judge_after()
        except KeyboardInterrupt:
            self.document["interrupted"] = True
        self._close()

    def _prepare(self) -> None:
        stock = Form("stock")
        model = self._watched(stock, self._stock)
        self._describe(model)
        self._add(stock, model)
        prompt = self.run.random_prompt(model, self.options.prompt, self.options.seed, self.device)
        self._ready(stock, model, prompt)
        for density in self.options.density:
            form = Form("libortho", density)
            self._add(form, None)
            say(f"sieving at {100 * density:g} %")
            try:
                with_libortho = self._watched(form, lambda: self.run.enabled(
                    copy.deepcopy(model), density, self.options))
            except (RuntimeError, ValueError) as error:
                form.fail(f"it can't be enabled: {error}")
                continue
            self._add(form, with_libortho)
            self._ready(form, with_libortho, prompt)

    def _stock(self):
        o, run = self.options, self.run
        say(f"loading {o.model}" if o.model else "making a model of Llama-3.2-3B's shapes")
        return run.load(o.model, self.dtype, self.device) if o.model \
            else run.make_llama(o.layers, self.dtype, self.device, o.seed)

    def _watched(self, form: Form, make):
        """The model that make returns; what it took and holds goes into the form."""
        if self.device.type != "cuda":
            model, told = make(), {}
        else:
            with self.run.MemoryWatch(self.device) as watch:
                model = make()
            told = watch.told()
        form.told["memory"] = {"held_bytes": self.run.tensor_bytes(model), **told}
        return model

    def _describe(self, model) -> None:
        head, inner = model.get_output_embeddings(), model.get_input_embeddings()
        self.document["model"].update(
            layers=model.config.num_hidden_layers,
            parameters=sum(p.numel() for p in model.parameters()),
            head={"bytes": self.run.head_bytes(model),
                  "tied": head is not None and head.weight is inner.weight},
            config=_plain(model.config.to_dict()))

    def _add(self, form: Form, model) -> None:
        if form not in self.forms:
            self.forms.append(form)
            self.document["variants"].append(form.told)
        if model is None:
            return
        form.told["read_bytes"] = self.run.read_bytes(model)
        form.told["head_share"] = self.run.head_bytes(model) / form.told["read_bytes"]
        if form.told["name"] != "stock":
            made = model.libortho_report
            form.told["layers"] = {"converted": len(made.converted), "kept": made.kept,
                                   "bytes_before": made.bytes_before, "bytes_after": made.bytes_after}

    def _ready(self, form: Form, model, prompt) -> None:
        """Captures its graph, and judges it for the first time."""
        form.decoder = self.run.Decoder(model, prompt, self.options.tokens)
        form.told["modes"] = {mode: {"status": "interrupted", "seconds": [], "readings": [],
                                     "verified": {}} for mode in self.modes}
        if "graph" in self.modes:
            try:
                form.decoder.capture()
            except RuntimeError as error:
                form.fail_mode("graph", f"it can't be captured: {error}")
        self._judge(form, "before")

    # ---- verdicts

    def _judge(self, form: Form, when: str) -> None:
        """Layers against dense weights, then each mode's tokens against the first eager run's."""
        say(f"verifying {report.label(form.told)} {when} timing")
        try:
            if form.told["name"] != "stock":
                worst = self.run.check_layers(form.decoder)
                known = form.told.setdefault("layer_error", 0.0)
                form.told["layer_error"] = max(known, worst)
            form.decoder.run("eager")
            self._compare(form)
        except (self.run.Wrong, RuntimeError) as error:
            form.fail(f"{when} timing: {error}")
            return
        for mode in form.alive():
            try:
                if mode == "graph":
                    form.decoder.run(mode)
                    self._compare(form)
                form.told["modes"][mode]["verified"][when] = "pass"
            except (self.run.Wrong, RuntimeError) as error:
                form.fail_mode(mode, f"{when} timing: {error}")

    def _compare(self, form: Form) -> None:
        tokens = form.decoder.tokens()
        if form.wanted is None:
            form.wanted = form.told["tokens"] = tokens
        self.run.same_tokens(tokens, form.wanted)

    def _judge_after(self) -> None:
        for form in self.forms:
            if any(form.told["modes"][mode]["seconds"] for mode in form.alive()):
                self._judge(form, "after")

    def _close(self) -> None:
        """A mode that was timed, and passed before and after, is ok."""
        for form in self.forms:
            for mode in form.told["modes"].values():
                passed = mode["verified"] == {"before": "pass", "after": "pass"}
                if mode["status"] != "failed" and passed and mode["seconds"]:
                    mode["status"] = "ok"
            if not form.told["modes"] and form.told["status"] == "ok":
                form.told["status"] = "interrupted"
        report.summarise(self.document)

    # ---- timing

    def _rounds(self) -> None:
        for number in range(self.options.rounds):
            say(f"round {number + 1} of {self.options.rounds}")
            for form in self.forms:
                for mode in form.alive():
                    self._round(form, mode)

    def _round(self, form: Form, mode: str) -> None:
        told = form.told["modes"][mode]
        try:
            seconds = form.decoder.run(mode)
            reading = self.gpu.reading() if self.gpu else {}
            self._compare(form)
        except (self.run.Wrong, RuntimeError) as error:
            form.fail_mode(mode, f"while timing: {error}")
            return
        told["seconds"].append(seconds)
        if reading:
            told["readings"].append(reading)


def _plain(value):
    """A config as JSON takes it."""
    if isinstance(value, dict):
        return {str(key): _plain(inside) for key, inside in value.items()
                if key not in ("_name_or_path",)}
    if isinstance(value, (list, tuple)):
        return [_plain(inside) for inside in value]
    return value if value is None or isinstance(value, (bool, int, str)) \
        or isinstance(value, float) and abs(value) < float("inf") else str(value)


def tell(options: argparse.Namespace, document: dict) -> int:
    """Prints and writes; the exit status."""
    if "layers" not in document["model"]:  # interrupted before there was a model
        say("interrupted before anything was measured")
        return 130
    if options.json:
        report.write(document, options.json)
    sys.stdout.write(report.table(document))
    return {"ok": 0, "failed": 1, "interrupted": 130}[document["status"]]


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.render:
        try:
            sys.stdout.write(report.render(report.read(options.render)))
        except report.Unreadable as error:
            say(str(error))
            return 1
        return 0
    import decode_run
    try:
        benchmark = Benchmark(options)
        benchmark.measure()
        return tell(options, benchmark.document)
    except KeyboardInterrupt:
        say("interrupted before anything was measured")
        return 130
    except (decode_run.Refused, OSError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
