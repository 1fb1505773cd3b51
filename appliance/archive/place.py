"""Where a box keeps things."""

from dataclasses import dataclass
from pathlib import Path

from appliance.archive.files import Folders
from appliance.archive.secret import load_or_create_key


@dataclass(frozen=True, slots=True)
class Place:
    """Where the box keeps things: `data` for the archive, `state` for its key."""

    data: Path
    state: Path

    @property
    def folders(self) -> Folders:
        """The archive's folders."""
        return Folders(self.data)

    @property
    def key(self) -> bytes:
        """The box's secret key, made when there is none."""
        return load_or_create_key(self.state / "pseudonym.key")
