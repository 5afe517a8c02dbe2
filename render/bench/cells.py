"""Figures as the cells of a table: a dash where nothing was measured. Pure."""

from render.bench.schema import Times

__all__ = ["decibels", "factor", "figure", "milliseconds", "percent", "times"]


def milliseconds(seconds: float | None) -> str:
    """``531``, ``12.3``, ``0.0012``, without the unit."""
    if seconds is None:
        return "—"
    value = seconds * 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.1 else f"{value:.4f}"


def percent(share: float | None) -> str:
    """``38.7%``."""
    return "—" if share is None else f"{share:.1%}"


def figure(value: float | None, digits: int) -> str:
    """``0.0392``: that many digits that count."""
    return "—" if value is None else f"{value:.{digits}g}"


def factor(value: float | None) -> str:
    """``3.14×``."""
    return "—" if value is None else f"{value:.2f}×"


def decibels(psnr_db: float | None) -> str:
    """``41.5 dB``; None is the PSNR of equal pictures."""
    return "equal" if psnr_db is None else f"{psnr_db:.1f} dB"


def times(ratio: Times | None) -> str:
    """``3.14× (3.01–3.25)``: the median of the rounds, the least and the largest."""
    return "—" if ratio is None else f"{ratio['median']:.2f}× ({ratio['least']:.2f}–{ratio['most']:.2f})"
