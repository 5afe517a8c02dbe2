"""A report's figures as tables of text, the same ones for Markdown and for the page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from render.bench.cells import decibels, factor, figure, milliseconds, percent, times
from render.bench.schema import Report, Result
from render.report import count, duration, filesize

__all__ = ["Table", "tables"]

PARTS = {
    "prompt": "encode one prompt, once a keyframe",
    "slerp": "noise between two seeds, on the CPU",
    "text": "blend two encoded prompts",
    "sampler": "the sampler's sums, all steps",
    "unet": "the UNet, all evaluations",
    "vae": "decode",
    "copy": "copy to the host",
    "encode": "encode the video, in a thread of its own",
}


@dataclass(frozen=True)
class Table:
    """A heading, a sentence about it, and rows of text as long as ``head``; ``bars`` may stand above on a page."""

    title: str
    lead: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Literal["results", "films", ""] = ""


def tables(report: Report) -> list[Table]:
    """All tables that have rows, in the order of the report."""
    made = [
        _speed(report),
        _causes(report),
        _films(report),
        _accuracy(report),
        _breakdown(report),
        _variations(report),
        _parts(report),
        _device(report),
        _failed(report),
    ]
    return [table for table in made if table.rows]


def _speed(report: Report) -> Table:
    """The paired measurement."""
    rows = [
        [
            entry["name"],
            milliseconds(entry["seconds_per_image"]),
            f"{milliseconds(min(entry['rounds_s']))}–{milliseconds(max(entry['rounds_s']))}",
            figure(entry["tflop_per_image"], 3),
            percent(entry["mfu"]),
            percent(entry["of_floor"]),
            duration(sum(entry["start_s"].values())),
            filesize(entry["rendering_bytes"]),
        ]
        for entry in report["results"]
    ]
    lead = (
        "Without loading and encoding, the median of rounds in which all cases took turns. MFU: FLOPs of the picture "
        "against the measured matmul peak of that dtype; of the floor: against the fused floor. Start: loading, "
        "prompts and compiling, once a worker. Memory: the peak of rendering one batch, above what the models take."
    )
    head = ["case", "ms an image", "least–most", "TFLOP an image", "MFU", "of the floor", "start", "memory"]
    return Table("Seconds an image", lead, head, rows, "results")


def _causes(report: Report) -> Table:
    rows = [
        [
            item["cause"],
            milliseconds(item["seconds_per_image"]),
            times(item["times"]),
            times(item["so_far"]),
            times(item["alone"]),
        ]
        for item in report["causes"]
    ]
    lead = (
        "From diffusers frame by frame to our fastest, one change a row. Alone: the same change made to our loop at "
        "the smallest batch, and nothing else. Times as fast, with the least and the largest of the rounds."
    )
    return Table("What makes it fast", lead, ["cause", "ms an image", "on the row above", "so far", "alone"], rows)


def _films(report: Report) -> Table:
    rows = [
        [
            film["name"],
            f"{film['frames_per_s']:.2f}",
            duration(film["film_s"]),
            duration(film["start_s"]),
            percent(film["idle_share"]),
            times(film["best_is_times_as_fast"]),
        ]
        for film in report["films"]
    ]
    frames = report["films"][0]["frames"] if report["films"] else 0
    lead = (
        f"A film of {count(frames, 'frame')}, encoded by the same encoder. Ours includes planning, done records, "
        "joining and the report. Frames a second are without the start (loading, compiling), which stands beside it."
    )
    head = ["way", "frames a second", "film", "start", "worker idle", "our fastest is so many times as fast"]
    return Table("End to end", lead, head, rows, "films")


def _accuracy(report: Report) -> Table:
    rows = [
        [
            entry["name"],
            entry["case"]["dtype"],
            entry.get("against", "—"),
            milliseconds(entry["seconds_per_image"]),
            factor(entry.get("times_as_fast")),
            _psnr(entry, "psnr_db"),
            _psnr(entry, "worst_psnr_db"),
            figure(entry.get("ssim"), 4),
            figure(entry.get("structure_distance"), 4),
        ]
        for entry in report["accuracy"]
    ]
    lead = (
        "The same frames, rendered exactly and with each approximation. PSNR over all frames and of the worst one; "
        "SSIM; structure distance: 0 for equal pictures, about 1 for unrelated ones, from gradients on four scales; "
        "it stands in for LPIPS and is not LPIPS."
    )
    if report["model"]["random_weights"]:
        lead += " The weights are random: the errors say nothing about real pictures."
    head = ["switch", "dtype", "against", "ms an image", "times as fast", "PSNR", "worst", "SSIM", "distance"]
    return Table("Error against speed", lead, head, rows)


def _breakdown(report: Report) -> Table:
    stages = list(dict.fromkeys(stage for entry in report["results"] for stage in entry["stages_s"]))
    ours = [entry for entry in report["results"] if entry["case"]["renderer"] == "render"]
    rows = [[entry["name"], *(milliseconds(entry["stages_s"].get(stage)) for stage in stages)] for entry in ours]
    lead = "Milliseconds an image by stage, as the engine's own stopwatch tells them while it renders."
    return Table("Where a picture's time goes", lead, ["case", *stages], rows)


def _variations(report: Report) -> Table:
    rows = [
        [
            entry["name"],
            milliseconds(entry["seconds_per_image"]),
            figure(entry["tflop_per_image"], 3),
            percent(entry["mfu"]),
            percent(entry["of_floor"]),
        ]
        for entry in report["variations"]
    ]
    lead = "The eager case, one thing changed a row."
    return Table("Sizes, steps, samplers", lead, ["case", "ms an image", "TFLOP an image", "MFU", "of the floor"], rows)


def _parts(report: Report) -> Table:
    seconds = report["parts"].get("seconds", {})
    rows = [[part, PARTS.get(part, ""), milliseconds(value)] for part, value in seconds.items()]
    return Table("Parts alone", "Each repeated by itself, eager.", ["part", "what", "ms an image"], rows)


def _device(report: Report) -> Table:
    rows = [
        [dtype, f"{peak['flops_per_s'] / 1e12:.3g}", f"{peak['bytes_per_s'] / 1e9:.3g}"]
        for dtype, peak in report["peaks"].items()
    ]
    lead = (
        "The best of square matrix products and of copying, measured. The fused floor of a picture is the sum over its "
        "matrix products, convolutions and attentions of the longer of FLOPs / peak and bytes / bandwidth."
    )
    lead += " On a machine with other work to do the peak comes out low, and MFU high."
    return Table("The device at its best", lead, ["dtype", "TFLOP/s", "GB/s"], rows)


def _failed(report: Report) -> Table:
    rows = [[item["name"], f"not available: {item['reason']}"] for item in report["failed"]]
    return Table("What could not be measured", "", ["case", "reason"], rows)


def _psnr(entry: Result, key: Literal["psnr_db", "worst_psnr_db"]) -> str:
    return decibels(entry[key]) if key in entry else "—"
