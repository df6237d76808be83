"""`cymbals demo`: every step from raw files to named recommendations, on made-up data whose listeners have known tastes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..data import audioscrobbler, split
from ..data.datasets import synthetic
from ..data.interactions import Interactions
from ..evaluation.baselines import contenders
from ..evaluation.evaluate import evaluate
from ..model.als import ALS
from .describe import describe

Show = Callable[[Console, Mapping[str, Any]], None]


def run(console: Console, n_listeners: int, seed: int, n_threads: int | None, show: Show, keep: str | None = None) -> None:
    """Run every step and show its results. `keep` is a folder in which the data set and the model are kept."""
    with _folder(keep) as folder:
        console.rule("1. Raw files")
        planted = synthetic.write(folder, n_listeners, seed=seed)
        console.print(f"{n_listeners:,} made-up listeners, in Audioscrobbler's three files, in {folder}")
        raw = audioscrobbler.read(folder)
    console.print(
        f"{len(raw.play_rows):,} play counts, {len(raw.artist_names):,} artist names, {len(raw.alias_rows):,} aliases",
        highlight=False,
    )
    rejected = [{"file": r.file, "reason": r.reason, "lines": r.lines, "first line": r.first_line} for r in raw.rejected]
    show(console, {"lines rejected": rejected})

    console.rule("2. Cleaning, activity and popularity")
    data = raw.clean()
    show(console, {name: rows for name, rows in describe(data, top=5).tables.items() if not name.startswith("top users")})

    console.rule("3. Fit")
    train, test = split.random(data, test_fraction=0.1, seed=seed)
    model = ALS.auto(n_threads=n_threads, random_state=seed)
    model.fit(train, compute_loss=True, progress=True)
    history = [
        {"iteration": h["iteration"], "seconds": f"{h['seconds']:.4f}", "loss": f"{h['loss']:.6f}"} for h in model.history_
    ]
    show(console, {f"fit to {train.nnz:,} counts": history[:3] + history[-1:]})
    console.print(repr(model), highlight=False)

    console.rule("4. Validation on the tenth of the entries that was held out")
    compared = contenders(model, train, seed)
    metrics = {name: evaluate(m, train, test, n_threads=n_threads) for name, m in compared.items()}
    rows = [{"metric": m} | {name: f"{found[m]:.4f}" for name, found in metrics.items()} for m in metrics["ALS"]]
    show(console, {"ranking of held-out artists": rows})
    auc, gain = metrics["ALS"]["auc"], metrics["ALS"]["auc"] - metrics["popularity"]["auc"]
    console.print(f"AUC {auc:.4f}, {gain:.4f} above popularity", highlight=False)

    console.rule("5. Recommendations")
    user = _recommend(console, show, model, data, planted, n_threads)

    console.rule("What to do next")
    if keep is None:
        for command, what in (
            ("cymbals demo -o demo", "keep the data set and the model in a folder"),
            ("cymbals explore demo/model.cymbals", "then try the model on yourself, in a browser"),
        ):
            console.print(f"{command:36}  {what}", highlight=False)
        return
    path = Path(keep, "model.cymbals")
    model.save(path)
    for command, what in (
        (f"cymbals recommend {path} --user {user}", "recommend again"),
        (f"cymbals describe {keep}", "look at the data"),
        (f"cymbals search {keep} --random 10", "choose settings"),
        (f"cymbals report {keep} -o report.html", "all of it in one page"),
        (f"cymbals explore {path}", "try the model on yourself, in a browser"),
    ):
        console.print(f"{command:56}  {what}", highlight=False, soft_wrap=True)


def _recommend(
    console: Console, show: Show, model: ALS, data: Interactions, planted: synthetic.Planted, n_threads: int | None
) -> Any:
    """Show recommendations for a listener of one style, so that everybody sees whether they fit; return that listener."""
    started = time.perf_counter()
    ids, _ = model.recommend(data.user_ids, n=5, n_threads=n_threads)
    seconds = time.perf_counter() - started
    fits = [
        planted.style_of_artist.get(artist) in planted.tastes_of_user[user]
        for user, artists in zip(data.user_ids.tolist(), ids.tolist(), strict=True)
        for artist in artists
    ]
    listener = next((row for row, u in enumerate(data.user_ids.tolist()) if len(planted.tastes_of_user[u]) == 1), 0)
    user = data.user_ids[listener]
    best: list[dict[str, Any]] = [
        {"rank": rank, "artist": model.name_of(a), "style": planted.style_of_artist.get(a, "?"), "score": f"{s:.3f}"}
        for rank, (a, s) in enumerate(zip(*model.recommend(user, n=5), strict=True), 1)
    ]
    show(console, {f"for listener {user}, who likes {', '.join(sorted(planted.tastes_of_user[user]))}": best})
    artist = model.popular(1)[0][0]
    rows = [
        {"artist": model.name_of(a), "style": planted.style_of_artist.get(a, "?"), "cosine": f"{s:.3f}"}
        for a, s in zip(*model.similar_items(artist, n=5), strict=True)
    ]
    show(console, {f"like {model.name_of(artist)} ({planted.style_of_artist.get(artist, '?')})": rows})
    console.print(
        f"A share of {np.mean(fits):.3f} of the top-5 recommendations for all {len(data.user_ids):,} listeners "
        f"is in a style that the listener likes ({seconds:.2f} s)",
        highlight=False,
    )
    return user


def _folder(keep: str | None) -> AbstractContextManager[str]:
    """A folder for the data set: `keep`, which must be empty, or a temporary one that is removed afterwards."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="cymbals-demo-")
    place = Path(keep)
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise ValueError(f"output: the folder {keep} is not empty; name a new one")
    return nullcontext(keep)
