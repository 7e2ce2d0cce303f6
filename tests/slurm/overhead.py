"""What a job of a cluster costs beside the training, on a real Slurm of this machine (root; install.sh first).

    python -m tests.slurm.overhead 1 4        with one and with four cells in a job; prints a line for each

Eight short cells on one node, one job at a time, so that jobs do not slow each other down. Measured are the seconds
from the command to the first job that runs, and the seconds of Slurm's jobs that are not training, per cell.
"""

import argparse
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path

from mtlbench.plan import places

from ..workflow.conftest import make_checkout  # noqa: TID252
from .cluster import Cluster, start, wait_for
from .conftest import Site, params

REPOSITORY = Path(__file__).resolve().parents[2]
EDITS = (("seeds: [0]", "seeds: [0, 1, 2, 3]"), ("epochs: 40", "epochs: 4"))


def measure(cluster: Cluster, folder: Path, cells_per_job: int) -> str:
    """One run of the grid; a line of the table."""
    # All memory of the node for a job: one at a time.
    text = params(REPOSITORY, *EDITS).replace("memory_mb: 1500", "memory_mb: 16000")
    if cells_per_job > 1:
        text = text.replace("minutes: 5}", f"minutes: 5, cells_per_job: {cells_per_job}}}")
    site = Site(make_checkout(folder, REPOSITORY, text, cluster.environment), cluster)
    try:
        site.snakemake("prepared")
        site.finish()
        before = set(_jobs(site))
        begin = time.monotonic()
        site.snakemake("cells")
        wait_for(lambda: any(job["state"] == "RUNNING" for job in site.jobs()), 60, "the first job runs")
        first = time.monotonic() - begin
        site.finish(900)
        wall = time.monotonic() - begin
        jobs = [seconds for number, seconds in _jobs(site).items() if number not in before]
    finally:
        site.stop()
    manifests = [json.loads(path.read_text()) for path in site.folder.glob(f"{places.CELLS}/*/*/*/*/manifest.*.json")]
    training = sum(manifest["seconds_total"] for manifest in manifests)
    overhead = (sum(jobs) - training) / len(manifests)
    return (
        f"{cells_per_job} cells per job: first job after {first:.1f} s; {len(jobs)} jobs took {sum(jobs):.0f} s, "
        f"{training:.1f} s of it training: {overhead:.1f} s overhead per cell; {wall:.0f} s in all"
    )


def _jobs(site: Site) -> dict[str, float]:
    """Seconds that each job of the checkout ran."""
    found = {}
    for line in site.cluster.run("scontrol", "--oneliner", "show", "job").splitlines():
        job = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if job.get("WorkDir") == str(site.folder) and job["JobState"] == "COMPLETED":
            times = [datetime.fromisoformat(job[name]) for name in ("StartTime", "EndTime")]
            found[job["JobId"]] = (times[1] - times[0]).total_seconds()
    return found


def main() -> None:
    """Measure each of the given sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells_per_job", type=int, nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mtlbench-slurm-", ignore_cleanup_errors=True) as folder:
        cluster = start(Path(folder) / "cluster", owner=os.getpid())
        try:
            cluster.run("scontrol", "update", "nodename=node2", "state=drain", "reason=one node is enough")
            for size in arguments.cells_per_job:
                print(measure(cluster, Path(folder) / f"cells{size}", size), flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
