"""What a report page costs, by its rows: processor seconds of reading, computing, drawing and writing all of it.

    python benchmarks/page.py [--rows 10 75 500]

The cells are made up (those of tests/report: one seed, 20 epochs, 10 small images, a single-task baseline), spread over
one model for every 50 rows; one process, figures included.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = (
    "segnet_mtan", "segnet_split", "resnet_split", "resnet_mtan", "segnet_cross_stitch", "mtan_vgg16",
    "resnet_cross_stitch", "segnet_dense", "resnet_nddr", "wrn_mtan",
)  # fmt: skip
REPOSITORY = Path(__file__).resolve().parents[1]


def measure(rows: int) -> tuple[int, float, int, int]:
    """(rows, processor seconds, figure files, bytes of HTML) of a page of about so many rows, 500 at most."""
    sys.path.insert(0, str(REPOSITORY / "tests/report"))
    made = importlib.import_module("conftest")
    from mtlbench.report.build import build_report

    models = MODELS[: -(-rows // 50)]
    weightings = [f"weighting{number:02d}" for number in range(-(-(rows - 1) // len(models)))]
    with tempfile.TemporaryDirectory(prefix="mtlbench-page-") as base:
        report = made.make_report(Path(base), models, weightings, (0,), epochs=20)
        out = Path(base) / "out"
        begin = time.process_time()
        build_report(report, out)
        seconds = time.process_time() - begin
        return (
            1 + len(models) * len(weightings),
            seconds,
            len(list((out / "figures").iterdir())),
            (out / "index.html").stat().st_size,
        )


def main() -> None:
    """The command line; every page is made in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 75, 500], help="rows of the pages")
    rows = parser.parse_args().rows
    if len(rows) > 1:
        for count in rows:
            subprocess.run([sys.executable, __file__, "--rows", str(count)], check=True)
        return
    found, seconds, files, size = measure(rows[0])
    print(f"{found} rows: {seconds:.1f} s, {files} figure files, {size / 1e6:.1f} MB of HTML", flush=True)


if __name__ == "__main__":
    main()
