"""Draws the pictures of the pages while the pages are built. Some show figures of real data,
others how a setting changes a model of made-up data."""

import ast
import base64
import io
import json
import tempfile
import textwrap
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path as MplPath

import cymbals

BLUE, ORANGE, GREEN = "#2b6cb0", "#c05621", "#2f855a"
CUTOFF = "ndcg@10"


@cache
def listeners():
    """The data of 1,000 made-up listeners, split into a train and a validation part."""
    with tempfile.TemporaryDirectory() as folder:
        cymbals.datasets.synthetic.write(folder, n_listeners=1000, n_artists=600, seed=1)
        return cymbals.split.random(cymbals.audioscrobbler.load(folder), 0.2, seed=0)


def fitted(**settings):
    return cymbals.ALS(**{"factors": 16, "confidence": "log", "random_state": 0} | settings).fit(listeners()[0])


def panel(width=6.0, height=3.4):
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


class Pair:
    """Two pictures: beside each other on a wide screen, one below the other on a narrow one."""

    def __init__(self):
        (self.first, self.left), (self.second, self.right) = panel(4.2, 3.1), panel(4.2, 3.1)

    def _repr_html_(self):
        return f'<div class="pictures">{image(self.first)}{image(self.second)}</div>'


class Wide:
    """A picture that keeps a minimum width, so that its text stays readable on a narrow screen."""

    def __init__(self, figure):
        self.figure = figure

    def _repr_html_(self):
        return f'<div class="wide">{image(self.figure)}</div>'


def image(figure):
    """An HTML image of a figure."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    coded = base64.b64encode(file.getvalue().encode()).decode()
    title = figure.axes[0].get_title() or figure.axes[0].get_title("left")
    return f'<img alt="{title}" src="data:image/svg+xml;base64,{coded}">'


def confidence():
    """The weight of an entry by its value."""
    pair = Pair()
    counts = np.geomspace(1, 1000, 200)
    for axes, alpha in ((pair.left, 1), (pair.right, 0.01)):
        axes.plot(counts, 1 + alpha * counts, color=BLUE, label='"linear"')
        axes.plot(counts, 1 + alpha * np.log1p(counts), color=ORANGE, label='"log"')
        axes.plot(counts, np.full_like(counts, 1 + alpha), color=GREEN, label='"binary"')
        axes.axhline(1, color="grey", linestyle=":", label="no entry")
        axes.set(xscale="log", yscale="log", ylim=(0.8, 1200), xlabel="play count r", title=f"alpha = {alpha}")
    pair.left.set_ylabel("weight of the cell")
    pair.left.legend(frameon=False, fontsize=9)
    return pair


@cache
def measured():
    """The figures of benchmarks/curves.py: the name of a data set -> the setting -> the label of a curve -> its points."""
    return json.loads(Path(__file__).with_name("curves.json").read_text(encoding="utf-8"))["sets"]


def curves(setting, label, log=True):
    """NDCG@10 by one setting, on each data set."""
    pair = Pair()
    for axes, (name, of_set) in zip((pair.left, pair.right), measured().items(), strict=True):
        for (line, points), color in zip(of_set[setting].items(), (BLUE, ORANGE, GREEN, "grey"), strict=False):
            axes.plot(*_columns(points, setting, "ndcg@10"), "o-", color=color, label=line, markersize=4)
        axes.set(xlabel=label, ylim=(0, 1.08 * axes.dataLim.ymax), title=name)
        if log:
            _powers_of_two(axes, label == setting)
        if len(of_set[setting]) > 1:
            axes.legend(frameon=False, fontsize=9)
    pair.left.set_ylabel("NDCG@10 on held-out entries")
    return pair


def disagreement(setting, line, label):
    """NDCG@10 and AUC by one setting, on each data set. Each metric has an axis of its own."""
    pair = Pair()
    for axes, (name, of_set) in zip((pair.left, pair.right), measured().items(), strict=True):
        for one, metric, color in ((axes, "ndcg@10", BLUE), (axes.twinx(), "auc", ORANGE)):
            one.plot(*_columns(of_set[setting][line], setting, metric), "o-", color=color, markersize=4)
            one.set_ylabel({"ndcg@10": "NDCG@10", "auc": "AUC"}[metric], color=color)
            one.tick_params(axis="y", labelcolor=color)
            one.spines["top"].set_visible(False)
        axes.set(xlabel=label, title=name)
        _powers_of_two(axes, label == setting)
    return pair


def _columns(points, *names):
    return [[point[name] for point in points] for name in names]


def _powers_of_two(axes, as_numbers):
    axes.set_xscale("log", base=2)
    if as_numbers:
        axes.xaxis.set_major_formatter("{x:g}")


def alpha():
    """NDCG@10 of HetRec by alpha, for three confidences. (Gowalla has no counts.)"""
    figure, axes = panel()
    for (line, points), color in zip(measured()["HetRec Last.fm"]["alpha"].items(), (BLUE, ORANGE, GREEN), strict=True):
        axes.plot(*_columns(points, "alpha", "ndcg@10"), "o-", color=color, label=f'confidence="{line}"', markersize=4)
    axes.set(xscale="log", xlabel="alpha", ylabel="NDCG@10 on held-out entries", ylim=(0, None), title="HetRec Last.fm")
    axes.legend(frameon=False, fontsize=9)
    return figure


def nu():
    """How regularization grows with the number of a row's entries."""
    pair = Pair()
    entries, n_others = np.geomspace(1, 10_000, 100), 20_000
    for axes, unobserved in zip((pair.left, pair.right), (1, 0.001), strict=True):
        for exponent, color in ((0, GREEN), (0.5, ORANGE), (1, BLUE)):
            scaled = ((entries + unobserved * n_others) / (30 + unobserved * n_others)) ** exponent
            axes.plot(entries, scaled, color=color, label=f"nu = {exponent:g}")
        title = f"unobserved_weight = {unobserved:g}"
        axes.set(xscale="log", yscale="log", ylim=(0.1, 300), xlabel="entries of the user", title=title)
    pair.left.set_ylabel("regularization, as a multiple of\nthat of a user with 30 entries", fontsize=9)
    pair.left.legend(frameon=False, fontsize=9)
    return pair


def negatives():
    """The exact AUC of a model, and the AUCs from negatives drawn from three different sets of items."""
    figure, axes = panel(height=2.4)
    train, test = listeners()
    model = fitted(regularization=5.0, alpha=0.1)
    names = ["exact", *(f'drawn from "{kind}"' for kind in ("unseen", "catalogue", "train"))]
    values = [cymbals.evaluate(model, train, test)["auc"]]
    for kind in ("unseen", "catalogue", "train"):
        drawn = cymbals.validation.sampled_auc(model, train, test, negatives=kind, n_samples=20)
        values.append(float(np.nanmean(drawn)))
    bars = axes.barh(names, values, color=[GREEN, BLUE, BLUE, ORANGE], height=0.6)
    axes.bar_label(bars, fmt="%.3f", padding=4)
    axes.axvline(0.5, color="grey", linestyle=":")
    axes.set(xlim=(0, 1), xlabel="AUC of the same model")
    axes.invert_yaxis()
    return figure


def iterations():
    """The quality of the ranking after each iteration, with and without over-relaxation."""
    figure, axes = panel()
    train, validation = listeners()
    for relaxation, color, name in ((1.0, BLUE, "relaxation=1"), (None, ORANGE, "relaxation=None")):
        trace = []
        model = cymbals.ALS(factors=64, confidence="log", random_state=0, iterations=15, relaxation=relaxation)
        model.fit(train, callback=lambda m, _, trace=trace: trace.append(cymbals.evaluate(m, train, validation)[CUTOFF]))
        axes.plot(range(1, len(trace) + 1), trace, "o-", color=color, label=name, markersize=4)
    axes.set(xlabel="iteration", ylabel="NDCG@10 on held-out entries", ylim=(0, None), xticks=range(0, 16, 5))
    axes.legend(frameon=False, fontsize=9)
    return figure


def architecture():
    """The folders of src/cymbals from top to bottom, and an arc for each import between two of them."""
    root = Path(__file__).parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    place = {name: -row for row, name in enumerate(layers)}
    figure = Figure(figsize=(8.4, 0.62 * len(layers) + 1.2), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    width = 5.6
    for name, y in place.items():
        tree = ast.parse((root / "src/cymbals" / name / "__init__.py").read_text(encoding="utf-8"))
        axes.add_patch(Rectangle((0, y - 0.36), width, 0.72, facecolor="#edf2f7", edgecolor=BLUE, linewidth=1))
        axes.text(0.12, y + 0.13, f"{name}/", va="center", weight="bold", fontsize=10, color=BLUE)
        words = textwrap.shorten(ast.get_docstring(tree).partition("\n")[0], 112, placeholder=" …")
        axes.text(0.12, y - 0.17, words, va="center", fontsize=7.5)
    for name in layers:
        for other in sorted(_imported(root / "src/cymbals" / name) & set(layers) - {name}, key=layers.index):
            start, end = place[name], place[other]
            bulge = 0.28 * (start - end) ** 0.8
            corners = [(width, start), (width + bulge, start), (width + bulge, end), (width, end + 0.06)]
            curve = MplPath(corners, [MplPath.MOVETO, *3 * [MplPath.CURVE4]])
            arrow = FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=7, color=ORANGE, linewidth=0.8, alpha=0.75)
            axes.add_patch(arrow)
    base = place[layers[-1]]
    core = "Calls C++: turns arrays into pointers, releases the GIL, raises errors. Every folder may import it."
    library = "libcymbals, the library in C++ without Python: operations, and kernels for each instruction set."
    below = (("_core.pyx", core), ("csrc/", library))
    for row, (name, words) in enumerate(below, 1):
        y = base - row - 0.25
        axes.add_patch(Rectangle((0, y - 0.36), width, 0.72, facecolor="#fffaf0", edgecolor=ORANGE, linewidth=1))
        axes.text(0.12, y + 0.13, name, va="center", weight="bold", fontsize=10, color=ORANGE)
        axes.text(0.12, y - 0.17, words, va="center", fontsize=7.5)
    axes.set(xlim=(-0.05, width + 2.1), ylim=(base - 2.75, 0.45))
    axes.set_axis_off()
    axes.set_title("The folders of src/cymbals, and what each imports", fontsize=10, loc="left")
    return Wide(figure)


def _imported(folder):
    """The folders of src/cymbals that the modules of one folder import. Imports for type checkers are left out."""
    found = set()
    for path in folder.rglob("*.py"):
        depth = len(path.relative_to(folder).parts)
        for node in _seen_when_run(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == depth + 1:
                found |= {node.module.partition(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def _seen_when_run(node):
    """The nodes of a syntax tree, without the bodies of `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _seen_when_run(child)
