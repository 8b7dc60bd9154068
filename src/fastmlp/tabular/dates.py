"""Dates as numbers: the day, and where it lies in the year, the week and the hours of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec import Array

__all__ = ["date_parts"]


def date_parts(days: NDArray[np.float64]) -> list[Array]:
    """Return the parts of dates, given as days since 1970, NaN where there is a gap.

    They are the day, the month, the day of the month, the weekday, the hour, and sine and cosine of the way through the
    year; a part that is the same in all rows to learn from is left out later, as any such column is.

    Examples
    --------
    >>> [float(part[0].round(2)) for part in date_parts(np.array([31.5]))]  # noon on 1 February 1970, a Sunday
    [31.5, 2.0, 1.0, 6.0, 12.0, 0.51, 0.86]
    """
    gap = np.isnan(days)
    whole = np.floor(np.where(gap, 0.0, days)).astype(np.int64)
    date = whole.astype("datetime64[D]")
    month, year = date.astype("datetime64[M]"), date.astype("datetime64[Y]")
    day_of_year = (date - year.astype("datetime64[D]")).astype(np.float64)
    turn = 2.0 * np.pi * day_of_year / 365.25
    parts = [
        days,
        (month - year.astype("datetime64[M]")).astype(np.float64) + 1.0,
        (date - month.astype("datetime64[D]")).astype(np.float64) + 1.0,
        ((whole + 3) % 7).astype(np.float64),
        np.floor((days - whole) * 24.0),
        np.sin(turn),
        np.cos(turn),
    ]
    return [np.where(gap, np.nan, part) for part in parts]
