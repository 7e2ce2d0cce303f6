"""Everything that needs a GPU, in parts that each end within minutes and leave a table.

    benchmarks/gpu.sh [tests bytes cells processes roofline train] [--out work/gpu] [--minutes 8]

tests: those marked gpu. bytes: a cell gives the same bytes twice, and killed by SIGKILL and continued, in every
precision and compiled. cells: several runs at once on one GPU. processes: a run on two GPUs (NCCL) beside one on one.
roofline: all models at 288 x 384 (`--share 1/2` and `2/2` divide them). train: some epochs of a cell of a project whose
data are prepared (`--project`). A part tells what it left out and why; tables are also in OUT/<part>.md.

`--device cpu` does the same with small images and networks, to try the script where there is no GPU. Nothing is
installed: it needs what training needs, torchvision, and for `tests` pytest and hypothesis.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import projects
import torch
from ruamel.yaml import YAML

from mtlbench.plan import places
from mtlbench.plan.registry import entries
from mtlbench.system.files import write_text
from mtlbench.training import device as devices

REPOSITORY = Path(__file__).resolve().parents[1]
CELL = "gpu/segnet_mtan/dwa/seed{}"
#: Precision and compilation of the modes.
MODES = {
    "float32": ("float32", "false"),
    "tf32": ("tf32", "false"),
    "bfloat16": ("bfloat16", "false"),
    "compiled": ("float32", "true"),
}


@dataclass
class Found:
    """The table of a part, what it left out, and whether something was wrong."""

    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    wrong: bool = False
    text: str = ""

    def shown(self, name: str) -> str:
        """Markdown."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows] if self.rows else []
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        rest = [f"Left out: {one}" for one in self.left_out] + ["SOMETHING IS WRONG"] * self.wrong
        return "\n\n".join(part for part in (f"## {name}", table, self.text, *rest) if part) + "\n"


@dataclass
class Given:
    """The settings of the command line, and when no further work may start."""

    device: str
    out: Path
    share: tuple[int, int]
    modes: list[str]
    project: Path
    cell: str
    epochs: int
    end: float = 0.0

    def late(self, found: Found, what: str) -> bool:
        """Whether the time of the part is over; then ``what`` is left out."""
        if late := time.monotonic() > self.end:
            found.left_out.append(f"{what}: the time of this part was over (--minutes)")
        return late

    def make(self, name: str, **changes: object) -> Path:
        """A new project."""
        return projects.make(self.out / "projects" / name, self.out / "rooms", self.device, **changes)


def tests(given: Given) -> Found:
    """The tests marked gpu."""
    found = Found(("passed", "skipped", "failed"))
    if missing := [name for name in ("pytest", "hypothesis") if importlib.util.find_spec(name) is None]:
        found.left_out.append(f"all: without {' and '.join(missing)}")
        return found
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    folders = ["tests/training", "tests/tasks"]
    done = subprocess.run([*command, *folders], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    write_text(given.out / "tests.log", done.stdout + done.stderr)
    words = done.stdout.strip().splitlines()[-1].split() if done.stdout.strip() else []
    counts = {after.strip(","): word for word, after in pairwise(words)}
    found.rows.append(tuple(counts.get(name, "0") for name in found.columns))
    found.left_out += [line.removeprefix("SKIPPED ") for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    found.wrong = done.returncode != 0
    return found


def same_bytes(given: Given) -> Found:
    """The same cell twice, and interrupted, in every mode; one that fails stops no other."""
    found = Found(("mode", "seconds of the run", "twice the same", "killed and continued the same"))
    for mode in given.modes:
        if mode == "tf32" and given.device == "cpu":
            found.left_out.append("tf32: a precision of GPUs")
        elif not given.late(found, mode):
            try:
                seconds, equal = _three_runs(given, mode)
            except RuntimeError as error:
                found.left_out.append(f"{mode}: {error}")
                found.wrong = True
                continue
            found.rows.append((mode, f"{seconds:.1f}", *("yes" if one else "NO" for one in equal)))
            found.wrong |= not all(equal)
    return found


def _three_runs(given: Given, mode: str) -> tuple[float, list[bool]]:
    """Seconds of the first, and whether the second and the interrupted one gave its bytes."""
    precision, compiled = MODES[mode]
    path, results = CELL.format(0), []
    for attempt in ("one", "two", "killed"):
        folder = given.make(f"bytes-{mode}-{attempt}", precision=precision, compile=compiled)
        if attempt == "killed" and not projects.kill(folder, path):
            raise RuntimeError("the run ended before it was killed; more epochs are needed")
        projects.run(folder, "train", path)
        results.append(projects.outputs(folder, path))
    seconds = projects.facts(given.out / "projects" / f"bytes-{mode}-one", path)["seconds_total"]
    return seconds, [results[0] == other for other in results[1:]]


def several_cells(given: Given) -> Found:
    """Runs at once on one device."""
    found = Found(("runs at once", "seconds of the longest", "runs in an hour beside one alone"))
    alone = 0.0
    for count in (1, 2, 4) if given.device == "cuda" else (1, 2):
        if not given.late(found, f"{count} at once"):
            folder, paths = given.make(f"cells-{count}"), [CELL.format(seed) for seed in range(count)]
            projects.run_at_once(folder, paths)
            seconds = max(projects.facts(folder, path)["seconds_total"] for path in paths)
            alone = alone or seconds
            found.rows.append((str(count), f"{seconds:.1f}", f"{count * alone / seconds:.2f}"))
    return found


def two_processes(given: Given) -> Found:
    """A run in two processes, each with a GPU, beside the same in one."""
    found = Found(("processes", "seconds of the run", "largest relative difference of training losses"))
    if given.device == "cuda" and torch.cuda.device_count() < 2:
        found.left_out.append(f"all: it needs two GPUs, and there is {torch.cuda.device_count()}")
        return found
    path, losses = CELL.format(0), []
    for count in (1, 2):
        folder = given.make(f"processes-{count}", processes=count)
        projects.run(folder, "train", path)
        losses.append(projects.losses(folder, path))
        difference = max(abs(b - a) / abs(a) for a, b in zip(losses[0], losses[-1], strict=True))
        seconds = projects.facts(folder, path)["seconds_total"]
        found.rows.append((str(count), f"{seconds:.1f}", f"{difference:.1e}"))
    return found


def roofline(given: Given) -> Found:
    """All models that predict maps of several tasks, by benchmarks/roofline.py."""
    found = Found()
    filters = projects.SIZES[given.device][2]
    blocks = {
        name: f"      {name}: {{{f'width: {filters}' if 'width' in one.options.model_fields else ''}}}"
        for name, one in entries("models").items()
        if one.constants.get("predicts") != "classes" and not one.constants.get("single_task")
    }
    first, parts = given.share
    names = list(blocks)[first - 1 :: parts] if given.device == "cuda" else ["segnet_split"]
    if len(names) < len(blocks):
        found.left_out.append(f"{', '.join(name for name in blocks if name not in names)}: not in this share")
    folder = given.make("roofline", models="\n".join(blocks[name] for name in names))
    minutes = f"{max(0.0, given.end - time.monotonic()) / 60:.2f}"
    command = [sys.executable, str(REPOSITORY / "benchmarks/roofline.py"), "--experiment", "gpu", "--rounds", "3"]
    command += ["--precisions", "float32"] * (given.device == "cpu")
    done = subprocess.run([*command, "--minutes", minutes], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    found.text, found.wrong = done.stdout.strip(), done.returncode != 0
    return found


def train(given: Given) -> Found:
    """Some epochs of a cell of a project whose data are prepared."""
    found = Found(("cell", "device", "epochs", "seconds of an epoch", "images in a second", "memory, MB"))
    yaml = YAML(typ="safe")
    params = yaml.load(given.project / "params.yaml")
    experiment = params["experiments"][given.cell.split("/")[0]]
    arrays = given.project / places.prepared(experiment["dataset"])
    if not any(arrays.glob("manifest.*")):
        found.left_out.append(f"all: {arrays} has no prepared arrays; --project names a project that has")
        return found
    folder = given.out / "projects" / "train"
    folder.mkdir(parents=True)
    (folder / places.DATA).symlink_to((given.project / places.DATA).resolve())
    sources = places.sources(experiment["dataset"])
    if (given.project / sources).exists():
        (folder / sources).parent.mkdir(parents=True)
        shutil.copy(given.project / sources, folder / sources)
    experiment["training"]["epochs"] = given.epochs
    experiment["protocol"] = {"name": "paper", "last_epochs": 1}  # the experiment's may need more epochs
    experiment.pop("search", None)
    params["runtime"]["device"] = given.device
    yaml.dump(params, folder / "params.yaml")
    projects.run(folder, "train", given.cell)
    facts = projects.facts(folder, given.cell)
    seconds = facts["seconds_per_epoch"]
    rate, memory = facts["dataset"]["images"]["train"] / seconds, facts["peak_memory_bytes"] / 2**20
    found.rows.append(
        (given.cell, facts["device"], str(given.epochs), f"{seconds:.1f}", f"{rate:.1f}", f"{memory:.0f}")
    )
    return found


PARTS: dict[str, Callable[[Given], Found]] = {
    "tests": tests,
    "bytes": same_bytes,
    "cells": several_cells,
    "processes": two_processes,
    "roofline": roofline,
    "train": train,
}


def main() -> int:
    """The command line; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all without this")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu only tries the script")
    parser.add_argument("--out", type=Path, default=places.WORK / "gpu", help="a folder for tables and projects")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which a part begins nothing more")
    parser.add_argument("--share", default="1/1", help="2/3: of roofline's models the second third")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES, help="of bytes; all without this")
    parser.add_argument("--project", type=Path, default=REPOSITORY, help="of train: has params.yaml and data/prepared")
    parser.add_argument("--cell", default="nyuv2/segnet_mtan/equal/seed0", help="of train")
    parser.add_argument("--epochs", type=int, default=3, help="of train")
    read = vars(parser.parse_args())
    parts, minutes = read.pop("parts") or list(PARTS), read.pop("minutes")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"expected parts out of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    first, count = (int(number) for number in read.pop("share").split("/"))
    given = Given(**read, share=(first, count))
    given.out = given.out.resolve()
    device = devices.describe(devices.choose(given.device))
    print(f"{device}, torch {torch.__version__}, Python {sys.version.split()[0]}\n", flush=True)
    wrong = False
    for name in parts:
        shutil.rmtree(given.out / "projects", ignore_errors=True)
        given.end = time.monotonic() + 60 * minutes
        begin = time.monotonic()
        try:
            found = PARTS[name](given)
        except Exception as error:  # the other parts run all the same
            found = Found(text=f"{type(error).__name__}: {error}", wrong=True)
        text = found.shown(f"{name} ({time.monotonic() - begin:.0f} s)")
        write_text(given.out / f"{name}.md", text)
        print(text, flush=True)
        wrong |= found.wrong
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
