"""The DICOM files that packages from PyPI bring: pydicom, pydicom-data, deid-data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("pydicom", "data_store", "deid_data")
# fmt: off
_OTHER = frozenset(
    (".cfg", ".dump", ".gz", ".icc", ".in", ".json", ".md", ".py", ".pyc", ".pyi", ".so", ".toml",
     ".txt", ".typed", ".zip")
)
# fmt: on


def _of(package: str) -> list[Path]:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is not installed"
    return [
        path
        for path in sorted(Path(spec.origin).parent.rglob("*"))
        if path.is_file() and path.suffix not in _OTHER and path.name not in ("README", "LICENSE")
    ]


FILES = [path for package in _PACKAGES for path in _of(package)]
