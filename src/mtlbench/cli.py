"""The command line: one verb per rule, and the verbs a person wants."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtlbench.system.errors import ParamsError, exit_code

if TYPE_CHECKING:
    from mtlbench.plan.params import Params

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="A reproducible benchmark of multi-task learning.",
)
logger = logging.getLogger("mtlbench")
ParamsFile = Annotated[
    Path, typer.Option("--params", help="the parameters file; results are those of the current folder")
]
Key = Annotated[str | None, typer.Option(help="refuse unless this is the key that params.yaml gives now")]
DEFAULT = Path("params.yaml")


@app.command()
def download(dataset: str, params: ParamsFile = DEFAULT) -> None:
    """Fetch the raw files of a dataset, resuming and checking them."""
    from mtlbench import pipeline

    pipeline.download(_params(params), dataset)


@app.command()
def prepare(
    dataset: str,
    key: Key = None,
    again: Annotated[bool, typer.Option("--again", help="also when it is prepared: its code was changed")] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Turn the raw files of a dataset into arrays, once."""
    from mtlbench import pipeline

    print(pipeline.prepare(_params(params), dataset, key, again))


@app.command()
def train(
    cells: Annotated[list[str], typer.Argument(help="experiment/model/weighting/seed<n>, one or several")],
    key: Annotated[
        list[str] | None, typer.Option(help="refuse unless this is the key that params.yaml gives now; one for each")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="wait when another process trains this cell")] = False,
    record_divergence: Annotated[
        bool, typer.Option("--record-divergence", help="keep a NaN as the cell's result instead of failing")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="train a finished cell anew; its result is replaced when the new one is there"),
    ] = False,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="of several cells, how many train at the same time")
    ] = 1,
    params: ParamsFile = DEFAULT,
) -> None:
    """Train one cell, or continue it, or do nothing when it is complete; several: one after the other, or --at-once."""
    from mtlbench.plan import grid, keys
    from mtlbench.runs.manifest import read_cell

    loaded = _params(params)
    found = [grid.cell(loaded, path) for path in cells]
    if key and len(key) != len(found):
        raise ParamsError(f"--key: expected one for each of the {len(found)} cells, found {len(key)}")
    for cell, planned in zip(found, key or [], strict=False):
        keys.check_planned(cell.path, cell.key, planned)
    pending = [cell for cell in found if again or not cell.manifest.exists()]
    for cell in found:
        if cell not in pending:
            read_cell(cell)  # a damaged manifest is no finished cell
            logger.info("%s: finished before (%s)", cell.path, cell.manifest)
    if not pending:
        return  # without torch, which takes seconds to start
    from mtlbench.runs.status import starting
    from mtlbench.training.processes.signals import exit_when_asked

    exit_when_asked()
    with starting(pending[0]):
        from mtlbench.training.cell import run_cell

    def run(cell: grid.Cell) -> None:
        status = run_cell(cell, loaded.runtime, wait, record_divergence, again)
        logger.info("%s: %s (%s)", cell.path, status, cell.manifest)

    if len(found) == 1:
        run(pending[0])
    else:
        from mtlbench.training.processes.several import run_each

        run_each(pending, run, at_once)


@app.command()
def select(
    experiment: str,
    key: Key = None,
    rung: Annotated[int | None, typer.Option(help="choose instead which trials go on from this rung, from 1")] = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Choose the setting of every row from the finished trials of an experiment's search."""
    from mtlbench import pipeline

    print(pipeline.select(_params(params), experiment, key, rung))


@app.command()
def aggregate(
    experiment: Annotated[str | None, typer.Argument(help="one experiment; without: join those under run:")] = None,
    key: Key = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Collect the results of an experiment's cells into tidy tables; without an experiment, join them for DVC."""
    from mtlbench import pipeline

    if experiment is None:
        pipeline.join(_params(params))
    else:
        print(pipeline.aggregate(_params(params), experiment, key))


@app.command()
def report(
    experiment: str,
    key: Key = None,
    partial: Annotated[bool, typer.Option("--partial", help="build it although cells are missing")] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Render tables, figures and the page of an experiment."""
    from mtlbench import pipeline

    print(pipeline.report(_params(params), experiment, key, partial))


@app.command()
def predict(
    network: Annotated[str, typer.Argument(help="a finished cell's name or folder, a checkpoint or exported file")],
    pictures: Annotated[list[Path], typer.Argument(help="pictures (any size and mode), or folders of them")],
    out: Annotated[Path, typer.Option(help="the folder for the results")],
    device: Annotated[str, typer.Option(help="auto (a GPU when there is one), cpu or cuda:<n>")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="pictures that go through the network at once")] = 8,
    params: ParamsFile = DEFAULT,
) -> None:
    """Ask a trained network about pictures: maps as arrays and in colours, overlays, a contact sheet."""
    from mtlbench.inference.predict import predict as ask
    from mtlbench.plan.params import use_extensions

    use_extensions(params)
    ask(network, pictures, out, print, device, batch_size)


@app.command()
def export(
    network: Annotated[str, typer.Argument(help="a finished cell's name or folder, or a checkpoint file")],
    to: Annotated[str, typer.Option(help="torch (.pt2, torch.export) or onnx")],
    out: Annotated[Path | None, typer.Option(help="the file; default <model>-<key> here")] = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Write a trained network as one file for other programs, with a card that says what it is."""
    from mtlbench.inference.export import export as write
    from mtlbench.plan.params import use_extensions

    use_extensions(params)
    write(network, to, out, print)


@app.command("export-predictions")
def export_predictions(
    networks: Annotated[
        list[str],
        typer.Argument(help="finished cells' names or folders, or checkpoint files; each has domains of its own"),
    ],
    dataset: Annotated[str, typer.Option(help="the data set of params.yaml that they were trained on")] = "decathlon",
    out: Annotated[Path, typer.Option(help="the JSON file")] = Path("results.json"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<n>")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="images at a time through the network")] = 64,
    params: ParamsFile = DEFAULT,
) -> None:
    """Predict the test images of the Visual Decathlon, as its evaluation server takes them."""
    from mtlbench.inference.challenge import export_predictions as write

    write(_params(params), dataset, networks, out, print, device, batch_size)


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="models, weightings, datasets, tasks, experiments or cells")
    ] = "experiments",
    experiment: Annotated[str | None, typer.Option(help="whose tasks, image size or cells")] = None,
    options: Annotated[
        bool, typer.Option("--options", help="every option with its default and what a search tries of it")
    ] = False,
    expanded: Annotated[
        str | None, typer.Option(metavar="EXPERIMENT", help="print it as YAML with its shared blocks put in")
    ] = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Show what can be put in a grid."""
    from mtlbench import listing
    from mtlbench.plan.params import use_extensions

    use_extensions(params)
    if expanded is not None:
        print(listing.expanded(_params(params), expanded), end="")
    else:
        listing.show(what, experiment, lambda: _params(params), options)


@app.command()
def status(
    experiment: Annotated[str | None, typer.Argument(help="one experiment; default: those under run:")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="show it anew until every run has ended")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, help="with --watch: seconds between two looks")] = 5,
    params: ParamsFile = DEFAULT,
) -> None:
    """Show the grid: done, running with its ETA, pending, failed with the reason."""
    from mtlbench.runs import status as module

    if watch:
        module.watch(lambda: _params(params), experiment, seconds)
    else:
        module.show(_params(params), experiment)


@app.command()
def verify(
    experiment: Annotated[str | None, typer.Argument(help="one experiment; default: all")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="existence and sizes only, no hashing")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="first remove results that no experiment asks for")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="also evaluate stored networks again, drawn at random")] = False,
    sample: Annotated[int, typer.Option(min=1, help="how many networks --deep evaluates")] = 1,
    params: ParamsFile = DEFAULT,
) -> None:
    """Hash every output again and compare it with its manifest."""
    from mtlbench import verify as module
    from mtlbench.runs import prune as pruning

    loaded = _params(params)
    if prune:
        pruning.prune(loaded, say=print)
    module.verify(loaded, experiment, say=print, quick=quick, deep=sample if deep else 0)


@app.command()
def ship(
    experiment: str,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="also samples.npz, which holds test images: only if you may publish them")
    ] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Copy the small files of finished cells to results/shipped/cells, to be committed and taken by other machines."""
    from mtlbench.plan import grid
    from mtlbench.runs import shipped

    shipped.ship(grid.every_cell(_params(params), experiment), print, pictures)


@app.command()
def share(
    experiment: str,
    out: Annotated[Path | None, typer.Option(help="a new folder, or a file .zip; default shared/<experiment>")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="also figures that show test images: only if you may publish them")
    ] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Put a finished experiment into one folder to publish: page, tables, cards, weights, citations, checksums."""
    from mtlbench.sharing.folder import share as write

    write(_params(params), experiment, out or Path("shared") / experiment, print, pictures)


@app.command()
def leaderboard(
    sources: Annotated[list[str], typer.Argument(help="shared folders or zip files, experiments of params.yaml")],
    out: Annotated[Path, typer.Option(help="the page")] = Path("leaderboard.html"),
    params: ParamsFile = DEFAULT,
) -> None:
    """Rank the rows of several sources on one page, those of equal data and protocol together."""
    from mtlbench.plan.params import use_extensions
    from mtlbench.sharing.page import leaderboard as write

    use_extensions(params)
    write(sources, lambda: _params(params), out, print)


@app.command()
def reproduce(
    cell: Annotated[str, typer.Argument(help="experiment/model/weighting/seed<n>")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="relative difference of a metric that other hardware may make")
    ] = 0.05,
    params: ParamsFile = DEFAULT,
) -> None:
    """Train a finished cell again, elsewhere, and compare: the bits on the same hardware, else the metrics."""
    from mtlbench import reproduce as module
    from mtlbench.plan import grid

    loaded = _params(params)
    module.reproduce(grid.cell(loaded, cell), loaded.runtime, print, tolerance)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="only say what would go")] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Remove results and resume states that params.yaml does not ask for any more."""
    from mtlbench.runs import prune as module

    module.prune(_params(params), say=print, dry_run=dry_run)


@app.command()
def inspect(dataset: str, params: ParamsFile = DEFAULT) -> None:
    """Show what a prepared dataset holds: counts, class shares, ranges."""
    from mtlbench import pipeline

    pipeline.inspect(_params(params), dataset)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def bench(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="a script in benchmarks/, such as roofline or normals; its options follow")
    ] = "roofline",
) -> None:
    """Measure speed and memory; `mtlbench bench roofline --help` shows the options of one script."""
    from mtlbench.system.errors import nearest

    scripts = {path.stem: path for path in sorted(Path("benchmarks").glob("*.py"))}
    if what == "--help":  # of this command; after a script's name it is the script's
        print(context.get_help())
        print("\n".join(f"  {name:10} {_first_line(path)}" for name, path in scripts.items()))
        return
    if not scripts:
        raise ParamsError("bench: no folder benchmarks/ here. Run it in a checkout of mtlbench.")
    if what not in scripts:
        raise ParamsError(f"bench: no benchmarks/{what}.py in this folder. {nearest(what, scripts)}")
    sys.exit(subprocess.run([sys.executable, str(scripts[what]), *context.args], check=False).returncode)


def main() -> None:
    """Entry point: errors that a user can mend come without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    sys.exit(exit_code(app))


def _first_line(script: Path) -> str:
    return script.read_text(encoding="utf-8").partition('"""')[2].splitlines()[0].strip('"')


def _params(path: Path) -> "Params":
    from mtlbench.plan.params import load

    return load(path)
