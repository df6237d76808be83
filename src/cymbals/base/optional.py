"""pandas, where it is installed: the core works without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def pandas() -> Any:
    """pandas, or an error that says how to get it."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("this needs pandas: pip install 'cymbals[lab]'") from None
    return pd


def frame(content: dict[str, Any] | list[dict[str, Any]]) -> pd.DataFrame:
    """A data frame of columns, or of rows."""
    make = pandas()
    try:
        out: pd.DataFrame = make.DataFrame(content)
    except UnicodeEncodeError:  # half of a surrogate pair, which pandas' own strings cannot hold
        if not isinstance(content, dict):
            raise
        texts = {name for name, column in content.items() if np.asarray(column).dtype.kind in "OU"}
        columns = {name: make.Series(c, dtype=object if name in texts else None) for name, c in content.items()}
        out = make.DataFrame(columns)
    return out
