"""What is noted on the state partition while the box is alive, for whoever starts after a crash."""

from dataclasses import dataclass

from appliance.health.places import Places


@dataclass(frozen=True, slots=True)
class Seen:
    """When this box was last seen alive."""

    boot: str
    uptime: float
    """Seconds of that boot."""
    clock: float
    """The clock of the day, in seconds since 1970."""


def boot_id(places: Places) -> str:
    """The number of this boot; empty if the kernel does not tell."""
    try:
        return places.boot_id.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
