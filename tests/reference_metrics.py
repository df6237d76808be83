"""Ranking metrics computed slowly, one user at a time: what `evaluate` and the report are compared with."""

import numpy as np
from sklearn.metrics import roc_auc_score

METRICS = ("precision", "recall", "map", "ndcg", "capped_recall", "hit_rate", "novelty")


def slow(scores, train, test, cutoffs, fitted=None):
    """(metric -> its value for each user, cut-off -> coverage) of dense scores and matrices; NaN where it is undefined."""
    n_users, n_items = scores.shape
    names = ["auc", "mrr"] + [f"{m}@{k}" for k in cutoffs for m in METRICS]
    out = {name: np.full(n_users, np.nan) for name in names}
    shown = {k: set() for k in cutoffs}
    has = (train if fitted is None else fitted) != 0  # whose shares say how novel an item is
    share = np.maximum(has.sum(axis=0), 1) / max(1, has.any(axis=1).sum())
    for u in range(n_users):
        candidates = [i for i in range(n_items) if train[u, i] == 0]
        positives = {i for i in candidates if test[u, i] > 0}
        if not positives:
            continue
        ranked = sorted(candidates, key=lambda i: (-scores[u, i], i))
        labels = [i in positives for i in candidates]
        if not all(labels):
            out["auc"][u] = roc_auc_score(labels, [scores[u, i] for i in candidates])
        hits = [i in positives for i in ranked]
        out["mrr"][u] = 1 / (hits.index(True) + 1)
        for k in cutoffs:
            shown[k] |= set(ranked[:k])
            top, possible = hits[:k], min(k, len(positives))
            out[f"precision@{k}"][u] = sum(top) / k
            out[f"recall@{k}"][u] = sum(top) / len(positives)
            out[f"capped_recall@{k}"][u] = sum(top) / possible
            out[f"hit_rate@{k}"][u] = float(any(top))
            out[f"map@{k}"][u] = sum(sum(top[: i + 1]) / (i + 1) for i in range(len(top)) if top[i]) / possible
            out[f"novelty@{k}"][u] = np.mean([-np.log2(share[i]) for i in ranked[:k]])
            gain = sum(1 / np.log2(i + 2) for i in range(len(top)) if top[i])
            out[f"ndcg@{k}"][u] = gain / sum(1 / np.log2(i + 2) for i in range(possible))
    return out, {k: len(s) / n_items for k, s in shown.items()}
