"""``render bench``: what a picture costs here and what approximations lose; the measuring is ``render.bench``."""

import argparse
import json
from pathlib import Path

from render.bench import compare, results
from render.bench import options as read
from render.bench.headline import headline
from render.bench.schema import Report
from render.cli.parser import add_trust
from render.cli.places import given_folder

__all__ = ["EXAMPLES", "add", "describe_bench", "run"]

EXAMPLES = """\
examples:
  render bench                                     the demo model, minutes
  render bench --quick --no-baselines              seconds a table, noisier
  render bench --model sd15 --batches 1,8,16       SD 1.5 with random weights: speed needs no download
  render bench --model sdxl --size 1024x1024 --backends compile --out out/sdxl
  render bench --compare old/report.json           exit code 10 where a case is more than 10% slower
  render bench --report new.json --compare old.json --threshold 5%   without measuring
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Model, cases, and what to do with the report."""
    option = parser.add_argument
    option("--model", default="demo", help="demo, sd15 or sdxl (random weights), a folder or a hub id (default: demo)")
    option("--size", metavar="WxH", help="of the pictures (default: the model's own)")
    option("--steps", type=int, default=20, metavar="N", help="default: 20")
    option("--sampler", default="dpm++2m", help="default: dpm++2m")
    option("--guidance", type=float, default=7.5, metavar="G", help="default: 7.5; 1 is none")
    option("--backends", default="eager,compile", metavar="LIST", help="of eager, compile, onnx")
    option("--dtypes", metavar="LIST", help="of fp32, bf16, fp16 (default: fp32 on a CPU, and what is fast here)")
    option("--batches", default=None, metavar="LIST", help="default: 1,16; with --quick 1,4")
    option("--frames", type=int, default=None, metavar="N", help="of the films (default: 32; with --quick 8)")
    option("--rounds", type=int, default=None, metavar="N", help="of every timing (default: 3; with --quick 2)")
    option("--quick", action="store_true", help="few frames, few cases, nothing compiled: a first look")
    option("--no-baselines", action="store_true", help="leave out diffusers' own pipeline")
    add_trust(parser)
    option(
        "--out", type=given_folder, default=Path("out/bench"), metavar="DIR", help="for the report (default: out/bench)"
    )
    option("--report", type=Path, metavar="FILE", help="measure nothing, take this report.json")
    option("--compare", type=Path, metavar="OLD.json", help="an earlier report.json of this device")
    option("--threshold", default="10%", metavar="SHARE", help="how much slower is a regression (default: 10%%)")
    option("--force", action="store_true", help="compare with a report of another device")
    parser.set_defaults(interrupted="; report.json holds the tables that were finished, the same command begins anew")


def run(options: argparse.Namespace) -> int:
    """Measure, or take a report, and compare it where asked to. Raises RegressionError where a case became slower."""
    threshold = read.share(options.threshold)
    old = results.load(options.compare) if options.compare else None
    report = results.load(options.report) if options.report else _measure(options)
    comparison = compare.compare(old, report, threshold, force=options.force) if old else None
    if options.json:
        print(json.dumps(report))
    else:
        print(describe_bench(report, None if options.report else options.out))
        if comparison:
            print(compare.describe(comparison))
    if comparison:
        comparison.check()
    return 0


def _measure(options: argparse.Namespace) -> Report:
    from render.bench.bench import bench
    from render.cli.terminal import Steps

    wanted = _wanted(options)
    with Steps("bench") as steps:
        return bench(wanted, options.out, steps.step, trust=options.trust)


def _wanted(options: argparse.Namespace) -> read.Options:
    """Checked, with what --quick changes."""
    backends = "eager" if options.quick and options.backends == "eager,compile" else options.backends
    return read.Options(
        model=options.model,
        size=read.size(options.size),
        steps=options.steps,
        sampler=options.sampler,
        guidance=options.guidance,
        backends=read.names("--backends", backends, read.BACKENDS),
        dtypes=read.names("--dtypes", options.dtypes, read.DTYPES) if options.dtypes else (),
        batches=read.batches(options.batches or ("1,4" if options.quick else "1,16")),
        frames=(8 if options.quick else 32) if options.frames is None else options.frames,
        rounds=(2 if options.quick else 3) if options.rounds is None else options.rounds,
        quick=options.quick,
        baselines=not options.no_baselines,
    )


def describe_bench(report: Report, out: Path | None) -> str:
    """A line a case, what failed, and where the report is."""
    lines = [headline(report)] if headline(report) else []
    for entry in report["results"]:
        mfu = f"  MFU {entry['mfu']:.1%}" if entry["mfu"] is not None else ""
        lines.append(f"{entry['seconds_per_image']:8.4f} s an image  {entry['name']}{mfu}")
    for entry in report["accuracy"]:
        if "psnr_db" in entry:
            psnr = "equal" if entry["psnr_db"] is None else f"{entry['psnr_db']:.1f} dB"
            lines.append(f"{psnr:>8} PSNR         {entry['name']} against {entry['against']}, {entry['case']['dtype']}")
    lines += [f"  not measured: {item['name']}: {item['reason']}" for item in report["failed"]]
    if out is not None:
        lines.append(f"  report  {out / 'report.html'}, report.md, report.json")
    return "\n".join(lines)
