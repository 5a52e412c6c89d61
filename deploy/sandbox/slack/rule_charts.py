"""What Slack takes as a chart: segments, or series over categories."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.slack.rule_checks import Check, Json, Shape, array, choice, string, typed


def number(*, above_zero: bool = False) -> Check:
    """A number, whole or not."""

    def check(value: Any, path: str, found: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.append(f"{path}: must be a number")
        elif above_zero and value <= 0:
            found.append(f"{path}: must be more than 0")

    return check


def _series_fit(chart: Json, path: str, found: list[str]) -> None:
    """Names differ, and each series has one point a category, under its label."""
    series = [each for each in chart.get("series") or [] if isinstance(each, dict)]
    names = [each.get("name") for each in series]
    if len(set(map(str, names))) < len(names):
        found.append(f"{path}/series: names must be unique")
    axes = chart.get("axis_config")
    categories = axes.get("categories") if isinstance(axes, dict) else None
    for place, each in enumerate(series):
        labels = [point.get("label") for point in each.get("data") or [] if isinstance(point, dict)]
        if labels != categories:
            found.append(f"{path}/series/{place}: needs one point for each category")


_NAME = string(20)
_SERIES = Shape(
    {"name": _NAME, "data": array(Shape({"label": _NAME, "value": number()}), 20)},
)
_AXES = Shape({"categories": array(_NAME, 20)}, {"x_label": _NAME, "y_label": _NAME})
_PIE = Shape(
    {
        "type": choice("pie"),
        "segments": array(Shape({"label": _NAME, "value": number(above_zero=True)}), 6),
    }
)
_LINES = Shape(
    {"type": choice("bar", "line", "area"), "series": array(_SERIES, 6), "axis_config": _AXES},
    rules=(_series_fit,),
)
CHART: Check = typed({"pie": _PIE, "bar": _LINES, "line": _LINES, "area": _LINES})
