"""Small charts as inline SVG. Colors come from the page's style sheet, by class; nothing here has a style of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from whopays.evaluation.calibration import Bin, Floats

_SIDE, _LEFT, _TOP, _BOTTOM = 200, 46, 10, 34
_TICKS = (0.0, 0.5, 1.0)


def _x(share: float) -> float:
    return round(_LEFT + _SIDE * share, 1)


def _y(share: float) -> float:
    return round(_TOP + _SIDE * (1 - share), 1)


def _square(name: str, content: str, x_title: str, y_title: str) -> str:
    """A chart of shares from 0 to 1 in both directions, with axes."""
    width, height = _LEFT + _SIDE + 10, _TOP + _SIDE + _BOTTOM
    lines = "".join(
        f'<path class="grid" d="M{_x(0)} {_y(tick)}H{_x(1)}M{_x(tick)} {_y(0)}V{_y(1)}"/>'
        f'<text class="tick" x="{_x(0) - 5}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>'
        f'<text class="tick" x="{_x(tick)}" y="{_y(0) + 14}" text-anchor="middle">{tick:g}</text>'
        for tick in _TICKS
    )
    titles = (
        f'<text class="axis" x="{_x(0.5)}" y="{_y(0) + 29}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text class="axis" transform="translate(10 {_y(0.5)}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>'
    )
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f"{lines}{titles}{content}</svg>"
    )


def _line(xs: Floats, ys: Floats, step: bool = False) -> str:
    points = [(_x(float(x)), _y(float(y))) for x, y in zip(xs, ys, strict=True)]
    path = f"M{points[0][0]} {points[0][1]}"
    for x, y in points[1:]:
        path += f"H{x}V{y}" if step else f"L{x} {y}"
    return f'<path class="curve" d="{path}"/>'


def precision_recall_chart(name: str, precision: Floats, recall: Floats, point: tuple[float, float] | None) -> str:
    """Precision over recall; ``point`` is the (recall, precision) of the threshold in use."""
    # By rising recall, as it is read; between two thresholds the curve is a step.
    content = _line(recall[::-1], precision[::-1], step=True)
    if point is not None:
        content += f'<circle class="point" cx="{_x(point[0])}" cy="{_y(point[1])}" r="4.5"/>'
    return _square(name, content, "recall", "precision")


def reliability_chart(name: str, bins: Sequence[Bin]) -> str:
    """Share over mean score, each bin a dot whose area grows with its size, with its 95 % interval (Wilson 1927)."""
    diagonal = f'<path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>'
    largest = max((group.size for group in bins), default=1)
    dots = ""
    for group in bins:
        low, high = wilson(group.share, group.size)
        radius = round(2.5 + 6 * (group.size / largest) ** 0.5, 1)
        x = _x(group.score)
        dots += f'<path class="whisker" d="M{x} {_y(low)}V{_y(high)}"/>'
        dots += (
            f'<circle class="dot" cx="{x}" cy="{_y(group.share)}" r="{radius}"><title>{group.size:,}</title></circle>'
        )
    return _square(name, diagonal + dots, "score", "share that has the label")


def risk_coverage_chart(name: str, coverage: Floats, risk: Floats) -> str:
    """Risk over coverage; the dashed line is the risk at full coverage, which a useless order of texts would keep."""
    flat = f'<path class="ideal" d="M{_x(0)} {_y(float(risk[-1]))}H{_x(1)}"/>'
    return _square(name, flat + _line(coverage, risk), "share of texts kept", "share of them with a wrong tag")


def interval_chart(name: str, value: float, low: float, high: float) -> str:
    """A score from 0 to 1 as a dot with its interval, for a row of a table."""
    at = [round(4 + 152 * share, 1) for share in (value, low, high)]
    grid = "".join(f'<path class="grid" d="M{4 + 152 * tick} 1V21"/>' for tick in _TICKS)
    return (
        f'<svg class="interval" viewBox="0 0 160 22" role="img" aria-label="{escape(name)}">{grid}'
        f'<path class="whisker" d="M{at[1]} 11H{at[2]}"/><circle class="point" cx="{at[0]}" cy="11" r="4.5"/></svg>'
    )


def wilson(share: float, size: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share of ``size`` items (Wilson 1927)."""
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    reach = z / (1 + z * z / size) * float(np.sqrt(share * (1 - share) / size + z * z / (4 * size * size)))
    return max(0.0, middle - reach), min(1.0, middle + reach)
