"""What a grid of many runs costs before and after the training: Snakemake's planning and DVC's bookkeeping.

    python benchmarks/scale.py [--cells 300 1000] [--folder /a/disk]

Makes a throw-away checkout with stub cells (valid manifests of the right keys, a few small files and weights each),
one for each count, and prints the seconds of each command. Run by hand (or `mtlbench bench scale`).
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from mtlbench.plan import grid, keys, places, prepared, summaries
from mtlbench.plan.params import Params, load
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.system.console import console
from mtlbench.system.files import write_json, write_text

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = (
    "Snakefile",
    "dvc.yaml",
    "workflow",
    "src/mtlbench",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    str(places.SELECTIONS / "README.md"),
)
MODELS, WEIGHTINGS = 2, 10
DRY_RUN = ("snakemake", "--profile", "workflow/profiles/local", "-n")
#: Bytes of the stub files of one cell, as large as those of a small real run.
SIZES = {
    "history.csv": 4_000,
    "metrics.json": 2_500,
    "per_image.npz": 20_000,
    "samples.npz": 60_000,
    "model.safetensors": 200_000,
}
PARAMS = """\
run: [scale]
runtime: {{device: cpu, threads: 1, workers: 1, checkpoint_seconds: 0, compile: false, data: auto}}
datasets:
  rooms: {{kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}}
protocols: {{}}
trainings: {{}}
grids: {{}}
experiments:
  scale:
    title: Stub cells
    dataset: rooms
    tasks: [segmentation, depth, normals]
    protocol: {{name: paper, last_epochs: 1}}
    baseline: null
    models: {{{models}}}
    weightings: {{{weightings}}}
    seeds: {seeds}
    training:
      epochs: 1
      batch_size: 2
      optimizer: {{name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}}
      schedule: {{name: constant}}
      drop_last: false
      precision: float32
      augmentation: null
    resources: {{gpu: 0, memory_mb: 1000, minutes: 5}}
"""


@dataclass(frozen=True)
class Cost:
    """Wall and processor seconds of one command, its children included, and what it said."""

    wall: float
    cpu: float
    output: str


@dataclass(frozen=True)
class Stubs:
    """A throw-away checkout with a grid of stub cells, and a home folder of its own beside it."""

    base: Path

    @property
    def folder(self) -> Path:
        """The checkout."""
        return self.base / "checkout"

    def run(self, *command: str) -> Cost:
        """Run a command in the checkout; RuntimeError with its output when it fails."""
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=self._environment(), capture_output=True, text=True)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} gave {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(wall, cpu, done.stdout + done.stderr)

    def params(self) -> Params:
        """The parameters of the grid."""
        return load(self.folder / "params.yaml")

    def finish(self) -> None:
        """Write what a finished run leaves, for every cell and for the report."""
        params = self.params()
        with contextlib.chdir(self.folder):
            data = prepared.dataset(params, "rooms")
            _result(data.folder, data.spec, {"train/image.npy": 20_000}, data.key)
            for cell in grid.cells(params, "scale"):
                _cell(cell)
            spec = summaries.report_spec(params, "scale")
            write_json(places.summary("scale") / "metrics.json", {cell: {"loss": 1.0} for cell in spec["cells"]})
            write_text(places.summary("scale") / "curves.csv", "row,epoch,mean\nstub,1,1.0\n")
            write_manifest(places.summary("scale"), spec, {})
            _result(places.report("scale"), spec, {"index.html": 500_000}, "report")

    def _environment(self) -> dict[str, str]:
        home = str(self.base / "home")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "MTLBENCH", "DVC"))}
        git = {
            f"GIT_{who}_{what}": "bench@bench.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        folders = {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "DVC_SITE_CACHE_DIR": f"{home}/dvc-site"}
        return {**kept, **git, **folders, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def make(base: Path, cells: int) -> Stubs:
    """A checkout in ``base`` (new) whose grid has ``cells`` cells (rounded up to whole seeds), none of them run."""
    stubs = Stubs(base)
    (base / "home").mkdir(parents=True)
    for part in PARTS:
        source, target = REPOSITORY / part, stubs.folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    text = PARAMS.format(
        models=", ".join(f"split{i}: {{kind: segnet_split, width: {0.0625 * (i + 1)}}}" for i in range(MODELS)),
        weightings=", ".join(f"dwa{i}: {{kind: dwa, temperature: {1 + i}.0}}" for i in range(WEIGHTINGS)),
        seeds=list(range(-(-cells // (MODELS * WEIGHTINGS)))),
    )
    write_text(stubs.folder / "params.yaml", text)
    for command in ("git init -q", "git add -A", "git commit -qm start"):
        stubs.run(*command.split())
    return stubs


def measure_planning(stubs: Stubs) -> dict[str, Cost]:
    """{what: its cost} of planning a grid of which nothing is done."""
    return {"snakemake -n, all pending": stubs.run(*DRY_RUN)}


def measure(stubs: Stubs) -> dict[str, Cost]:
    """{what: its cost} of the commands that people wait for."""
    found = measure_planning(stubs)
    found["mtlbench status, all pending"] = stubs.run("mtlbench", "status")
    stubs.finish()
    found |= {
        "snakemake -n, all done": stubs.run(*DRY_RUN),
        "mtlbench status, all done": stubs.run("mtlbench", "status"),
        "mtlbench verify": stubs.run("mtlbench", "verify"),
        "dvc repro, the first record": stubs.run("dvc", "repro"),
        "dvc repro, nothing changed": stubs.run("dvc", "repro"),
        "dvc status": stubs.run("dvc", "status"),
        "dvc push to a folder": stubs.run("dvc", "push"),
        "dvc status --cloud": stubs.run("dvc", "status", "--cloud"),
    }
    for path in ("dvc.lock", ".dvc/cache", ".dvc/tmp"):
        path = stubs.folder / path
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(stubs.base / "home/dvc-site")
    found["dvc commit -f, everything new"] = stubs.run("dvc", "commit", "-f")
    found["dvc commit -f, nothing changed"] = stubs.run("dvc", "commit", "-f")
    return found


def _cell(cell: grid.Cell) -> None:
    """The files of one finished cell, other bytes for each key."""
    outputs = {}
    for name, size in SIZES.items():
        path = (cell.checkpoint_folder if name.endswith(".safetensors") else cell.folder) / name
        outputs[name] = _stub(path, size, cell.key)
    facts = {"status": "complete", "data": {}, "dataset": {}, "seconds_total": 60.0}
    write_manifest(cell.folder, cell.spec, outputs, facts)


def _result(folder: Path, spec: keys.Spec, sizes: dict[str, int], seed: str) -> None:
    outputs = {name: _stub(folder / name, size, seed) for name, size in sizes.items()}
    write_manifest(folder, spec, outputs)


def _stub(path: Path, size: int, seed: str) -> Path:
    """A file of ``size`` bytes that ``seed`` and its name determine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(f"{seed}/{path.name}").randbytes(size))
    return path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[300, 1000], help="sizes of the grids")
    parser.add_argument(
        "--folder", type=Path, help="where the throw-away checkouts are made (default: a temporary one)"
    )
    parser.add_argument("--plan", action="store_true", help="only `snakemake -n`, all pending")
    arguments = parser.parse_args()
    what = measure_planning if arguments.plan else measure
    found, load_before = {}, os.getloadavg()[0]
    for count in arguments.cells:
        with tempfile.TemporaryDirectory(prefix="mtlbench-scale-", dir=arguments.folder) as base:
            found[count] = what(make(Path(base), count))
    table = Table(title="seconds (of the processors)", title_justify="left")
    for column in ("command", *(f"{count} cells" for count in found)):
        table.add_column(column, justify="left" if column == "command" else "right")
    for command in next(iter(found.values())):
        table.add_row(command, *(f"{costs[command].wall:.1f} ({costs[command].cpu:.1f})" for costs in found.values()))
    console().print(table)
    print(f"{os.cpu_count()} processors; load {load_before:.1f} before, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
