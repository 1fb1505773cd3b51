"""Where the box keeps what tells how it is: fixed on the box, below a folder on a PC."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Every path that health reads or writes, below `root`."""

    root: Path = Path("/")

    @property
    def run(self) -> Path:
        """Reports of this boot."""
        return self.root / "run"

    @property
    def settings(self) -> Path:
        """The active settings; nothing is there before the first provisioning."""
        return self.run / "netty/settings"

    @property
    def seen(self) -> Path:
        """When this box was last seen alive; survives a power cut."""
        return self.root / "state/health/seen.json"

    @property
    def ledger(self) -> Path:
        """The restarts that count against the budget; survives a power cut."""
        return self.root / "state/budget/ledger.json"

    @property
    def certificate(self) -> Path:
        """The page's certificate."""
        return self.root / "state/panel/certificate.pem"

    @property
    def board(self) -> Path:
        """What this board has: `board.Board`."""
        return self.root / "usr/lib/netty/board.toml"

    @property
    def leds(self) -> Path:
        """Where the kernel shows the LEDs."""
        return self.root / "sys/class/leds"

    @property
    def watchdogs(self) -> Path:
        """Where the kernel shows the hardware watchdogs."""
        return self.root / "sys/class/watchdog"

    @property
    def panics(self) -> tuple[Path, ...]:
        """Where the kernel leaves what it said when it panicked, and where systemd puts that."""
        return (self.root / "sys/fs/pstore", self.root / "var/lib/systemd/pstore")

    @property
    def boot_id(self) -> Path:
        """A number that is another one after each boot."""
        return self.root / "proc/sys/kernel/random/boot_id"

    @property
    def ext4(self) -> Path:
        """Where the kernel tells of each ext4 file system, by the name of its device."""
        return self.root / "sys/fs/ext4"

    @property
    def synchronised(self) -> Path:
        """There once systemd-timesyncd has set the clock from a time server."""
        return self.run / "systemd/timesync/synchronized"

    def built(self) -> tuple[Path, ...]:
        """Files as old as this build, by their times of modification."""
        return (self.root / "usr/lib/clock-epoch", Path(__file__))
