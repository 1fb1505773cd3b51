"""After a crash: what is on disk and what the catalogue says become one again.

The same code rebuilds a catalogue from the files alone: then every file is one without a row. What
files do not tell is lost with a catalogue: which instances had expired (they are fetched again),
which remote an instance came from, listings, retrievals and events.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from appliance.archive.adoption import (
    UNREADABLE,
    Found,
    FoundPicture,
    pictures_by_instance,
    whole_set,
)
from appliance.archive.catalogue import (
    Adoption,
    Catalogue,
    CatalogueCorrupt,
    Clock,
    HeldInstance,
    StoredInstance,
)
from appliance.archive.files import (
    DICOM_SUFFIX,
    PART_SUFFIX,
    Folders,
    is_uid,
    make_folders,
    picture_name,
    sync_directories,
)
from appliance.archive.requests import Requests, RequestsCorrupt

Progress = Callable[[int, int], None]
"""Is told how many studies of how many are done."""

_BATCH: Final = 500
LOGGER = logging.getLogger(__name__)

_ASIDE_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What recovery did; counts."""

    temporaries: int = 0
    """Half files removed."""
    adopted: int = 0
    """Instances that had a file and no row, or another row than the file says."""
    missing: int = 0
    """Instances that had a row and no file: to be fetched again."""
    queued: int = 0
    """Instances whose pictures were not there: to be rendered again."""
    removed: int = 0
    """Files removed that rows had given up: expired, dropped, or replaced."""
    quarantined: int = 0
    """Files moved to the quarantine folder because nobody can make sense of them."""

    def __str__(self) -> str:
        said = {
            "half files removed": self.temporaries,
            "instances registered": self.adopted,
            "instances to be fetched again": self.missing,
            "instances to be rendered again": self.queued,
            "leftover files removed": self.removed,
            "files put into quarantine": self.quarantined,
        }
        return ", ".join(f"{what}: {count}" for what, count in said.items() if count)


def open_recovered(
    folders: Folders, clock: Clock = time.time, progress: Progress = lambda done, of: None
) -> Catalogue:
    """Opens the archive after whatever happened to it: `open_catalogue`, then `recover`.

    Damage that is met only then is looked for everywhere in a second attempt.
    """
    try:
        return _open_recovered(folders, clock, progress, suspect=False)
    except CatalogueCorrupt:
        return _open_recovered(folders, clock, progress, suspect=True)


def _open_recovered(
    folders: Folders, clock: Clock, progress: Progress, *, suspect: bool
) -> Catalogue:
    catalogue = open_catalogue(folders, clock, suspect=suspect)
    try:
        recover(folders, catalogue, progress)
    except BaseException:
        catalogue.close()
        raise
    return catalogue


def open_catalogue(
    folders: Folders, clock: Clock = time.time, *, suspect: bool = False
) -> Catalogue:
    """Opens the catalogue to write. An unsound one is set aside, and an empty one made.

    All of one that is `suspect`, or was not closed in order, is checked. `recover` must follow, to
    fill it. Raises `CatalogueFailed` for all that this does not mend.
    """
    flaws: list[CatalogueCorrupt] = []

    def set_aside(flaw: CatalogueCorrupt) -> None:
        flaws.append(flaw)
        _set_aside(folders.catalogue, clock())

    catalogue = Catalogue.open(folders.catalogue, clock, set_aside, suspect=suspect)
    for flaw in flaws:
        catalogue.event("error", "catalogue", f"it was damaged, and is made anew: {flaw}")
    return catalogue


def recover(
    folders: Folders, catalogue: Catalogue, progress: Progress = lambda done, of: None
) -> Report:
    """Brings files and catalogue together; for use before anything is stored or rendered.

    Half files are removed. Files without rows are adopted; those that nobody can make sense of are
    moved to the quarantine folder, never deleted. Rows without files become `missing`, and are
    fetched again. Instances whose pictures are gone are queued, or missing if their DICOM file was
    dropped. Folders without files are removed. Only files without rows are read.

    What it did is an event, too. Raises OSError, or `CatalogueFailed`.
    """
    _replace_damaged_requests(folders.requests, catalogue)
    return _Recovery(folders, catalogue).run(progress)


@dataclass(frozen=True, slots=True)
class _Series:
    """A series as it is found on disk; what is understood is taken out of `dicom` and `images`."""

    study: str
    series: str
    dicom_folder: Path
    image_folder: Path
    dicom: Found
    images: Found

    def dicom_path(self, instance: str) -> Path:
        return self.dicom_folder / (instance + DICOM_SUFFIX)


class _Recovery:
    """One run. A study at a time, so that memory does not grow with the archive."""

    def __init__(self, folders: Folders, catalogue: Catalogue) -> None:
        self._folders = folders
        self._catalogue = catalogue
        self._counts: Counter[str] = Counter()
        self._adoptions: list[Adoption] = []
        self._lost_files: list[int] = []
        self._lost_pictures: list[int] = []

    def run(self, progress: Progress) -> Report:
        for entry in _entries(self._folders.data):
            self._removes_half(entry)
        on_disk = (*self._uids(self._folders.dicom), *self._uids(self._folders.images))
        studies = sorted({*self._catalogue.studies(), *on_disk})
        for done, study in enumerate(studies, start=1):
            self._study(study)
            self._register(_BATCH)
            progress(done, len(studies))
        self._register(1)
        return self._report()

    def _report(self) -> Report:
        report = Report(**{field.name: self._counts[field.name] for field in fields(Report)})
        if report != Report():
            grave = report.missing or report.quarantined
            self._catalogue.event("warning" if grave else "info", "recovery", str(report))
        return report

    def _register(self, least: int) -> None:
        """Writes what was found, if it is at least so much."""
        if len(self._adoptions) >= least:
            self._catalogue.adopt(self._adoptions)
            self._counts["adopted"] += len(self._adoptions)
            self._adoptions = []
        if len(self._lost_files) + len(self._lost_pictures) >= least:
            self._catalogue.lose(self._lost_files, self._lost_pictures)
            self._counts["missing"] += len(self._lost_files)
            self._counts["queued"] += len(set(self._lost_pictures).difference(self._lost_files))
            self._lost_files, self._lost_pictures = [], []

    def _study(self, study: str) -> None:
        dicom, images = self._folders.dicom / study, self._folders.images / study
        rows: dict[str, dict[str, HeldInstance]] = {}
        for row in self._catalogue.instances(study):
            rows.setdefault(row.series, {})[row.instance] = row
        on_disk = {*self._uids(dicom), *self._uids(images)}
        for series in sorted(on_disk.union(rows)):
            folders = (dicom / series, images / series)
            found = _Series(study, series, *folders, *map(self._files, folders))
            self._compare(found, rows.get(series, {}))
            _remove_empty(folders)
        _remove_empty((dicom, images))

    def _compare(self, found: _Series, rows: dict[str, HeldInstance]) -> None:
        settled = {instance for instance, row in rows.items() if self._settle(found, row)}
        for name in [name for name in found.dicom if not _is_dicom_name(name)]:
            del found.dicom[name]
            self._quarantine(found.dicom_folder / name)
        instances = sorted(name.removesuffix(DICOM_SUFFIX) for name in found.dicom)
        pictures = pictures_by_instance(found.images, {*rows, *instances})
        for picture in pictures.pop("", ()):
            self._quarantine(found.image_folder / picture.name)
        for instance in rows:
            for picture in pictures.pop(instance, ()):
                # Where pictures are still to be made, they will replace these.
                if instance in settled:
                    self._remove(found.image_folder / picture.name)
        for instance in instances:
            self._adopt(found, instance, pictures.pop(instance, []))
        for instance, alone in pictures.items():
            self._adopt_pictures(found, instance, alone)

    # -- instances with a row

    def _settle(self, found: _Series, row: HeldInstance) -> bool:
        """Compares a row with its files, and takes these out of `found`.

        Whether no pictures are to be made of it: then it needs none but those it claims.
        """
        pictured = self._is_pictured(found, row)
        file = found.dicom.get(row.instance + DICOM_SUFFIX)
        if file is None:
            self._settle_without_file(row, pictured)
            return row.picture != "queued"
        del found.dicom[row.instance + DICOM_SUFFIX]
        if row.file == "expired" or (row.file == "dropped" and pictured):
            self._remove(found.dicom_path(row.instance))
            return True
        if row.file != "held" or file.st_size != row.bytes:
            self._readopt(found, row, file)
            return False
        if row.picture == "rendered" and not pictured:
            self._lost_pictures.append(row.key)
            return False
        return row.picture != "queued"

    def _settle_without_file(self, row: HeldInstance, pictured: bool) -> None:
        if row.file == "held" or (row.file == "dropped" and not pictured):
            self._lost_files.append(row.key)
            if row.pictures and not pictured:
                self._lost_pictures.append(row.key)

    def _is_pictured(self, found: _Series, row: HeldInstance) -> bool:
        """Whether all the pictures that a row claims are whole; takes them out of `found`."""
        whole = bool(row.pictures)
        for picture in row.pictures:
            name = picture_name(row.instance, picture.frame, picture.suffix)
            file = found.images.pop(name, None)
            whole = whole and file is not None and file.st_size == picture.bytes > 0
        return whole

    def _readopt(self, found: _Series, row: HeldInstance, file: os.stat_result) -> None:
        """A file that came without its row's change being committed: it is the newer one."""
        instance = self._read(found, row.instance)
        if instance is not None:
            self._adoptions.append(Adoption(instance, file.st_mtime, "held", ()))
        elif row.file != "missing":
            self._lost_files.append(row.key)

    # -- files without a row

    def _adopt(self, found: _Series, name: str, pictures: list[FoundPicture]) -> None:
        file = found.dicom[name + DICOM_SUFFIX]
        instance = self._read(found, name)
        if instance is None:
            # Registered alone, they would keep the instance from being fetched again.
            for picture in pictures:
                self._quarantine(found.image_folder / picture.name)
            return
        made = whole_set(
            found.image_folder, found.images, pictures, instance.frames, file.st_mtime_ns
        )
        self._adoptions.append(Adoption(instance, file.st_mtime, "held", made))

    def _adopt_pictures(self, found: _Series, name: str, pictures: list[FoundPicture]) -> None:
        """Pictures whose DICOM file was dropped, before the catalogue was lost."""
        made = whole_set(found.image_folder, found.images, pictures, None, 0)
        claimed = {(picture.frame, picture.suffix) for picture in made}
        for picture in pictures:
            if (picture.frame, picture.suffix) not in claimed:
                self._quarantine(found.image_folder / picture.name)
        if made:
            at = max(found.images[picture.name].st_mtime for picture in pictures)
            frames = sum(picture.frame is not None for picture in made)
            instance = _pictured_instance(found, name, frames or 1)
            self._adoptions.append(Adoption(instance, at, "dropped", made))

    def _read(self, found: _Series, name: str) -> StoredInstance | None:
        """What a DICOM file says; None, and it is in quarantine, if that is nonsense, or is lost.

        What the disk cannot read any more is one file among many: the others are to be had again.
        """
        # Here: after most starts there is no file to read, and a box waits for its recovery.
        from appliance.archive.header import NotOurs, read_instance

        path = found.dicom_path(name)
        try:
            return read_instance(path, found.study, found.series, name)
        except NotOurs:
            self._quarantine(path)
            return None
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self._set_apart(path)
            return None

    # -- what is on disk

    def _uids(self, folder: Path) -> list[str]:
        """Names of the folders of studies or series in `folder`; what else is there must go."""
        found = []
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False) and is_uid(entry.name):
                found.append(entry.name)
            elif not self._removes_half(entry):
                self._quarantine(Path(entry.path))
        return found

    def _files(self, folder: Path) -> Found:
        found: Found = {}
        for entry in _entries(folder):
            if self._removes_half(entry):
                continue
            if not entry.is_file(follow_symlinks=False):
                self._quarantine(Path(entry.path))
                continue
            try:
                found[entry.name] = entry.stat(follow_symlinks=False)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                self._set_apart(Path(entry.path))
        return found

    def _removes_half(self, entry: os.DirEntry[str]) -> bool:
        """Removes `entry` if it is a file that was never settled; whether it was."""
        if not (entry.name.startswith(".") and entry.name.endswith(PART_SUFFIX)):
            return False
        os.unlink(entry.path)
        self._counts["temporaries"] += 1
        return True

    def _remove(self, path: Path) -> None:
        path.unlink()
        self._counts["removed"] += 1

    def _set_apart(self, path: Path) -> None:
        """Quarantine what the disk has lost; if it cannot be moved, what is fetched replaces it."""
        try:
            self._quarantine(path)
        except OSError as error:
            LOGGER.error("%s can neither be read nor moved: %s", path, error.strerror)

    def _quarantine(self, path: Path) -> None:
        goal = self._folders.quarantine / path.relative_to(self._folders.data)
        make_folders(goal.parent)
        number = 0
        while os.path.lexists(goal):
            number += 1
            goal = goal.with_name(f"{path.name}.{number}")
        path.rename(goal)
        self._counts["quarantined"] += 1


def _is_dicom_name(name: str) -> bool:
    return name.endswith(DICOM_SUFFIX) and is_uid(name.removesuffix(DICOM_SUFFIX))


def _pictured_instance(found: _Series, name: str, frames: int) -> StoredInstance:
    """What pictures alone tell of an instance."""
    return StoredInstance(
        instance=name,
        series=found.series,
        study=found.study,
        sop_class="",
        transfer_syntax="",
        modality="",
        instance_number=None,
        frames=frames,
        has_pixels=True,
        bytes=0,
        remote=None,
        warning=None,
    )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder; none if there is no such folder."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from entries


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # It is not empty, or not there.
            os.rmdir(folder)


def _set_aside(catalogue: Path, now: float) -> None:
    """Renames an unsound catalogue, for people to look at; keeps the latest few of these."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = catalogue.with_name(f"{catalogue.stem}-{moment}.unsound")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(f"{catalogue}{suffix}", f"{aside}{suffix}")
    for old in sorted(catalogue.parent.glob(f"{catalogue.stem}-*.unsound"))[:-_ASIDE_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{old}{suffix}").unlink(missing_ok=True)
    sync_directories((catalogue.parent,))


def _replace_damaged_requests(path: Path, catalogue: Catalogue) -> None:
    """Removes requests that are no sound database. Not set aside: they hold identifying values."""
    try:
        if path.exists():
            Requests.open(path).close()
    except RequestsCorrupt as error:
        for suffix in ("", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        sync_directories((path.parent,))
        catalogue.event("error", "requests", f"requests not yet served were lost: {error}")
