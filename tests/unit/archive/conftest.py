"""An archive in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "data")
    folders.prepare()
    return folders


@pytest.fixture
def catalogue(folders: Folders) -> Iterator[Catalogue]:
    catalogue = Catalogue.open(folders.catalogue)
    yield catalogue
    catalogue.close()
