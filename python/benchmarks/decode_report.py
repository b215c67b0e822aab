"""decode.py's document: how it is written, and the table that is made from it."""

from __future__ import annotations

import json
import os
import pathlib
import statistics

SCHEMA = "ortho-python-decode-1"
HEADER = ("weights", "mode", "tokens/s", "min..max", "ms/token", "÷ stock", "held", "peak", "verdict")
RIGHT = range(2, 8)  # columns of numbers


class Unreadable(Exception):
    """No document of decode.py."""


def summarise(document: dict) -> None:
    """Medians and ratios from the rounds' seconds, and the whole run's status. A mode that isn't ok
    gets none, and loses its seconds: there is no number without a verdict."""
    steps = document["options"]["tokens"]
    stock = document["variants"][0]["modes"] if document["variants"] else {}
    for variant in document["variants"]:
        for name, mode in variant["modes"].items():
            if mode["status"] != "ok":
                for key in ("seconds", "readings"):
                    mode.pop(key, None)
                continue
            rates = [steps / s for s in mode["seconds"]]
            mode["tokens_per_s"] = {"median": statistics.median(rates), "lo": min(rates),
                                    "hi": max(rates)}
            mode["ms_per_token"] = 1e3 * statistics.median(mode["seconds"]) / steps
            base = stock.get(name, {})
            if base.get("status") == "ok" and variant["name"] != "stock":
                mode["over_stock"] = statistics.median(
                    a / b for a, b in zip(base["seconds"], mode["seconds"]))
    states = [v["status"] for v in document["variants"]] + \
        [m["status"] for v in document["variants"] for m in v["modes"].values()]
    document["status"] = "failed" if "failed" in states else \
        "interrupted" if document["interrupted"] or "interrupted" in states else "ok"


# ---- the file ------------------------------------------------------------------------------------

def check_folder(path: str) -> str | None:
    """Why no file can be written there; None: it can."""
    folder = pathlib.Path(path).resolve().parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    if pathlib.Path(path).is_dir():
        return f"{path} is a folder"
    return None if os.access(folder, os.W_OK) else f"{folder} can't be written"


def write(document: dict, path: str) -> None:
    """Whole or not at all."""
    partial = f"{path}.partial-{os.getpid()}"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        pathlib.Path(partial).unlink(missing_ok=True)


def read(path: str) -> dict:
    """Raises Unreadable."""
    try:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise Unreadable(f"{path}: no document of decode.py, whose schema is {SCHEMA}")
    return document


# ---- the table -----------------------------------------------------------------------------------

def label(variant: dict) -> str:
    return variant["name"] if variant["name"] == "stock" else f"libortho {100 * variant['density']:g} %"


def size(number: int | None) -> str:
    return "" if number is None else f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def row(variant: dict, name: str, mode: dict) -> tuple[str, ...]:
    """Cells under HEADER. One that isn't ok has no speeds, and says why."""
    memory = variant.get("memory", {})
    tail = size(memory.get("held_bytes")), size(memory.get("peak_driver_bytes"))
    if mode["status"] != "ok":
        why = f": {mode['reason']}" if mode.get("reason") else ""
        return (label(variant), name, "", "", "", "", *tail, mode["status"] + why)
    rate = mode["tokens_per_s"]
    ratio = f"{mode['over_stock']:.2f}" if "over_stock" in mode else ""
    return (label(variant), name, f"{rate['median']:.1f}", f"{rate['lo']:.1f}..{rate['hi']:.1f}",
            f"{mode['ms_per_token']:.3f}", ratio, *tail, "ok")


def rows(document: dict) -> list[tuple[str, ...]]:
    lines = []
    for variant in document["variants"]:
        modes = variant["modes"] or {"": variant}  # it never came to decoding
        lines += [row(variant, name, mode) for name, mode in modes.items()]
    return lines


def headline(document: dict) -> str:
    """What was run, and on what."""
    model, options, versions = document["model"], document["options"], document["versions"]
    made = "synthetic weights" if model["synthetic"] else "a checkpoint's weights"
    status = "" if document["status"] == "ok" else f" The run: {document['status']}."
    done = max((len(mode.get("seconds", ())) for variant in document["variants"]
                for mode in variant["modes"].values()), default=0)
    return (f"{model['name']} ({made}, {model['layers']} layers, {model['dtype']}) on "
            f"{document['device']['name']}: batch 1, {options['prompt']} tokens of prompt, then "
            f"{options['tokens']} timed, {done} of {options['rounds']} rounds in turns; PyTorch "
            f"{versions['torch']}, Transformers {versions['transformers']}.{status}")


def heads(document: dict) -> str:
    """The output embeddings' share of the weights that a token reads."""
    shares = [f"{100 * v['head_share']:.0f} % ({label(v)})" for v in document["variants"]
              if "head_share" in v]
    if not shares:
        return ""
    tied = ", tied to the embeddings," if document["model"]["head"]["tied"] else ""
    return (f"The output embeddings{tied} stay stock: {size(document['model']['head']['bytes'])}, of "
            f"the weights that a token reads {', '.join(shares)}.")


def clean(text: str) -> str:
    """What another file's text may do to a terminal or a table: nothing."""
    return "".join(c if c.isprintable() else " " for c in text)


def table(document: dict) -> str:
    """For a terminal."""
    lines = [tuple(map(clean, line)) for line in [HEADER, *rows(document)]]
    wide = [max(len(line[i]) for line in lines) for i in range(len(HEADER) - 1)] + [0]
    text = ["  ".join(cell.rjust(w) if i in RIGHT else cell.ljust(w)
                      for i, (cell, w) in enumerate(zip(line, wide))).rstrip() for line in lines]
    return "\n".join([clean(headline(document)), "", *text, "", clean(heads(document))]).rstrip() + "\n"


def render(document: dict) -> str:
    """Markdown: what docs/PYTHON.md has. Raises Unreadable: the document lacks something."""
    try:
        lines = [[clean(cell).replace("|", "\\|") for cell in line] for line in rows(document)]
        text = [clean(headline(document)), "", "| " + " | ".join(HEADER) + " |",
                "|" + "|".join("--:" if i in RIGHT else "---" for i in range(len(HEADER))) + "|",
                *("| " + " | ".join(line) + " |" for line in lines)]
        return "\n".join([*text, "", clean(heads(document))]).rstrip() + "\n"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"the document is damaged: {error!r}") from error
