"""The archive as the page has it: it reads the catalogue and pictures, and asks the AE."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from appliance.archive.album import Album
from appliance.archive.files import Folders
from appliance.archive.index import Index
from appliance.archive.records import CatalogueFailed
from appliance.archive.requests import Requests, RequestsFailed


class Reading(Album, Index):
    """The catalogue, for people and for programs."""


class Shelf:
    """The archive below `data`, if it is there. For any thread."""

    def __init__(self, data: Path) -> None:
        self.folders = Folders(data)
        self._album: Reading | None = None
        self._inode = 0
        self._opening = threading.Lock()

    def album(self) -> Reading:
        """The catalogue to read. Raises CatalogueFailed."""
        with self._opening:
            try:
                inode = self.folders.catalogue.stat().st_ino
            except OSError as error:
                raise CatalogueFailed(f"there is no catalogue: {error.strerror}") from None
            if self._album is None or inode != self._inode:
                # Recovery has put another one in its place.
                if self._album is not None:
                    self._album.close()
                self._album, self._inode = None, inode
                self._album = Reading.of_file(self.folders.catalogue)
            return self._album

    @contextmanager
    def requests(self) -> Iterator[Requests]:
        """The requests, to read and to ask. Raises RequestsFailed."""
        if not self.folders.requests.exists():
            raise RequestsFailed("the AE has not run yet: nothing can be asked")
        with closing(Requests.open(self.folders.requests)) as requests:
            yield requests

    def file(self, instance: int, frame: int) -> Path:
        """Where a picture lies. Raises LookupError, or CatalogueFailed."""
        return self.album().picture_file(self.folders, instance, frame)
