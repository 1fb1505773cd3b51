"""Results that take long to make, kept from one build to the next."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def digest(parts: Iterable[str | bytes]) -> str:
    """A short name for exactly these parts in this order."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()[:16]


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other build is in here with the same lock file, and keep others out."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class Cache:
    """Files in one folder, each named by what it is and what it was made of."""

    folder: Path

    def get(self, name: str, parts: Iterable[str | bytes], make: Callable[[Path], None]) -> Path:
        """The file or folder called `name` that is made of `parts`, made now if it is not there.

        `make` is given the path to make. What it leaves when it fails is removed. Of two builds
        that want the same, one waits for the other.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / f"{name}-{digest(parts)}"
        with alone(self.folder / f"{name}.lock"):
            if not kept.exists():
                with tempfile.TemporaryDirectory(dir=self.folder, prefix=".making-") as making:
                    made = Path(making) / "made"
                    make(made)
                    made.rename(kept)
                self._forget(name, kept)
        os.utime(kept)
        return kept

    def _forget(self, name: str, kept: Path) -> None:
        """Keep the newest four of a name, so that changing back and forth stays quick."""
        others = sorted(
            (path for path in self.folder.glob(f"{name}-*") if path != kept),
            key=lambda path: path.stat().st_mtime,
        )
        for old in others[:-3]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def cache_from_environment() -> Cache:
    """The cache in $NETTY_CACHE, or else in the user's cache folder."""
    named = os.environ.get("NETTY_CACHE")
    home = os.environ.get("XDG_CACHE_HOME")
    return Cache(
        Path(named) if named else (Path(home) if home else Path.home() / ".cache") / "netty-image"
    )
