"""pandas, where it is installed: the core works without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    out: pd.DataFrame = pandas().DataFrame(content)
    return out
