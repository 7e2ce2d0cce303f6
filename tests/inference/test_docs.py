"""The programs of docs/library.md that use a trained network run as they stand there, without the extras."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .conftest import CELL

EXTRAS = ("snakemake", "dvc", "pandas", "matplotlib", "seaborn", "h5py", "jinja2", "requests", "filelock", "tqdm")


def test_load_and_predict(trained, repository: Path) -> None:
    text = (repository / "docs" / "library.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.S)
    load, read = (next(one for one in programs if word in one) for word in ("mtlbench.load(", "safe_open("))
    load = load.replace("demo/segnet_mtan/dwa/seed0", CELL)
    read = read.replace("model.safetensors", str(trained.checkpoint_folder / "model.safetensors"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)).save("photo.jpg")
    blocked = f"import sys\nfor name in {EXTRAS}:\n    sys.modules[name] = None\n"
    run = subprocess.run([sys.executable, "-c", blocked + load + read], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[:3] == [
        "segmentation (48, 80) int8",
        "depth (1, 48, 80) float16",
        "normals (3, 48, 80) float16",
    ]
    assert "'bed'" in lines[3]
    assert trained.key in lines[4]
