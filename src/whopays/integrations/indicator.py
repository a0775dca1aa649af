"""Labels as people give them to an estimator -> an indicator matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array

from whopays.codebook import Codebook
from whopays.errors import UsageError

Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[Any]
_ROWS = (list, tuple, set, frozenset, np.ndarray)
_NUMBERS = (int, float, np.number, np.bool_)


def indicator(y: Any, classes: Any = None) -> tuple[Names, Bools]:
    """``y`` -> the labels (labels,) in the order of the columns, and the indicator matrix (rows, labels).

    ``y``: a matrix of 0 and 1 (array, list of lists, sparse matrix, DataFrame), or a list of labels for each row.
    ``classes``: a sequence of labels, a `Codebook`, the path of a codebook's TOML file, or None for what ``y`` tells.
    Raises `UsageError` if ``y`` is neither, or does not fit the classes.
    """
    names = _names(classes)
    if y is None:
        raise UsageError(
            "found no y, expected an indicator matrix or a list of labels for each text; give it to fit()."
        )
    if not hasattr(y, "shape") or getattr(getattr(y, "dtype", None), "kind", "") == "O":
        rows = list(y)
        if not all(isinstance(row, _ROWS) for row in rows):
            raise UsageError("found one label for each text in y, expected a list of labels for each, or a matrix.")
        if not _is_matrix(rows):
            return _from_lists(rows, names)
    return _from_matrix(y, names)


def _names(classes: Any) -> list[Any] | None:
    if isinstance(classes, str | Path):
        classes = Codebook.load(classes)
    if isinstance(classes, Codebook):
        classes = classes.ids
    names = None if classes is None else list(classes)
    if names is not None and len(set(names)) != len(names):
        raise UsageError(f"found classes that occur twice in {names}, expected each once.")
    return names


def _is_matrix(rows: list[Any]) -> bool:
    """Whether rows are numbers in columns; labels may be numbers, but hardly as many in each row."""
    numbers = all(isinstance(value, _NUMBERS) for row in rows for value in row)
    return numbers and len({len(row) for row in rows}) == 1 and len(rows[0]) > 0


def _from_lists(rows: list[Any], names: list[Any] | None) -> tuple[Names, Bools]:
    found = {label for row in rows for label in row}
    ordered = sorted(found) if names is None else names
    if unknown := sorted(map(str, found - set(ordered))):
        raise UsageError(
            f"found the labels {', '.join(unknown)} in y, expected some of {', '.join(map(str, ordered))}."
        )
    if not ordered:
        raise UsageError("found no label in y, expected some texts with labels; add texts.")
    return np.array(ordered), np.array([[label in row for label in ordered] for row in rows], dtype=np.bool_)


def _from_matrix(y: Any, names: list[Any] | None) -> tuple[Names, Bools]:
    columns = list(y.columns) if hasattr(y, "columns") else None
    if np.ndim(y) == 1 and not hasattr(y, "columns"):
        raise UsageError("found one label for each text in y, expected a list of labels for each, or a matrix.")
    matrix = check_array(y, accept_sparse=True, dtype=None)
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    if not np.isin(matrix, (0, 1)).all():
        raise UsageError(f"found {np.setdiff1d(matrix, (0, 1))[:3].tolist()} in y, expected an indicator of 0 and 1.")
    if names is None:
        names = columns or list(range(matrix.shape[1]))
    elif columns is not None and columns != names:
        raise UsageError(f"found the columns {columns} in y, expected the classes {names} in this order.")
    if len(names) != matrix.shape[1]:
        raise UsageError(f"found {matrix.shape[1]} columns in y, expected one for each of {len(names)} classes.")
    return np.array(names), matrix.astype(np.bool_)
