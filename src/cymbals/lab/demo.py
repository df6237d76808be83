"""`cymbals demo`: the laboratory from raw files to named recommendations, on data whose truth is known."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rich.console import Console

from ..data import audioscrobbler, split
from ..data.datasets import synthetic
from ..evaluation.baselines import contenders
from ..evaluation.evaluate import evaluate
from ..model.als import ALS
from .describe import describe

Show = Callable[[Console, Mapping[str, Any]], None]


def run(console: Console, n_listeners: int, seed: int, n_threads: int | None, show: Show) -> None:
    """Every step, with what it found."""
    with tempfile.TemporaryDirectory(prefix="cymbals-demo-") as folder:
        console.rule("1. Raw files")
        planted = synthetic.write(folder, n_listeners, seed=seed)
        console.print(f"{n_listeners:,} made-up listeners, in Audioscrobbler's three files, in {folder}")
        raw = audioscrobbler.read(folder)
    console.print(
        f"{len(raw.plays_):,} play counts, {len(raw.names_):,} artist names, {len(raw.aliases_):,} aliases",
        highlight=False,
    )
    rejected = [{"file": r.file, "reason": r.reason, "lines": r.lines, "first line": r.first_line} for r in raw.rejected]
    show(console, {"lines rejected": rejected})

    console.rule("2. Cleaning, activity and popularity")
    data = raw.clean()
    show(console, {name: rows for name, rows in describe(data, top=5).tables.items() if not name.startswith("top users")})

    console.rule("3. Fit")
    train, test = split.random(data, test_fraction=0.1, seed=seed)
    model = ALS(factors=20, regularization=0.1, confidence="log", n_threads=n_threads, random_state=seed)
    model.fit(train, compute_loss=True, progress=True)
    history = [
        {"iteration": h["iteration"], "seconds": f"{h['seconds']:.4f}", "loss": f"{h['loss']:.6f}"} for h in model.history_
    ]
    show(console, {f"{model} on {train.nnz:,} counts": history[:3] + history[-1:]})

    console.rule("4. Validation on the tenth held out")
    compared = contenders(model, train, seed)
    metrics = {name: evaluate(m, train, test, n_threads=n_threads) for name, m in compared.items()}
    rows = [{"metric": m} | {name: f"{found[m]:.4f}" for name, found in metrics.items()} for m in metrics["ALS"]]
    show(console, {"ranking of held-out artists": rows})
    auc, gain = metrics["ALS"]["auc"], metrics["ALS"]["auc"] - metrics["popularity"]["auc"]
    console.print(f"AUC {auc:.4f}, {gain:.4f} above popularity", highlight=False)

    console.rule("5. Recommendations")
    started = time.perf_counter()
    ids, _ = model.recommend(data.user_ids, n=5, n_threads=n_threads)
    seconds = time.perf_counter() - started
    fits = [
        planted.style_of_artist.get(artist) in planted.tastes_of_user[user]
        for user, artists in zip(data.user_ids.tolist(), ids.tolist(), strict=True)
        for artist in artists
    ]
    # a listener of one style, so that a reader sees at once whether the list fits
    listener = next((row for row, u in enumerate(data.user_ids.tolist()) if len(planted.tastes_of_user[u]) == 1), 0)
    user = data.user_ids[listener]
    best: list[dict[str, Any]] = [
        {"rank": rank, "artist": model.name_of(a), "style": planted.style_of_artist.get(a, "?"), "score": f"{s:.3f}"}
        for rank, (a, s) in enumerate(zip(*model.recommend(user, n=5), strict=True), 1)
    ]
    show(console, {f"for listener {user}, who likes {', '.join(sorted(planted.tastes_of_user[user]))}": best})
    artist = data.item_ids[int(np.argmax(np.bincount(train.csr.indices, minlength=data.shape[1])))]
    rows = [
        {"artist": model.name_of(a), "style": planted.style_of_artist.get(a, "?"), "cosine": f"{s:.3f}"}
        for a, s in zip(*model.similar_items(artist, n=5), strict=True)
    ]
    show(console, {f"like {model.name_of(artist)} ({planted.style_of_artist.get(artist, '?')})": rows})
    console.print(
        f"{np.mean(fits):.3f} of the top-5 recommendations for all {len(data.user_ids):,} listeners "
        f"fit their planted taste ({seconds:.2f} s)",
        highlight=False,
    )
