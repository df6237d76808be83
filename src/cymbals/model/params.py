"""Constructor arguments of an estimator, handled as in scikit-learn: stored unchanged, and checked by `fit`."""

from __future__ import annotations

import inspect
from typing import Any, Self


class Params:
    """`get_params`, `set_params` and `repr` of a class whose constructor stores each argument under its name."""

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {k: p.default for k, p in inspect.signature(cls.__init__).parameters.items() if k != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor arguments by name, for example to build the same model again.

        Parameters
        ----------
        deep : bool
            Ignored; scikit-learn passes it.

        Returns
        -------
        dict of str to object
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments. They take effect at the next fit.

        Parameters
        ----------
        **params
            New values by name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a name that is not a parameter.
        """
        known = ", ".join(self._defaults())
        for name, value in params.items():
            if name not in self._defaults():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; its parameters are {known}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what input this estimator takes. Only scikit-learn calls this, so the import cannot fail."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags(sparse=True))

    def __repr__(self) -> str:
        defaults = self._defaults()
        changed = {k: v for k, v in self.get_params().items() if v is not (d := defaults[k]) and not _equal(v, d)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
