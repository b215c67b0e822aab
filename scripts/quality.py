"""The quality of sieves over many rules, groups and densities: scripts/readme-tables makes tables of it.

A figure is the geometric mean over the slices of one results document, so that a slice whose error is
large doesn't outweigh the others. Every figure of a table is over the same slices, each verified.
"""

import collections
import json
import math

from figures import state_of

RULES = ("outlier", "residual", "legacy")
JUDGES = {
    "held-out": ("held_out.h_weighted", "H-weighted error under activations that the sieve didn't see"),
    "own": ("h_weighted", "H-weighted error under the H that the sieve used"),
    "output": ("held_out.output_rel_mse",
               "error of the layer's outputs, √ of its share of their energy, on activations that the "
               "sieve didn't see"),
}


class Refused(Exception):
    """Why a table can't be made, in words."""


def line_of(row):
    """Rule and group, which is "row" where one scale serves a whole row, however long it is."""
    whole = row["rule"] == "legacy" or row["group"] in ("row", row["k"])
    return row["rule"], "row" if whole else str(row["group"])


def look_up(row, path):
    value = row.get("quality", {})
    for key in path.split("."):
        value = value.get(key, {})
    if not isinstance(value, (int, float)) or value <= 0:
        raise Refused(f"{row['key']}: it has no {path}")
    return value


class Grid:
    """{(rule, group): [(density, bits, error)]} of a document."""

    def __init__(self, path, judge, kept):
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise Refused(f"{path.name}: {error}") from error
        if judge not in JUDGES:
            raise Refused(f"by={judge}: one of {', '.join(JUDGES)}")
        self.key, self.meaning = JUDGES[judge]
        self.context = document["context"]
        self.lines, self.slices = self.measure([row for row in document["results"] if kept(row)])

    def measure(self, rows):
        cells = collections.defaultdict(dict)
        for row in rows:
            if state_of(row) not in ("ok", "ambiguous"):  # ambiguous is a time: a split has none
                raise Refused(f"{row['key']}: {row['status']}, and no figure without a verdict")
            at = line_of(row), row["density"]
            slice_of = (row.get("layer"), row.get("proj"))
            if slice_of in cells[at]:
                raise Refused(f"two rows of one slice: {row['key']}")
            error = look_up(row, self.key)
            error = math.sqrt(error) if self.key.endswith("mse") else error
            cells[at][slice_of] = (look_up(row, "bits_per_weight"), error)
        if not cells:
            raise Refused("no row fits")
        if len({frozenset(cell) for cell in cells.values()}) > 1:
            raise Refused("its densities aren't of the same slices")
        lines = collections.defaultdict(list)
        for (line, density), cell in sorted(cells.items(), key=lambda c: c[0][1]):
            bits = sum(b for b, _ in cell.values()) / len(cell)
            error = math.exp(sum(math.log(e) for _, e in cell.values()) / len(cell))
            lines[line].append((density, bits, error))
        return dict(sorted(lines.items(), key=lambda l: order(l[0]))), len(cell)

    def caption(self, what):
        model = self.context["model"]
        text = [f"{model['name']} · {self.slices} slices · commit {self.context.get('commit', 'unknown')}.",
                f"{what}: {self.meaning}, geometric mean over the slices."]
        if model["synthetic"]:
            text.insert(0, "**SYNTHETIC weights: made, not trained.**")
        return text


def order(line):
    rule, group = line
    return (RULES + (rule,)).index(rule), math.inf if group == "row" else float(group)


def percent(value):
    return f"{100 * value:.2f} %"


def at_bits(line, bits):
    """The error of a line at so many bits: straight between its points in the error's logarithm. None
    beyond its ends."""
    for (_, left, before), (_, right, after) in zip(line, line[1:]):
        if left <= bits <= right:
            share = (bits - left) / (right - left)
            return math.exp((1 - share) * math.log(before) + share * math.log(after))
    return None


def by_density(grid, _):
    """A row a rule and group, a column a density: the error and the bits that it takes."""
    densities = sorted({d for line in grid.lines.values() for d, _, _ in line})
    body = []
    for (rule, group), line in grid.lines.items():
        cells = {d: f"{percent(error)}<br>{bits:.2f} bit" for d, bits, error in line}
        body.append([rule, group] + [cells.get(d, "–") for d in densities])
    head = ["rule", "group"] + [f"{100 * d:g} %" for d in densities]
    return grid.caption("By the density of Ortho, with the bits that a weight takes"), head, body


def by_bits(grid, wanted):
    """A row a rule and group, a column a number of bits: the error there, the least in bold."""
    if not wanted:
        raise Refused("it takes bits=A,B,...")
    columns = [float(bits) for bits in wanted.split(",")]
    found = {name: [at_bits(line, bits) for bits in columns] for name, line in grid.lines.items()}
    least = [min((f[i] for f in found.values() if f[i]), default=None) for i in range(len(columns))]
    def cell(error, best):
        if error is None:
            return "–"
        return f"**{percent(error)}**" if percent(error) == percent(best) else percent(error)

    body = [[*line, *map(cell, errors, least)] for line, errors in found.items()]
    head = ["rule", "group"] + [f"{bits:g} bit" for bits in columns]
    return grid.caption("At equal bits, between the measured densities by interpolation, the least in "
                        "bold"), head, body


KINDS = {"quality": by_density, "equal-bits": by_bits}


def table(root, kind, words, fits):
    """Lines above a table, its head and its body. `fits(row, key, wanted)` tells whether a row is kept."""
    names = [w for w in words if "=" not in w]
    options = dict(w.split("=", 1) for w in words if "=" in w)
    judge, bits = options.pop("by", "held-out"), options.pop("bits", "")
    unknown = set(options) - {"rule", "group", "layer", "proj", "density"}
    if len(names) != 1 or unknown:
        raise Refused(f"{kind} takes one file, by=, bits=, and filters: rule, group, layer, proj, density")
    grid = Grid(root / names[0], judge,
                lambda row: all(fits(row, key, wanted) for key, wanted in options.items()))
    return KINDS[kind](grid, bits)
