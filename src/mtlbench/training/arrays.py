"""Prepared arrays as a run reads them: the bytes that were prepared, in the form that their task has, or an error."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mtlbench.datasets.prepared.layout import maps_of
from mtlbench.datasets.prepared.rows import read_rows
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DataError

#: An npy header is shorter.
_HEADER = 4096


class PreparedArrays:
    """The arrays of a prepared dataset, each checked against its manifest while it is read.

    Every read digests the very bytes that it hands out, so there is no digest from another time that could be wrong
    (about 1.5 s for a GB, once in a run). ``digests`` collects {"train/depth.npy": SHA-256} of what was read.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = Path(folder)
        self.manifest = manifest
        self.maps = maps_of(manifest.facts["tasks"])
        self.digests: dict[str, str] = {}

    def read(self, split: str, name: str) -> np.ndarray:
        """The array of an image or a task, (N, ...); raises DataError when it is not what was prepared, or broken."""
        path = f"{split}/{name}.npy"
        dtype, shape = self._form(split, name)
        array = self._read(path, dtype, shape)
        self._check_values(path, name, array, 0)
        return array

    def parts(self, split: str, name: str, size: int) -> Iterator[np.ndarray]:
        """What :meth:`read` returns, ``size`` images at a time and with the memory of these.

        Raises DataError as :meth:`read` does, but for a wrong digest only after the last part: use nothing before.
        """
        path = f"{split}/{name}.npy"
        dtype, shape = self._form(split, name)
        sha256, start, found = hashlib.sha256(), 0, "something else"
        try:
            for part in read_rows(self.folder / path, size, sha256.update):
                if (part.dtype, part.shape[1:]) != (dtype, shape[1:]):
                    found = f"{part.dtype} (N, {', '.join(str(n) for n in part.shape[1:])})"
                    break
                self._check_values(path, name, part, start)
                yield part
                start += len(part)
        except FileNotFoundError:
            raise DataError(f"{self.folder / path}: no such prepared array. {self._remedy}") from None
        except ValueError as error:
            found = str(error)
        if start != shape[0]:
            raise DataError(f"{self.folder / path}: expected {dtype} {shape} in C order, found {found}. {self._remedy}")
        self._check_digest(path, sha256.hexdigest(), (self.folder / path).stat().st_size)

    def groups(self, split: str) -> np.ndarray | None:
        """The scene number (N,) of each image, int32; None where every image is a scene of its own."""
        path = f"{split}/group.npy"
        if path not in self.manifest.outputs:
            return None
        return self._read(path, np.dtype(np.int32), (self.manifest.facts["counts"][split],))

    def _form(self, split: str, name: str) -> tuple[np.dtype, tuple[int, ...]]:
        form = self.maps[name]
        shape = form.shape(tuple(self.manifest.facts["size"]))
        return np.dtype(form.dtype), (self.manifest.facts["counts"][split], *shape)

    def _check_values(self, path: str, name: str, array: np.ndarray, first: int) -> None:
        for index, image in enumerate(array, first):
            problem = self.maps[name].broken(image)
            if problem:
                raise DataError(f"{self.folder / path}: image {index} (from 0) {problem}. {self._remedy}")

    @property
    def _remedy(self) -> str:
        name = self.folder.name
        return f"`dvc checkout`, or delete the manifest in {self.folder} and run `mtlbench prepare {name}`."

    def _read(self, path: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        where = self.folder / path
        try:
            content = np.fromfile(where, np.uint8)
        except FileNotFoundError:
            raise DataError(f"{where}: no such prepared array. {self._remedy}") from None
        self._check_digest(path, hashlib.sha256(content.data).hexdigest(), len(content))
        array = _parse(content)
        if array is None or (array.dtype, array.shape) != (dtype, shape):
            form = "something else" if array is None else f"{array.dtype} {array.shape}"
            raise DataError(f"{where}: expected {dtype} {shape} in C order, found {form}. {self._remedy}")
        return array

    def _check_digest(self, path: str, found: str, size: int) -> None:
        outputs = {name: output.sha256 for name, output in self.manifest.outputs.items()}
        if found != outputs.get(path):
            same = [name for name, sha256 in outputs.items() if sha256 == found]
            what = f"it holds the content of {same[0]}" if same else f"{size} bytes with the digest {found[:16]}"
            raise DataError(
                f"{self.folder / path}: expected the array that the manifest names, found other data: {what}. "
                f"{self._remedy}"
            )
        self.digests[path] = found


def _parse(content: np.ndarray) -> np.ndarray | None:
    """The array of an npy file's bytes, without a copy; None when it is none in C order."""
    file = io.BytesIO(content[:_HEADER].tobytes())
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if fortran or dtype.hasobject:
            return None
        return content[file.tell() :].view(dtype).reshape(shape)
    except ValueError:
        return None
