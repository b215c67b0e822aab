"""scripts/readme-tables on made-up results: medians over processes, and nothing without a verdict.

usage: readme_tables_test.py SOURCE_DIR [ORTHO_BENCH]
"""

import json
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(sys.argv[1]) / "scripts" / "readme-tables"
BENCH = sys.argv[2:]


def document(rows, synthetic=False, gpu="NVIDIA H100 80GB HBM3", commit="abc1234"):
    return {
        "schema": "ortho-bench/1",
        "context": {"commit": commit, "cpu": {"model": "a CPU"}, "gpu": gpu and {"model": gpu},
                    "model": {"name": "a-model", "synthetic": synthetic}},
        "results": rows,
    }


def row(variant, us, **more):
    """A row that passed, `us` microseconds long; None: one without a time, whose status is given."""
    made = {"key": f"gemm/{variant}/{us}", "op": "gemm", "variant": variant, "role": "competitor",
            "proj": "q", "layer": 0, "n": 3072, "k": 3072, "m": 1, "density": 0.01,
            "rule": "outlier", "group": 128, "dtype": "fp16", "alpha": 1.0, "l2": "cold",
            "status": "ok", "verified": {"before": "pass", "after": "pass"}}
    if us is not None:
        made["time_ns"] = {"median": us * 1e3, "lo": us * 990, "hi": us * 1010}
        made["floor_ns"] = us * 500
    made.update(more)
    return made


def dense(us, **more):
    return row("dense", us, role="baseline", **more)


class Tree:
    """A root with a README of one block and the results that it names."""

    def __init__(self, marker, **files):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        (self.root / "results").mkdir()
        for name, content in files.items():
            (self.root / "results" / f"{name}.json").write_text(json.dumps(content))
        self.readme = self.root / "README.md"
        self.readme.write_text(f"before\n\n<!-- table: {marker} -->\n<!-- /table -->\n\nafter\n")

    def run(self, *options):
        return subprocess.run([sys.executable, SCRIPT, "--root", self.root, *options],
                              capture_output=True, text=True, check=False)

    def made(self):
        """The README once it was written; it then holds under --check, and is made the same."""
        said = self.run()
        assert said.returncode == 0, said.stderr
        text = self.readme.read_text()
        assert text.startswith("before\n") and text.endswith("\nafter\n")
        assert self.run("--check").returncode == 0
        assert "rewritten" not in self.run().stdout
        return text

    def refused(self, words):
        for options in ([], ["--check"]):
            said = self.run(*options)
            assert said.returncode == 1 and words in said.stderr, (words, said.stderr)
            assert "README.md:3: " in said.stderr
            assert self.readme.read_text().count("\n") == 6  # left as it was


def line_of(text, variant):
    found = [line for line in text.split("\n") if line.startswith(f"| {variant} |")]
    assert len(found) == 1, (variant, text)
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def medians_over_processes():
    text = Tree("gemm results/p*.json", p1=document([dense(10), row("csr", 5)]),
                p2=document([dense(12), row("csr", 4)]),
                p3=document([dense(20), row("csr", 8)], commit="def5678")).made()
    assert line_of(text, "dense")[1] == "12.0 ± 42 %"
    # the median of 10/5, 12/4, 20/8; half of 8 - 4 over 5
    assert line_of(text, "csr")[1] == "5.00 ± 40 %<br>2.50×"
    assert line_of(text, "*floor*")[1] == "2.50"
    assert "median of 3 processes" in text and "commit abc1234, def5678" in text
    assert "NVIDIA H100 80GB HBM3 · a-model · m 1 · density 0.01 · outlier · group 128" in text
    assert "SYNTHETIC" not in text


def one_process_has_its_interval():
    text = Tree("gemm results/a.json", a=document([dense(1234), row("csr", 98.76)])).made()
    assert line_of(text, "dense")[1] == "1,230 ± 1.0 %"
    assert line_of(text, "csr")[1] == "98.8 ± 1.0 %<br>12.5×"
    assert "median of one process, ± half of its 95 % interval" in text


def a_file_of_several_processes_says_so():
    merged = document([dense(1234), row("csr", 98.76)])
    merged["context"]["processes"] = [{"status": "ok"}, {"status": "failed"}, {"status": "ok"}]
    text = Tree("gemm results/a.json", a=merged).made()
    assert "median over 2 processes, ± half of its 95 % interval" in text


def columns_are_projections_and_rows_have_an_order():
    rows = [row("memcpy", 2, role="ceiling", proj=p) for p in ("w", "down", "q")]
    rows += [row("csr", 5, proj="down"), dense(9, proj="down"), row("null", 1, role="harness")]
    text = Tree("gemm results/a.json", a=document(rows)).made()
    assert "| µs | q | down | w |" in text
    assert text.index("| dense |") < text.index("| csr |") < text.index("| memcpy |")
    assert line_of(text, "csr")[1:] == ["–", "5.00 ± 1.0 %<br>1.80×", "–"]
    assert line_of(text, "memcpy")[1] == "2.00 ± 1.0 %"
    assert "null" not in text
    text = Tree("gemm results/a.json variants=memcpy,csr", a=document(rows)).made()
    assert text.index("| memcpy |") < text.index("| csr |") and "| dense |" not in text


def nothing_without_a_verdict():
    rows = [dense(10), row("wrong", None, status="failed", reason="y is 3"),
            row("slow", None, status="skipped", reason="takes 9 s"),
            row("wide", 5, status="ambiguous", reason="too wide"),
            row("lies", 5, verified={"before": "pass"}),
            row("later", 5, verified={"before": "pass", "after": "fail"}),
            row("none", None)]
    text = Tree("gemm results/a.json", a=document(rows)).made()
    assert line_of(text, "wrong")[1] == "**failed**"
    assert line_of(text, "slow")[1] == "skipped"
    assert line_of(text, "wide")[1] == "~ 5.00 ± 1.0 %<br>2.00×"
    for variant in ("lies", "later", "none"):
        assert line_of(text, variant)[1] == "**failed**"
    assert "- wrong q: failed: y is 3" in text and "- slow q: skipped: takes 9 s" in text
    assert "- lies q: failed: not verified" in text
    assert "`~` is ambiguous" in text


def one_process_that_failed_is_enough():
    failed = row("csr", None, status="failed", reason="y is 3")
    text = Tree("gemm results/*.json", p1=document([dense(10), row("csr", 5)]),
                p2=document([dense(10), failed])).made()
    assert line_of(text, "csr")[1] == "**failed**"
    text = Tree("gemm results/*.json", p1=document([dense(10), row("csr", 5)]),
                p2=document([dense(10)])).made()
    assert line_of(text, "csr")[1] == "–"


def synthetic_is_said_and_never_pooled():
    text = Tree("gemm results/a.json", a=document([dense(10)], synthetic=True)).made()
    assert "**SYNTHETIC weights: made, not trained.**" in text
    Tree("gemm results/*.json", a=document([dense(10)], synthetic=True),
         b=document([dense(10)])).refused("synthetic and real")


def filters_choose():
    rows = [dense(10), row("csr", 5), dense(30, m=16), row("csr", 20, m=16)]
    rows += [row("csr", 1, alpha=0.0), row("csr", 7, l2="pass")]
    Tree("gemm results/a.json", a=document(rows)).refused("two rows for dense q")
    text = Tree("gemm results/a.json m=16 density=1e-2", a=document(rows)).made()
    assert line_of(text, "csr")[1] == "20.0 ± 1.0 %<br>1.50×"
    Tree("gemm results/a.json m=17", a=document(rows)).refused("no row fits")
    Tree("gemm results/a.json m=x", a=document(rows)).refused("not a number")
    Tree("gemm results/a.json batch=1", a=document(rows)).refused("'batch' is no filter")
    Tree("gemm results/a.json m=1 variants=none", a=document(rows)).refused("no row of variant none")


def sieves_by_rule():
    def made(variant, us, rule, **more):
        return row(variant, us, op="sieve", rule=rule, peak_bytes={"working": 62259}, **more)

    rows = [made("csr", 500, "residual"), made("csr", 1500, "outlier", floor_ns=3e4),
            made("coo", None, "outlier", status="skipped", reason="no memory")]
    text = Tree("sieve results/a.json", a=document(rows)).made()
    assert "| sieve | outlier | residual |" in text
    assert line_of(text, "csr")[1] == "1.50 ms ± 1.0 %<br>2.00 % of floor<br>60.8 KiB"
    assert line_of(text, "coo")[1:] == ["skipped", "–"]
    # 8 x 64 fp16, two groups a row: 1,024 bytes in; 256 + 32 + 36 + 16 out. Read twice: 2,388.
    rows.append(made("block-csr", 100, "residual", n=8, k=64, group=32, nnz=4, bytes=1364,
                     floor_ns=1364.0))
    text = Tree("sieve results/a.json", a=document(rows)).made()
    assert line_of(text, "block-csr")[2] == (
        "100 µs ± 1.0 %<br>1.36 % of floor, 41.9 × that of 2 reads<br>60.8 KiB")
    rows.append(made("csr", 3, "legacy", proj="k"))
    Tree("sieve results/a.json", a=document(rows)).refused("several projections")


def passes():
    def made(make, us, *variant):
        return make(*variant, us, l2="pass", linears=196, tokens_per_s={"value": 1e6 / us})

    rows = [made(dense, 4000), made(lambda v, us, **m: row(v, us, **m), 1000, "csr"),
            row("cusparse", None, l2="pass", linears=196, status="failed", reason="wrong"),
            row("memcpy", 900, role="ceiling", l2="pass", linears=196),
            row("csr", 1)]  # not a pass
    text = Tree("pass results/a.json", a=document(rows)).made()
    assert line_of(text, "dense")[1:] == ["4.00 ms ± 1.0 %", "250", "baseline", "50.0 %"]
    assert line_of(text, "csr")[1:] == ["1.00 ms ± 1.0 %", "1,000", "4.00×", "50.0 %"]
    assert line_of(text, "cusparse")[1:] == ["**failed**", "–", "–", "–"]
    assert line_of(text, "memcpy")[2:4] == ["–", "–"]
    assert "196 linears, one after the other" in text


def passes_in_forms():
    def made(make, us, form, *variant):
        return make(*variant, us, l2="pass", linears=196, form=form, tokens_per_s={"value": 1e6 / us})

    rows = [made(dense, 4000, "single"), made(dense, 3000, "grouped"), made(row, 1000, "single", "csr"),
            made(row, 600, "persistent", "csr"),
            row("coo", None, l2="pass", linears=196, form="persistent", status="skipped", reason="no chain")]
    text = Tree("pass results/a.json", a=document(rows)).made()
    assert "| pass | time | tokens/s | over dense | over dense, grouped | of floor |" in text
    assert line_of(text, "dense")[3:5] == ["baseline", "0.750×"]
    assert line_of(text, "dense, grouped")[3:5] == ["1.33×", "baseline"]
    assert line_of(text, "csr, persistent")[3:5] == ["6.67×", "5.00×"]
    assert line_of(text, "coo, persistent")[1:] == ["skipped", "–", "–", "–", "–"]
    assert "one after the other" not in text
    some = Tree("pass results/a.json variants=csr/persistent,dense", a=document(rows)).made()
    assert some.index("| csr, persistent |") < some.index("| dense |") and "csr |" not in some
    one = Tree("pass results/a.json form=single", a=document(rows)).made()
    assert "| pass | time | tokens/s | over dense | of floor |" in one and "grouped" not in one


def files_must_be_there_and_belong_together():
    Tree("gemm results/none.json").refused("none.json")
    Tree("gemm results/none*.json").refused("no file is called")
    Tree("gemm m=1").refused("names no file")
    Tree("plot results/a.json", a=document([])).refused("no kind 'plot'")
    Tree("gemm results/*.json", a=document([dense(1)]),
         b=document([dense(1)], gpu="NVIDIA H200")).refused("machine differs")
    Tree("gemm results/a.json", a={"schema": "other"}).refused("schema")
    without = Tree("gemm results/none.json")  # a file that no block names may be absent
    without.readme.write_text("no block\n")
    assert without.run("--check").returncode == 0


def an_edit_is_found():
    tree = Tree("gemm results/a.json", a=document([dense(10)]))
    text = tree.made()
    tree.readme.write_text(text.replace("10.0 ±", "9.00 ±"))
    said = tree.run("--check")
    assert said.returncode == 1 and "9.00 ±" in said.stderr and "10.0 ±" in said.stderr
    assert tree.made() == text
    tree.readme.write_text(text.replace("<!-- /table -->", ""))
    assert "the block has no end" in tree.run("--check").stderr
    tree.readme.write_text("<!-- table gemm a.json -->\n")
    assert "not a block" in tree.run("--check").stderr


def the_instrument_prints_its_own():
    source = pathlib.Path(sys.argv[1]) / "reports/results/cpu/llama-3.2-3b-gate.json"
    tree = Tree("instrument results/a.json op=gemm", a=json.loads(source.read_text()))
    said = tree.run("--bench", "/bin/false")
    assert said.returncode == 1 and "ortho-bench report" in said.stderr
    if BENCH:
        assert tree.run("--bench", *BENCH).returncode == 0
        text = tree.readme.read_text()
        assert "SYNTHETIC" in text and "\ngemm · L0.gate" in text
        assert "sieve ·" not in text and "time: median" not in text


def kernels_of_one_run():
    def launches(names):
        lines = ['"ID","Kernel Name","Metric Name","Metric Value"']
        for number, name in enumerate(names):
            lines += [f'"{number}","void {name}_kernel<float>(view)","{metric}","{value}"'
                      for metric, value in (
                          ("gpu__time_duration.sum", f"{1000 * (number + 1):,}"),
                          ("smsp__issue_active.avg.pct_of_peak_sustained_active", "75.4"),
                          ("dram__bytes.sum", "2,048"))]
        return "\n".join(lines) + "\n"

    def tree(names, marker="kernels results/a.csv from=first"):
        made = Tree(marker)
        (made.root / "results" / "a.csv").write_text(launches(names))
        return made

    # It begins in the middle of a run: the next one's launches come behind.
    text = tree(["last", "first", "again", "again", "last", "first"]).made()
    table = text[text.index("| kernel"):].splitlines()[2:6]
    assert table == ["| first | 2.00 µs | 75 % | 2.00 KiB |", "| again | 3.00 µs | 75 % | 2.00 KiB |",
                     "| again | 4.00 µs | 75 % | 2.00 KiB |", "| last | 1.00 µs | 75 % | 2.00 KiB |"]
    tree(["first", "last"]).refused("no whole run")
    tree(["other", "other"]).refused("no whole run from first")
    tree([], "kernels results/none.csv from=first").refused("none.csv")
    tree([], "kernels results/a.csv").refused("one file and from=KERNEL")


def split(rule, density, bits, error, **more):
    """A verified sieve of layer 0's q; `error` under held-out activations, a tenth of it under its own H."""
    held = {"h_weighted": error, "output_rel_mse": error ** 2 / 4}
    made = row("csr", 5, op="sieve", rule=rule, density=density,
               quality={"bits_per_weight": bits, "h_weighted": error / 10, "held_out": held})
    made["key"] = f"sieve/csr/{rule}/{density}"
    made.update(more)
    return made


def quality_by_density():
    rows = [split(rule, density, 4.125 + 32 * density, error * scale, layer=layer)
            for layer, scale in ((0, 1), (1, 4)) for rule, density, error in
            (("residual", 0, 0.11), ("residual", 0.01, 0.06), ("outlier", 0.01, 0.05), ("outlier", 0, 0.1))]
    text = Tree("quality results/a.json", a=document(rows)).made()
    assert "| rule | group | 0 % | 1 % |" in text and "a-model · 2 slices · commit abc1234" in text
    assert line_of(text, "outlier")[1:] == ["128", "20.00 %<br>4.12 bit", "10.00 %<br>4.45 bit"]
    assert line_of(text, "residual")[1:] == ["128", "22.00 %<br>4.12 bit", "12.00 %<br>4.45 bit"]
    assert text.index("| outlier |") < text.index("| residual |") and "SYNTHETIC" not in text
    assert "SYNTHETIC" in Tree("quality results/a.json", a=document(rows, synthetic=True)).made()
    wide = [split("legacy", 0, 4, 0.5), split("outlier", 0, 4, 0.2, group=3072),
            split("outlier", 0, 4, 0.8, group=768, k=768, proj="k"), split("legacy", 0, 4, 0.5, proj="k")]
    text_of_rows = Tree("quality results/a.json", a=document(wide)).made()
    assert line_of(text_of_rows, "outlier")[1:] == ["row", "40.00 %<br>4.00 bit"]
    assert line_of(text_of_rows, "legacy")[1:] == ["row", "50.00 %<br>4.00 bit"]
    own = Tree("quality results/a.json by=own rule=outlier layer=0", a=document(rows)).made()
    assert line_of(own, "outlier")[2:] == ["1.00 %<br>4.12 bit", "0.50 %<br>4.45 bit"]
    assert "| residual" not in own
    output = Tree("quality results/a.json by=output", a=document(rows)).made()
    assert line_of(output, "outlier")[2] == "10.00 %<br>4.12 bit"


def quality_at_equal_bits():
    rows = [split(rule, density, bits, error) for rule, density, bits, error in
            (("outlier", 0, 4, 0.16), ("outlier", 0.1, 6, 0.04), ("residual", 0, 4.5, 0.1),
             ("residual", 0.1, 6, 0.06))]
    text = Tree("equal-bits results/a.json bits=4,5,6.5", a=document(rows)).made()
    assert line_of(text, "outlier")[2:] == ["**16.00 %**", "**8.00 %**", "–"]
    assert line_of(text, "residual")[2:] == ["–", "8.43 %", "–"]  # 0.1^(2/3) 0.06^(1/3)
    Tree("equal-bits results/a.json", a=document(rows)).refused("bits=A,B")


def quality_needs_verdicts_and_one_set_of_slices():
    good = split("outlier", 0, 4, 0.16)

    def refused(words, *rows, marker="quality results/a.json"):
        Tree(marker, a=document([good, *rows])).refused(words)

    refused("failed", split("outlier", 0.1, 5, 0.1, status="failed"))
    refused("no figure without a verdict", split("outlier", 0.1, 5, 0.1, verified={"before": "pass"}))
    refused("two rows of one slice", split("outlier", 0, 4, 0.1))
    refused("same slices", split("outlier", 0.1, 5, 0.1, layer=1))
    refused("it has no held_out.h_weighted", split("outlier", 0.1, 5, 0.1, quality={"bits_per_weight": 4}))
    refused("it has no held_out.h_weighted", split("outlier", 0.1, 5, 0))
    refused("by=guess", marker="quality results/a.json by=guess")
    refused("takes one file", marker="quality results/a.json batch=1")
    refused("no row fits", marker="quality results/a.json rule=legacy")
    refused("b.json", marker="quality results/b.json")


def stream(seconds, share, **more):
    made = {"schema": "ortho-bench-sieve/1", "status": "ok", "backend": "cpu", "seconds": seconds,
            "model": {"name": "m", "synthetic": False}, "options": {"memory_budget": 1 << 20},
            "bytes": {"read": 5e9, "written": 2e9}, "size": {"bits_per_weight": 4.5},
            "memory": {"host_before": 1 << 20, "host_peak": 3 << 20},
            "ceilings": {"floor_seconds": 1.5, "slowest": "read", "share": share}}
    made.update(more)
    return made


def streams_of_a_checkpoint():
    runs = {f"cpu-{i}": stream(i, i / 10) for i in (1, 2, 4)}
    text = Tree("stream results/*.json", **runs).made()
    assert "| cpu | 3 | 2.00 s | 1.50 s, reading | 20 % (least 10 %) | 2.00 MiB | – |" in text
    assert "5.00 GB read" in text and "SYNTHETIC" not in text
    made = {"name": "m", "synthetic": True}
    assert "SYNTHETIC" in Tree("stream results/*.json", a=stream(1, 1, model=made)).made()
    Tree("stream results/*.json", a=stream(1, 1, status="interrupted")).refused("no run that ended well")
    Tree("stream results/*.json", a=stream(1, 1), b=stream(1, 1, model=made | {"name": "n"})).refused(
        "several models")
    unmeasured = stream(1, 1)
    del unmeasured["ceilings"]
    Tree("stream results/*.json", a=unmeasured).refused("without --measure")
    Tree("stream results/none*.json").refused("no such file")


TESTS = (streams_of_a_checkpoint, quality_by_density, quality_at_equal_bits, quality_needs_verdicts_and_one_set_of_slices,
         kernels_of_one_run, medians_over_processes, one_process_has_its_interval,
         a_file_of_several_processes_says_so,
         columns_are_projections_and_rows_have_an_order, nothing_without_a_verdict,
         one_process_that_failed_is_enough, synthetic_is_said_and_never_pooled, filters_choose,
         sieves_by_rule, passes, passes_in_forms, files_must_be_there_and_belong_together, an_edit_is_found,
         the_instrument_prints_its_own)

if __name__ == "__main__":
    for test in TESTS:
        test()
        print(f"ok {test.__name__}")
