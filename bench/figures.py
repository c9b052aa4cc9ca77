"""A measured figure, and the table that shows it beside what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: its samples, their unit, and the ceilings that DESIGN.md sets (``None``: no promise)."""

    name: str
    unit: str
    samples: tuple[float, ...]
    median_at_most: float | None = None
    p95_at_most: float | None = None

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """The sample that 95 % stay at or below (nearest rank)."""
        return percentile(self.samples, 95)

    @property
    def verdict(self) -> str:
        """``held``, ``missed``, or nothing where nothing was promised."""
        limits = [(self.median, self.median_at_most), (self.p95, self.p95_at_most)]
        promised = [(value, limit) for value, limit in limits if limit is not None]
        if not promised:
            return ""
        return "held" if all(value <= limit for value, limit in promised) else "missed"


def percentile(samples: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile; ``samples`` must not be empty."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """The figures as an aligned text table."""
    head = ("what", "unit", "n", "median", "p95", "promised", "")
    rows = [head]
    for figure in figures:
        limits = [
            f"{name} ≤ {limit:g}"
            for name, limit in (("median", figure.median_at_most), ("p95", figure.p95_at_most))
            if limit is not None
        ]
        rows.append(
            (
                figure.name,
                figure.unit,
                str(len(figure.samples)),
                f"{figure.median:.4g}",
                f"{figure.p95:.4g}",
                ", ".join(limits),
                figure.verdict,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
