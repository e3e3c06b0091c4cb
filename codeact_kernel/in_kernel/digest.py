"""Owns the short description of frames and arrays that the model sees instead of their full text."""

from __future__ import annotations

from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

MIME = "application/vnd.codeact.digest"
HEAD_ROWS = 8
MAX_COLUMNS = 40


class DigestFormatter(BaseFormatter):  # type: ignore[misc]  # IPython publishes no types
    """Adds `MIME` to what is displayed; the host takes it out again before anything is saved."""

    format_type = Unicode(MIME)
    print_method = ObjectName("_repr_codeact_digest_")
    _return_type = str


def install_digests(shell: Any) -> None:
    """Registers the digests. By name, so that neither numpy nor pandas is imported for it."""
    formatter = DigestFormatter(parent=shell.display_formatter)
    for module in ("pandas", "pandas.core.frame"):
        formatter.for_type_by_name(module, "DataFrame", _frame)
    for module in ("pandas", "pandas.core.series"):
        formatter.for_type_by_name(module, "Series", _series)
    formatter.for_type_by_name("numpy", "ndarray", _array)
    shell.display_formatter.formatters[MIME] = formatter


def _frame(frame: Any) -> str:
    names = [f"{name!r}: {dtype}" for name, dtype in list(frame.dtypes.items())[:MAX_COLUMNS]]
    more = f", … {frame.shape[1] - MAX_COLUMNS} more" if frame.shape[1] > MAX_COLUMNS else ""
    head = frame.iloc[:HEAD_ROWS, :MAX_COLUMNS].to_string(max_colwidth=60)
    rest = f"\n… {len(frame) - HEAD_ROWS} more rows" if len(frame) > HEAD_ROWS else ""
    return (
        f"DataFrame, {frame.shape[0]} rows × {frame.shape[1]} columns; {', '.join(names)}{more}\n{head}{rest}"
    )


def _series(series: Any) -> str:
    head = series.iloc[:HEAD_ROWS].to_string()
    rest = f"\n… {len(series) - HEAD_ROWS} more" if len(series) > HEAD_ROWS else ""
    return f"Series {series.name!r}, {len(series)} × {series.dtype}\n{head}{rest}"


def _array(array: Any) -> str:
    text = repr(array)
    if len(text) > 2000:
        text = f"{text[:1000]} … {text[-1000:]}"
    return f"ndarray, shape {array.shape}, {array.dtype}\n{text}"
