"""What scripts/calibrate-minilm does; its --help tells the rest.

usage: calibrate_minilm.py MODEL_FOLDER FOLDER [options of scripts/calibrate-minilm]
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from bert import Encoder

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST, SHORTEST = 128, 8  # tokens of a sequence, [CLS] and [SEP] included: the model was trained on 128


def paragraphs(text):
    """The prose of Markdown: what stands between blank lines, without code, tables and comments."""
    prose, fenced = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            line = ""
        table = line.startswith(("|", "<!--", "!["))
        prose.append("" if fenced or table else line)
    blocks = "\n".join(prose).split("\n\n")
    return [" ".join(block.split()) for block in blocks if block.strip()]


def sequences(tokenizer, files):
    """Token ids of each paragraph of the files, those too short left out."""
    found = []
    for file in files:
        for paragraph in paragraphs(file.read_text()):
            ids = tokenizer.encode(paragraph).ids
            if len(ids) >= SHORTEST:
                found.append(ids)
    return found


def spread(found, tokens):
    """Every n-th sequence, so that at least `tokens` come from all over the text."""
    total = sum(map(len, found))
    if total < tokens:
        sys.exit(f"the held-out text has {total} tokens of prose, fewer than the {tokens} of --tokens")
    for step in range(len(found), 0, -1):
        chosen = found[::step]
        if sum(map(len, chosen)) >= tokens:
            return chosen
    return found


def activations(encoder, found, tokens):
    """{weight: [tokens, k]}, the first ones."""
    parts = {}
    for ids in found:
        encoder.run(ids, lambda name, x: parts.setdefault(name, []).append(x.copy()))
    return {name: np.ascontiguousarray(np.concatenate(part)[:tokens], dtype=np.float32)
            for name, part in parts.items()}


def diagonals(encoder, found):
    """{weight: [k]}: the mean over all tokens of x^2, summed in double."""
    sums = {}

    def add(name, x):
        sums[name] = sums.get(name, 0) + (x.astype(np.float64) ** 2).sum(0)

    for ids in found:
        encoder.run(ids, add)
    count = sum(map(len, found))
    return {name: (total / count).astype(np.float32) for name, total in sums.items()}


def write(path, tensors, about):
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata={key: str(value) for key, value in about.items()})
    with part.open("rb") as f:
        os.fsync(f.fileno())
    part.replace(path)
    shape = next(iter(tensors.values())).shape
    print(f"{path}: {len(tensors)} tensors, the first {list(shape)}, of {about['tokens']} tokens")


def hash_of(files):
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def load_encoder(folder):
    """The encoder and its tokenizer, or the end with what to do."""
    try:
        weights = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # of either package, or of the file system
        sys.exit(f"{folder}: {error}: scripts/setup fetches the model and its tokenizer")
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    known = json.loads((ROOT / "datasets/models.json").read_text())["models"]
    heads = next(m for m in known if m["name"] == "minilm-l6")["config"]["heads"]
    return Encoder(weights, heads), tokenizer


def parse():
    parser = argparse.ArgumentParser(prog="scripts/calibrate-minilm")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    docs = [p for p in sorted((ROOT / "docs").glob("*.md")) if p.name != "SIEVE.md"]
    parser.add_argument("--text", type=pathlib.Path, nargs="+", default=docs)
    parser.add_argument("--held-out-text", type=pathlib.Path, nargs="+", default=[ROOT / "README.md"])
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--activations", action="store_true")
    options = parser.parse_args()
    if options.tokens < 1:
        parser.error("--tokens: 1 or more")
    return options


def main():
    options = parse()
    encoder, tokenizer = load_encoder(options.model)
    try:
        texts = [sequences(tokenizer, files) for files in (options.text, options.held_out_text)]
        hashes = [hash_of(files) for files in (options.text, options.held_out_text)]
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{error}")
    if not texts[0]:
        sys.exit("the text to calibrate on has no paragraph of prose")
    options.folder.mkdir(parents=True, exist_ok=True)
    total = sum(map(len, texts[0]))
    made = activations(encoder, texts[0], total) if options.activations else diagonals(encoder, texts[0])
    write(options.folder / "calibration.safetensors", made,
          {"model": "minilm-l6", "tokens": total, "text_sha256": hashes[0]})
    write(options.folder / "held-out.safetensors",
          activations(encoder, spread(texts[1], options.tokens), options.tokens),
          {"model": "minilm-l6", "tokens": options.tokens, "text_sha256": hashes[1]})


if __name__ == "__main__":
    main()
