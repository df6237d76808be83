"""The rule for arguments that are "auto": it chooses them from the data, at the fit.

Let the mean weight of an entry be a, and the density p be the number of entries divided by the number of cells. The rule
says how much all cells together weigh, and how strong the regularization of an average row is, both compared with a:

    unobserved_weight = a W(p)
    regularization    = a S(p) / (W(p) sqrt(n_users n_items)), for nu = 1 and row_size "weighted"

W and S are powers of the density. In terms of them, the best settings of very different data lie close together, unlike the
best pairs of unobserved_weight and regularization. ``benchmarks/rule.py`` fits the coefficients.

An average row has the size of the geometric mean of an average user's row and an average item's row. With another nu or
row_size, an average row gets the same regularization as above. It never gets more than half a times its number of entries:
otherwise all factors of a tiny matrix would become 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..data.csr import Csr
from .objective import Objective

AUTO = "auto"
AUTOMATIC = ("alpha", "unobserved_weight", "regularization")  # the arguments that can be "auto"

_DENSITY = 0.01
_DENSITIES = (1e-6, 0.3)  # the rule is constant beyond these
_BLOCK = 1 << 20  # entries whose weights are computed at a time


class Rule(NamedTuple):
    """The coefficients c and d of W(p) = c (p / _DENSITY)^d, and those of S(p)."""

    weight: tuple[float, float]
    strength: tuple[float, float]


RULE = Rule((0.074, 0.47), (3.6, 0.43))


def automatic(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the arguments that are "auto". Raises for other texts, and if the objective does not allow it."""
    for name in AUTOMATIC:
        if isinstance(params[name], str) and params[name] != AUTO:
            raise TypeError(f"{name} must be a number or {AUTO!r}, got {params[name]!r}")
    names = tuple(name for name in AUTOMATIC if isinstance(params[name], str))
    if names and params["objective"] == "explicit":
        raise ValueError(
            f"{names[0]}='auto' is for counts and clicks, not for objective='explicit': give a number, or search for the "
            "best one with cymbals.search"
        )
    return names


def chosen(objective: Objective, names: tuple[str, ...], rows: Csr, rule: Rule = RULE) -> dict[str, float]:
    """The numbers for the arguments `names`.

    Parameters
    ----------
    objective : Objective
        The arguments that are numbers. Those of `names` are ignored.
    names : tuple of str
        Some of AUTOMATIC.
    rows : Csr
        The transformed values of the train entries.
    rule : Rule

    Returns
    -------
    dict of str to float
    """
    found: dict[str, float] = {}
    alpha = objective.alpha
    if "alpha" in names:
        alpha = found["alpha"] = _alpha(objective, rows)
    entry = _mean_weight(replace(objective, alpha=alpha), rows)
    n_users, n_items = rows.shape
    density = min(max(rows.nnz / (n_users * n_items), _DENSITIES[0]), _DENSITIES[1])
    weight, strength = (c * (density / _DENSITY) ** power for c, power in rule)
    counts = np.array([rows.nnz / n_users, rows.nnz / n_items])  # entries of an average user and of an average item
    unobserved = objective.unobserved_weight
    if "unobserved_weight" in names:
        unobserved = entry * weight
        if objective.kind == "hu" and objective.confidence != "total":
            unobserved = min(unobserved, 1.0)  # no cell with an entry weighs less, however large the mean is
        found["unobserved_weight"] = unobserved
    if "regularization" in names:
        if unobserved <= 0:
            raise ValueError("regularization='auto' needs an unobserved_weight above 0, or 'auto'; give both as numbers")
        relative = unobserved / entry
        others = np.array([n_items, n_users])
        wanted = strength / (relative * (n_users * n_items) ** 0.5) * _typical(counts + relative * others)
        wanted = entry * min(wanted, _typical(counts) / 2)
        sizes = counts + (unobserved * others if objective.row_size == "weighted" else 0.0)
        with np.errstate(over="ignore", under="ignore"):
            scale = np.power(np.float64(_typical(sizes)), objective.nu)
        if not 0 < scale < np.inf:
            raise ValueError(f"regularization='auto' overflows with nu={objective.nu:g}: give a smaller nu, such as 1")
        found["regularization"] = float(wanted / scale)
    return found


def _typical(sizes: Any) -> float:
    """The geometric mean of the two sides."""
    return float(np.sqrt(np.prod(sizes)))


def _alpha(objective: Objective, rows: Csr) -> float:
    """The alpha for which w is 1 on average. (With confidence "total", the weight alpha r is then 2 on average.)"""
    mean = _mean_weight(replace(objective, kind="ials", alpha=1.0), rows)
    alpha = (2.0 if objective.confidence == "total" else 1.0) / mean if mean > 0 else np.inf
    if not np.isfinite(alpha):
        raise ValueError(f"alpha='auto' needs values with a mean confidence above 0, got {mean:g}; give alpha as a number")
    return alpha


def _mean_weight(objective: Objective, rows: Csr) -> float:
    """The mean weight of the cells with an entry; with "ials", of its second term."""
    alone = replace(objective, unobserved_weight=0.0)
    total = 0.0
    for begin in range(0, rows.nnz, _BLOCK):
        block = rows.data[begin : begin + _BLOCK].astype(np.float64)
        total += float(alone.weights(block)[0].sum())
    return total / rows.nnz
