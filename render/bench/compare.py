"""Two reports of ``render bench`` -> what became slower, what faster, what cannot be compared. Pure."""

from dataclasses import dataclass

from render.bench.case import key_of
from render.bench.schema import Report
from render.errors import RegressionError, SpecError
from render.report import count

__all__ = ["Change", "Comparison", "compare", "describe"]


@dataclass(frozen=True)
class Change:
    """One case in both reports; ``ratio`` is new seconds by old ones: above 1 is slower."""

    name: str
    old_s: float
    new_s: float

    @property
    def ratio(self) -> float:
        return self.new_s / self.old_s


@dataclass(frozen=True)
class Comparison:
    """Cases of both reports, the slowest change first, and the names of those that only one of them has."""

    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    threshold: float

    @property
    def slower(self) -> tuple[Change, ...]:
        """Changes beyond the threshold."""
        return tuple(change for change in self.changes if change.ratio > 1 + self.threshold)

    def check(self) -> None:
        """Raises RegressionError where a case became slower, SpecError where nothing could be compared."""
        if not self.changes:
            raise SpecError("--compare: the two reports have no case in common; measure with the same options")
        if self.slower:
            worst = self.slower[0]
            raise RegressionError(
                f"{count(len(self.slower), 'case')} more than {self.threshold:.0%} slower than before; the worst: "
                f"{worst.name}: {worst.old_s:.4g} s -> {worst.new_s:.4g} s an image ({worst.ratio - 1:+.1%})"
            )


def compare(old: Report, new: Report, threshold: float, *, force: bool = False) -> Comparison:
    """Match equal cases. Raises SpecError for reports of different devices unless ``force``."""
    devices = [f"{report['machine']['device']} {report['machine']['name']}" for report in (old, new)]
    cores = [report["machine"]["cores"] for report in (old, new)]
    if not force and (devices[0] != devices[1] or cores[0] != cores[1]):
        names = [f"{device}, {count(number, 'core')}" for device, number in zip(devices, cores, strict=True)]
        raise SpecError(
            f"--compare: {names[0]} then, {names[1]} now: another device; --force compares them all the same"
        )
    before, now = _seconds(old), _seconds(new)
    changes = [Change(now[key][0], before[key][1], now[key][1]) for key in now if key in before]
    return Comparison(
        tuple(sorted(changes, key=lambda change: -change.ratio)),
        tuple(before[key][0] for key in before if key not in now),
        tuple(now[key][0] for key in now if key not in before),
        threshold,
    )


def _seconds(report: Report) -> dict[str, tuple[str, float]]:
    """Case -> (its name, seconds an image); of a case in several tables the first counts."""
    found: dict[str, tuple[str, float]] = {}
    for table in (report["results"], report["variations"], report["accuracy"]):
        for entry in table:
            found.setdefault(key_of(entry["case"]), (entry["name"], entry["seconds_per_image"]))
    return found


def describe(comparison: Comparison) -> str:
    """A line a case, those that only one report has named behind them."""
    lines = []
    for change in comparison.changes:
        sign = "slower" if change.ratio > 1 + comparison.threshold else "faster" if change.ratio < 1 else "same"
        lines.append(f"{change.ratio:6.2f}  {sign:6}  {change.old_s:.4g} s -> {change.new_s:.4g} s  {change.name}")
    lines += [f"     —  only in the old report: {name}" for name in comparison.only_old]
    lines += [f"     —  only in the new report: {name}" for name in comparison.only_new]
    return "\n".join(lines)
