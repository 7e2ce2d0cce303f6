"""Datasets of params.yaml: what their arrays are made of, the key of that, and where raw files and arrays are."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places
from mtlbench.plan.content import content
from mtlbench.plan.params import Params
from mtlbench.plan.registry import entry, split_kind
from mtlbench.plan.sources import is_address, source_folder
from mtlbench.system.errors import ParamsError, nearest

#: Bumped by hand when what is recorded of every prepared dataset changes.
PREPARED_VERSION = 2


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset of params.yaml: what it is made of and where its arrays are."""

    name: str
    kind: str
    options: dict[str, Any]
    source: str | None
    spec: dict[str, Any]
    key: str

    @property
    def raw(self) -> Mapping[str, str | None]:
        """{raw file: its published checksum, None where there is none}; empty for generated data."""
        found: dict[str, str | None] = self.spec["raw"]
        return found

    @property
    def rendered(self) -> bool:
        """Whether its images are made here, so that anybody may publish them: not from files, nor from packages."""
        return not self.raw and not self.spec.get("packages")

    @property
    def content(self) -> Mapping[str, str]:
        """{raw file or folder: digest} of what is in local raw files without a published checksum."""
        found: dict[str, str] = self.spec.get("content", {})
        return found

    @property
    def folder(self) -> Path:
        """Where the prepared arrays are."""
        return places.prepared(self.name)

    @property
    def manifest(self) -> Path:
        """Exists when the arrays are complete and belong to this spec."""
        return self.folder / keys.manifest_name(self.key)

    def build(self) -> Any:
        """The Dataset object."""
        return entry("datasets", self.kind).load()(**self.options)


def dataset(params: Params, name: str) -> PreparedDataset:
    """The dataset of that name; raises ParamsError with the nearest known name."""
    if name not in params.datasets:
        raise ParamsError(f"unknown dataset '{name}'. {nearest(name, params.datasets)}")
    block = params.datasets[name]
    kind, options = split_kind("datasets", name, block, f"datasets.{name}", extra=("source",))
    source = block.get("source")
    found = _dataset(name, kind, keys.canonical(options), source, "{}")
    if source is None or is_address(source):
        return found
    held = content(name, raw_folder(found), unpublished(found), source)
    return _dataset(name, kind, keys.canonical(options), source, keys.canonical(held))


@functools.lru_cache(maxsize=256)
def _dataset(name: str, kind: str, options_json: str, source: str | None, content_json: str) -> PreparedDataset:
    options = json.loads(options_json)
    made = entry("datasets", kind).load()(**options)
    raw = {file.name: file.sha256 or file.md5 for file in made.raw_files()}
    spec = {"prepared": PREPARED_VERSION, "kind": kind, "version": made.version, "options": options, "raw": raw}
    if held := json.loads(content_json):
        spec["content"] = held
    if packages := made.packages():
        spec["packages"] = packages
    if source is not None and is_address(source) and None in raw.values():
        spec["source"] = source.rstrip("/")
    return PreparedDataset(name, kind, options, source, spec, keys.key(spec))


def unpublished(data: PreparedDataset, needed: bool = False) -> dict[str, tuple[str, ...]]:
    """{raw file without a published checksum: names under which it may lie in its folder}; all, or those needed."""
    files = [file for file in data.build().raw_files() if file.required or not needed]
    return {file.name: file.forms for file in files if data.raw[file.name] is None}


def raw_folder(data: PreparedDataset) -> Path:
    """Where the raw files are: ``source`` when it is a folder, else where they are downloaded to.

    The official files of a kind are downloaded once for all datasets made from them. What an address gives without a
    published checksum lies apart from what another address gives.
    """
    if data.source is not None and not is_address(data.source):
        return source_folder(data.source, f"datasets.{data.name}.source")
    if data.source is None:
        return places.raw(data.kind)
    address = data.spec.get("source")
    return places.raw(data.name if address is None else f"{data.name}_{keys.key(address)[:8]}")


def raw_spec(data: PreparedDataset) -> dict[str, Any]:
    """What a download depends on: the files and their expected digests."""
    return {"kind": data.kind, "source": data.source, "raw": dict(data.raw)}


def raw_manifest(params: Params, name: str) -> Path | None:
    """Exists when the raw files are downloaded; None for generated data and for a local ``source``."""
    data = dataset(params, name)
    if not data.raw or (data.source is not None and not is_address(data.source)):
        return None
    return raw_folder(data) / keys.manifest_name(keys.key(raw_spec(data)))
