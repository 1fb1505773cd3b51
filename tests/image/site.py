"""A place where a box stands: its network, a PACS, USB sticks, and what can be seen from there."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.image.patience import SOON, START_WITHIN, until
from tests.instances import instance
from tools.imaging.machine import DICOM_PORT, PAGE_PORT, CommandFailed, Machine
from tools.imaging.stick import make_stick, read_stick

SERIAL = "NB-TEST-1"
HARDWARE = ("-smbios", f"type=1,serial={SERIAL}")
"""Arguments for QEMU."""

PACS = "PACS"
BOX = "HAPPY_netty"
HOST = "10.0.2.2"
"""This machine, as the box sees it through QEMU's user network."""

ANSWER_WITHIN = 2 * START_WITHIN
"""Seconds that a stick may take: a trial that fails starts the AE twice, and waits for 90 s."""

_TIMESYNC = "/run/systemd/timesync"
_LED = "/sys/class/leds/input*::{key}"
"""The lamps of the machine's keyboard stand for the box's LED (board.toml)."""
GREEN, RED = "numlock", "capslock"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stick brought back, and what the box reported inside."""

    report: Mapping[str, Any]
    text: str
    data: Mapping[str, Any]

    @property
    def places(self) -> set[tuple[str, int, int]]:
        """File, line and column of each mistake."""
        return {(each["file"], each["line"], each["column"]) for each in self.data["problems"]}


@contextmanager
def pacs() -> Iterator[int]:
    """A PACS that does nothing but to answer C-ECHO; its port on this machine."""
    ae = AE(ae_title=PACS)
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, _well)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def _well(event: evt.Event) -> int:
    return 0x0000


@dataclass
class Site:
    """A box and what stands around it. Sticks are files in `folder`."""

    machine: Machine
    folder: Path
    pacs_port: int = 11112
    revision: int = 10
    """Of the settings that were made last; there are earlier ones."""
    time_server: bool = True
    """Whether the box believes that one has set its clock; here is none. Without one it says so
    when it has waited for ten minutes, whatever else it would say."""
    _sticks: int = field(default=0, repr=False)

    def settings(self, more: str = "", *, box: str = "", revision: int | None = None) -> str:
        """Right settings, with the next revision unless one is given."""
        if revision is None:
            self.revision += 1
            revision = self.revision
        return f"""\
revision = {revision}
[box]
language = "en"
{box}
[storage]
reserve = "64 MiB"
[[remote]]
name = "The PACS"
title = "{PACS}"
host = "{HOST}"
port = {self.pacs_port}
query = false
{more}"""

    def stick(self, files: Mapping[str, bytes | str]) -> Path:
        """Make a stick."""
        self._sticks += 1
        content = {
            name: data.encode() if isinstance(data, str) else data for name, data in files.items()
        }
        return make_stick(self.folder / f"stick{self._sticks}.img", content)

    def give(self, files: Mapping[str, bytes | str] | str) -> Answer:
        """Plug a stick in, wait for the light, pull it, and read what is on it."""
        stick = self.stick({"netty.toml": files} if isinstance(files, str) else files)
        report = self.plug(stick)
        return self.pull(stick, report)

    def plug(self, stick: Path) -> Mapping[str, Any]:
        """Plug a stick in and wait for its outcome; it stays in."""
        before = self.report().get("at")
        self.machine.plug(stick)
        return self.outcome(before)

    def outcome(self, before: object = None) -> Mapping[str, Any]:
        """The outcome of a stick, as soon as there is another than that of the time `before`."""

        def come() -> bool:
            report = self.report()
            return report.get("at") not in (None, before) and report["outcome"] != "applying"

        until("a stick's outcome", come, ANSWER_WITHIN)
        return self.report()

    def pull(self, stick: Path, report: Mapping[str, Any]) -> Answer:
        """Pull a stick whose outcome is known, and read the answer on it."""
        self.machine.unplug()
        until("the stick is missed", lambda: not self.report()["plugged"], SOON)
        name = f"netty-result-{SERIAL}"
        text, data = (read_stick(stick, f"{name}.{ending}") for ending in ("txt", "json"))
        assert text is not None, "no answer for people on the stick"
        assert data is not None, "no answer for programs on the stick"
        return Answer(report, text.decode("utf-8-sig"), json.loads(data))

    def report(self) -> Mapping[str, Any]:
        """What the box's provisioning says inside; empty before the first stick."""
        return self._json("/run/netty-provision/report.json")

    def active(self) -> str:
        """The name of the generation that the services work with."""
        return self.machine.run("basename $(readlink /run/netty/settings)")

    def current(self) -> str:
        """The name of the generation that holds after every start; empty if there is none."""
        return self.machine.run("readlink /state/settings/current || true")

    @property
    def current_revision(self) -> int:
        """The revision of that generation."""
        return int(self.current().partition("-")[0])

    def ae_process(self) -> int:
        """The process ID of the AE; 0 if it is down."""
        shown = self.machine.run("systemctl show --property=MainPID --value netty-ae.service")
        return int(shown)

    def led(self) -> tuple[str, str]:
        """What drives the green and the red LED: the trigger and its pattern, or the brightness."""
        return self._lamp(GREEN), self._lamp(RED)

    def _lamp(self, key: str) -> str:
        folder = _LED.format(key=key)
        trigger = self.machine.run(f"cat {folder}/trigger").partition("[")[2].partition("]")[0]
        shown = {"pattern": "pattern", "timer": "delay_on"}.get(trigger, "brightness")
        return f"{trigger} {self.machine.run(f'cat {folder}/{shown}')}"

    def health(self) -> Mapping[str, Any]:
        """What the page says to machines."""
        said = json.loads(self.page("/health"))
        assert isinstance(said, dict)
        return said

    def page(self, path: str = "/?lang=en") -> str:
        """A page of the box, over the network. Raises OSError."""
        here = self.machine.ports[PAGE_PORT]
        connection = http.client.HTTPConnection("127.0.0.1", here, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def shows(self, name: str, within: float = SOON) -> Mapping[str, Any]:
        """Wait until the box says that it is in this state, over the network."""

        def come() -> bool:
            try:
                return bool(self.health()["name"] == name)
            except (OSError, http.client.HTTPException, ValueError):
                return False

        until(f"the state {name}", come, within)
        return self.health()

    def echo(self) -> int | None:
        """The status of a C-ECHO from the PACS; None if the box does not take the association."""
        with self._association(Verification) as association:
            if association is None:
                return None
            status: int | None = association.send_c_echo().get("Status")
            return status

    def serves(self, within: float = SOON) -> None:
        """Wait until a C-ECHO succeeds."""
        until("C-ECHO succeeds", lambda: self.echo() == 0x0000, within, 1.0)

    def store(self, dataset: Dataset) -> int | None:
        """The status of a C-STORE from the PACS; None if there is no answer."""
        with self._association(CTImageStorage) as association:
            if association is None:
                return None
            status: int | None = association.send_c_store(dataset).get("Status")
            return status

    @contextmanager
    def _association(self, context: str) -> Iterator[Any]:
        ae = AE(ae_title=PACS)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 30
        ae.add_requested_context(context, "1.2.840.10008.1.2")
        here = self.machine.ports[DICOM_PORT]
        association = ae.associate("127.0.0.1", here, ae_title=BOX)
        try:
            yield association if association.is_established else None
        finally:
            if association.is_established:
                association.release()

    def start(self) -> None:
        """Switch the box on, and wait until it runs commands and all is started."""
        self.machine.start()
        self.started()

    def started(self) -> None:
        """Wait until all is started."""
        self.machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        self.machine.wait_for_shell()
        if self.time_server:
            self.machine.run(f"mkdir -p {_TIMESYNC} && touch {_TIMESYNC}/synchronized")

    def _json(self, path: str) -> Mapping[str, Any]:
        try:
            said = json.loads(self.machine.run(f"cat {path}"))
        except CommandFailed:
            return {}
        assert isinstance(said, dict)
        return said


def slice_of(number: int) -> Dataset:
    """One small CT slice; another for each number."""
    return instance("P1", "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.77.1", number)
