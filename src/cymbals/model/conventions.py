"""The settings of other libraries' ALS as settings of `cymbals.ALS`, and back.

`docs/conventions.md` has each library's formula. A convention knows the names and defaults of the other library's
arguments. A setting that would make another model is refused, and the message says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..base.checks import boolean, one_of, real_number

Settings = dict[str, Any]


@dataclass(frozen=True)
class Convention:
    """One library's arguments with their defaults, and the translation in both directions."""

    defaults: Settings
    ours: Callable[[Settings], Settings]
    theirs: Callable[[Settings], Settings]


def _refuse(name: str, value: Any, why: str) -> None:
    raise ValueError(f"{name}={value!r} has no counterpart: {why}")


def _only(settings: Settings, why: str, **wanted: Any) -> None:
    """Refuse the first setting that differs from the wanted value."""
    for name, value in wanted.items():
        if settings[name] != value:
            _refuse(name, settings[name], why)


def _counts(settings: Settings, *confidences: str, **wanted: Any) -> None:
    """Refuse settings of ours that are not objective "hu" with one of these confidences, and with the wanted values."""
    _only(settings, "this library has objective 'hu' only", objective="hu")
    if settings["confidence"] not in confidences:
        _refuse("confidence", settings["confidence"], f"this library can express {' or '.join(map(repr, confidences))}")
    _only(settings, "this library has no such setting", **wanted)


# -- implicit: a = c - 1, b = c for c = alpha r above 0; regularization lambda ---------------------------------------


def _from_implicit(p: Settings) -> Settings:
    return {
        "factors": p["factors"],
        "regularization": p["regularization"],
        "alpha": p["alpha"],
        "iterations": p["iterations"],
        "solver": "auto" if boolean("use_cg", p["use_cg"]) else "exact",
        "confidence": "total",
    }


def _to_implicit(p: Settings) -> Settings:
    if p["confidence"] == "linear" and p["objective"] == "hu":
        _refuse(
            "confidence",
            "linear",
            f"implicit's weight of an entry is alpha r, not 1 + alpha r; give it the values 1 + {p['alpha']:g} r with "
            "alpha=1 (for r below 0: -1 + alpha r)",
        )
    _counts(p, "total", nu=0)
    if p["unobserved_weight"] <= 0:
        _refuse("unobserved_weight", p["unobserved_weight"], "implicit gives cells without an entry the weight 1")
    return {
        "factors": p["factors"],
        # dividing the whole objective by a number does not move its minimum
        "regularization": p["regularization"] / p["unobserved_weight"],
        "alpha": p["alpha"] / p["unobserved_weight"],
        "iterations": p["iterations"],
        "use_cg": p["solver"] != "exact",
    }


# -- Spark: a = alpha |r|, b = 1 + alpha |r| for r above 0; regularization lambda n ----------------------------------


def _from_spark(p: Settings) -> Settings:
    _only(p, "cymbals has no non-negative factors", nonnegative=False)
    common = {"factors": p["rank"], "regularization": p["regParam"], "iterations": p["maxIter"], "nu": 1.0}
    if not boolean("implicitPrefs", p["implicitPrefs"]):
        return common | {"objective": "explicit", "row_size": "entries"}
    return common | {"alpha": p["alpha"], "row_size": "entries"}


def _to_spark(p: Settings) -> Settings:
    common = {"rank": p["factors"], "maxIter": p["iterations"], "regParam": p["regularization"]}
    why = "Spark multiplies the regularization of a row by its number of entries: use nu=1, row_size='entries'"
    _only(p, why, nu=1)
    if p["objective"] == "explicit":
        _only(p, "Spark's ALS has no biases", biases=False)
        return common | {"implicitPrefs": False}
    _counts(p, "linear", unobserved_weight=1)
    _only(p, why, row_size="entries")
    return common | {"implicitPrefs": True, "alpha": p["alpha"]}


# -- irspack: a = r; b = r (IALSPP) or alpha0 + r (ORIGINAL); regularization lambda (n + alpha0 N)^nu ------------------


def _from_irspack(p: Settings) -> Settings:
    loss_type = one_of("loss_type", str(p["loss_type"]).upper(), ("IALSPP", "ORIGINAL"))
    scaling = one_of("confidence_scaling", str(p["confidence_scaling"]).lower(), ("none", "log"))
    alpha0 = real_number("alpha0", p["alpha0"])
    _only(p, "it makes the regularization depend on the data", nu_star=None)
    if scaling == "log" and p["epsilon"] != 1:
        _refuse("epsilon", p["epsilon"], "confidence 'log' of cymbals is log(1 + r); give a function as the confidence")
    out = {
        "factors": p["n_components"],
        "regularization": p["reg"],
        "nu": p["nu"],
        "iterations": p["train_epochs"],
        "confidence": "log" if scaling == "log" else "linear",
    }
    if loss_type == "IALSPP":
        return out | {"objective": "ials", "unobserved_weight": alpha0}
    if alpha0 == 0 or (alpha0 != 1 and p["nu"] != 0):
        _refuse("loss_type", p["loss_type"], "it needs alpha0=1, or nu=0 and alpha0 above 0")
    return out | {"alpha": 1 / alpha0, "regularization": p["reg"] / alpha0}  # divided by alpha0


def _to_irspack(p: Settings) -> Settings:
    if p["confidence"] not in ("linear", "log"):
        _refuse("confidence", p["confidence"], "irspack has confidence_scaling 'none' and 'log'")
    if p["nu"] != 0:
        _only(p, "irspack's row size is n + alpha0 N", row_size="weighted")
    common = {
        "n_components": p["factors"],
        "nu": p["nu"],
        "train_epochs": p["iterations"],
        "confidence_scaling": "log" if p["confidence"] == "log" else "none",
        "epsilon": 1.0,
    }
    scale = p["alpha"]  # irspack has no alpha, so the objective is divided by it
    if scale <= 0 or (scale != 1 and p["nu"] != 0):
        _refuse("alpha", p["alpha"], "irspack has no alpha; it is 1 there, or any number above 0 with nu=0")
    if p["objective"] == "hu":
        _only(
            p,
            "with objective 'hu', irspack's ORIGINAL gives an entry the weight unobserved_weight + r",
            unobserved_weight=1,
        )
    elif p["objective"] != "ials":
        _refuse("objective", p["objective"], "irspack fits counts only")
    return common | {
        "alpha0": p["unobserved_weight"] / scale,
        "reg": p["regularization"] / scale,
        "loss_type": "ORIGINAL" if p["objective"] == "hu" else "IALSPP",
    }


# -- Rendle's program: a = b = 1 for any value; regularization lambda (n + alpha0 N)^nu -----------------------------


def _from_rendle(p: Settings) -> Settings:
    return {
        "factors": p["embedding_dim"],
        "regularization": p["regularization"],
        "unobserved_weight": p["unobserved_weight"],
        "nu": p["regularization_exp"],
        "iterations": p["epochs"],
        "objective": "ials",
        "confidence": "binary",
    }


def _to_rendle(p: Settings) -> Settings:
    _only(
        p,
        "Rendle's program fits objective 'ials' with the same weight for all entries",
        objective="ials",
        confidence="binary",
    )
    _only(p, "Rendle's program gives entries the weight 1", alpha=1)
    if p["nu"] != 0:
        _only(p, "Rendle's row size is n + unobserved_weight N", row_size="weighted")
    return {
        "embedding_dim": p["factors"],
        "regularization": p["regularization"],
        "unobserved_weight": p["unobserved_weight"],
        "regularization_exp": p["nu"],
        "epochs": p["iterations"],
    }


# -- cmfrec: a = alpha r, b = 1 + alpha r; regularization lambda; items are solved first -----------------------------


def _from_cmfrec(p: Settings) -> Settings:
    _only(p, "cymbals has nothing like it", nonneg=False, l1_lambda=0, apply_log_transf=False)
    return {"factors": p["k"], "regularization": p["lambda_"], "alpha": p["alpha"], "iterations": p["niter"]}


def _to_cmfrec(p: Settings) -> Settings:
    _counts(p, "linear", unobserved_weight=1, nu=0)
    return {"k": p["factors"], "lambda_": p["regularization"], "alpha": p["alpha"], "niter": p["iterations"]}


# -- LensKit's ImplicitMFScorer: a = weight r, b = 1 + weight r; regularization lambda -------------------------------


def _from_lenskit(p: Settings) -> Settings:
    return {
        "factors": p["embedding_size"],
        "regularization": p["regularization"],
        "alpha": p["weight"],
        "iterations": p["epochs"],
        "confidence": "linear" if boolean("use_ratings", p["use_ratings"]) else "binary",
    }


def _to_lenskit(p: Settings) -> Settings:
    _counts(p, "linear", "binary", unobserved_weight=1, nu=0)
    return {
        "embedding_size": p["factors"],
        "regularization": p["regularization"],
        "weight": p["alpha"],
        "epochs": p["iterations"],
        "use_ratings": p["confidence"] == "linear",
    }


CONVENTIONS = {
    "implicit": Convention(
        {"factors": 100, "regularization": 0.01, "alpha": 1.0, "iterations": 15, "use_cg": True},
        _from_implicit,
        _to_implicit,
    ),
    "spark": Convention(
        {"rank": 10, "maxIter": 10, "regParam": 0.1, "implicitPrefs": False, "alpha": 1.0, "nonnegative": False},
        _from_spark,
        _to_spark,
    ),
    "irspack": Convention(
        {
            "n_components": 20,
            "alpha0": 0.0,
            "reg": 1e-3,
            "nu": 1.0,
            "confidence_scaling": "none",
            "epsilon": 1.0,
            "loss_type": "IALSPP",
            "nu_star": None,
            "train_epochs": 16,
        },
        _from_irspack,
        _to_irspack,
    ),
    "rendle": Convention(
        {"embedding_dim": 16, "regularization": 0.002, "unobserved_weight": 1.0, "regularization_exp": 1.0, "epochs": 20},
        _from_rendle,
        _to_rendle,
    ),
    "cmfrec": Convention(
        {"k": 50, "lambda_": 1.0, "alpha": 1.0, "niter": 10, "nonneg": False, "l1_lambda": 0, "apply_log_transf": False},
        _from_cmfrec,
        _to_cmfrec,
    ),
    "lenskit": Convention(
        {"embedding_size": 50, "epochs": 10, "regularization": 0.1, "weight": 40.0, "use_ratings": False},
        _from_lenskit,
        _to_lenskit,
    ),
}


def from_theirs(name: str, settings: Settings, own: tuple[str, ...]) -> Settings:
    """The settings of `ALS` for settings of a library. Settings whose names are in `own` are of `ALS` already."""
    convention = CONVENTIONS[one_of("name", name, tuple(CONVENTIONS))]
    given = {key: value for key, value in settings.items() if key in convention.defaults}
    ours = {key: value for key, value in settings.items() if key not in given}
    for key in ours:
        if key not in own:
            raise ValueError(
                f"{key} is no setting of {name} that cymbals translates; these are {', '.join(convention.defaults)}. "
                f"Settings of ALS that can be added: {', '.join(own)}"
            )
    return convention.ours(convention.defaults | given) | ours


def to_theirs(name: str, settings: Settings) -> Settings:
    """The settings of a library for settings of `ALS`."""
    return CONVENTIONS[one_of("name", name, tuple(CONVENTIONS))].theirs(settings)
