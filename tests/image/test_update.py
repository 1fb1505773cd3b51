"""Updates in the real image: taken and kept, refused, tried and given up.

The tests share one box and follow one another. It has settings, and a study's slice that must be
there to the end.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance.settings.passwords import hash_password
from tests.image.downloads import files, served
from tests.image.figures import Figures
from tests.image.fleet import Client, FleetServer, NoClient
from tests.image.patience import SOON, START_WITHIN
from tests.image.patience import until as wait_until
from tests.image.site import ANSWER_WITHIN, HARDWARE, HOST, SERIAL, Site, pacs, slice_of
from tests.image.versions import BAD, Versions, another, of_the_fleet, yet_another
from tests.unit.dicom.certificates import authority, signed
from tools.imaging.build import Build
from tools.imaging.cache import cache_from_environment
from tools.imaging.machine import SECURE_PAGE_PORT, Hardware, Machine, copy_disk
from tools.imaging.programs import ProgramAbsent, need
from tools.imaging.stick import make_stick, read_stick

pytestmark = pytest.mark.slow

PATIENCE = 300
"""Seconds that each check of a trial gets here."""

CLIENT = {
    "netty-hawkbit.timer": """\
[Unit]
ConditionFileIsExecutable=
ConditionPathExists=/run/netty/hawkbit.conf
[Timer]
OnActiveSec=
OnActiveSec=20s
OnUnitInactiveSec=20s
AccuracySec=1s
RandomizedDelaySec=0
""",
    "netty-hawkbit.service": "[Service]\nEnvironment=PATH=/run/client:/usr/sbin:/usr/bin\n",
}
"""The test image has no client; one is brought along on a disk of its own."""


SHORT = "[Service]\nExecStart=\nExecStart=/usr/bin/appliance update confirm --patience {patience}\n"

TRIAL_WITHIN = 900.0
"""Seconds for a version to be written, tried, and kept or given up."""


@dataclass
class UpdatingSite:
    """A box that is given updates."""

    site: Site
    versions: Versions
    no_client: str = ""
    """Why there is no client of a fleet's server; empty if there is one."""
    sticks: int = 0

    @property
    def machine(self) -> Machine:
        return self.site.machine

    def stick(self, bundles: Mapping[str, Path]) -> Path:
        """A stick with bundles."""
        self.sticks += 1
        files = {f"{name}.raucb": bundle.read_bytes() for name, bundle in bundles.items()}
        return make_stick(self.site.folder / f"update{self.sticks}.img", files)

    def trust(self, authority: str) -> None:
        """Have an authority's certificate among those that the box knows, until it restarts."""
        known = "/etc/ssl/certs/ca-certificates.crt"
        self.machine.run(f"{{ cat {known}; echo '{authority}'; }} >/run/authorities.crt")
        self.machine.run(f"mount --bind /run/authorities.crt {known}")

    def slot(self) -> str:
        """The slot that runs."""
        line = self.machine.run("cat /proc/cmdline")
        return line.partition("rauc.slot=")[2][:1]

    def states(self) -> dict[str, str]:
        """What the boot loader knows of the slots, as RAUC is told it."""
        return {
            slot: self.machine.run(f"appliance boot-state get-state {slot}").strip()
            for slot in "ab"
        }

    def update(self) -> Mapping[str, Any]:
        """What the box tells of updates."""
        said = json.loads(self.machine.run("cat /run/netty-update/report.json"))
        assert isinstance(said, dict)
        return said

    def give(self, bundle: Path) -> Mapping[str, Any]:
        """Plug a stick with a good bundle in, wait until the box restarts, and pull it."""
        stick = self.stick({"netty": bundle})
        # The version before may have restarted it, and nobody waited for that.
        self.machine.catch_up()
        self.machine.plug(stick)
        self.machine.wait(r"reboot: Restarting system", TRIAL_WITHIN)
        self.machine.unplug()
        answer = read_stick(stick, f"netty-update-{SERIAL}.json")
        assert answer is not None
        said = json.loads(answer)
        assert isinstance(said, dict)
        return said

    def started(self) -> None:
        """Wait until the box has started."""
        self.machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        self.machine.wait_for_shell()

    def settled(self) -> None:
        """Wait until nothing is on trial any more."""

        def done() -> bool:
            return self.machine.run("ls /state/update/trial-* 2>/dev/null || true") == ""

        wait_until("the end of the trial", done, TRIAL_WITHIN, 2.0)


@pytest.fixture(scope="module")
def box(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpdatingSite]:
    """A box with settings that has received something."""
    try:
        need("unsquashfs", "squashfs-tools")
        need("openssl", "openssl")
    except ProgramAbsent as absent:
        pytest.skip(str(absent))
    folder = tmp_path_factory.mktemp("updates")
    short = SHORT.format(patience=PATIENCE)
    units = {f"netty-confirm@{slot}.service": short for slot in "ab"} | CLIENT
    client, no_client = fleet_client(folder)
    hardware = Hardware(extra=(*HARDWARE, *client), units=units)
    machine = Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware)
    with pacs() as port, machine:
        site = Site(machine, folder, port)
        site.started()
        answer = site.give(site.settings('[ae]\nunsolicited = "store"\n'))
        assert answer.data["outcome"] == "accepted", answer.text
        site.serves()
        assert site.store(slice_of(1)) == 0x0000
        yield UpdatingSite(site, Versions(image, folder / "versions"), no_client)


def fleet_client(folder: Path) -> tuple[tuple[str, ...], str]:
    """Arguments for QEMU, by which the box has the client of a fleet's server; or why not."""
    try:
        client = Client.of(cache_from_environment(), folder / "client")
    except NoClient as absent:
        return (), str(absent)
    return client.disk(folder / "client.img"), ""


def test_what_is_not_for_this_box_is_refused(box: UpdatingSite) -> None:
    refused = box.versions.refused()
    stick = box.stick({name: bundle for name, (bundle, _) in refused.items()})
    report = box.site.plug(stick)
    assert report["outcome"] == "rejected"
    assert "more than one update" in report["sentence"]
    said = {}
    box.machine.run("mkdir -p /run/here && mount -o ro,fmask=0022 /dev/sda /run/here")
    for name in refused:
        box.machine.run(f"appliance update install /run/here/{name}.raucb", ANSWER_WITHIN)
        said[name] = json.loads(box.machine.run("cat /run/netty-update/result.json"))
    box.machine.run("umount /run/here")
    box.machine.unplug()
    for name, (_, why) in refused.items():
        assert said[name]["outcome"] == "rejected", name
        assert why in said[name]["sentence"], name
    assert box.states() == {"a": "good", "b": "bad"}
    assert box.update()["phase"] == ""
    assert box.site.echo() == 0x0000


def test_a_bundle_sent_to_the_page_is_looked_at_and_removed(box: UpdatingSite) -> None:
    """From a browser to RAUC, and what that says back on the page."""
    password = "of-a-technician"
    settings = box.site.settings(f'[panel]\npassword = "{hash_password(password)}"\n')
    answer = box.site.give(settings)
    assert answer.data["outcome"] == "accepted", answer.text
    forged, why = box.versions.refused()["forged"]
    here = f"https://127.0.0.1:{box.machine.ports[SECURE_PAGE_PORT]}"
    with httpx2.Client(base_url=here, verify=False, timeout=SOON) as browser:
        assert browser.post("/login", data={"password": password}).status_code == 303
        token = re.search(r'name="token" value="([^"]+)"', browser.get("/update").text)
        assert token
        fields, sent = {"token": token[1]}, {"bundle": ("netty.raucb", forged.read_bytes())}
        taken = browser.post("/update/file", data=fields, files=sent)
        assert taken.status_code == 303, taken.text
        wait_until("the page tells", lambda: why in browser.get("/update").text, SOON, 2.0)
    assert box.machine.run("ls /data/uploads") == ""
    assert box.states() == {"a": "good", "b": "bad"}


def test_an_update_is_written_tried_and_kept(box: UpdatingSite, figures: Figures) -> None:
    before = box.slot()
    answer = box.give(box.versions.bundle("good", another))
    assert answer["outcome"] == "installed"
    box.started()
    assert box.slot() != before
    box.settled()
    assert box.states()[box.slot()] == "good"
    assert box.update()["phase"] == ""
    assert box.machine.run("cat /usr/lib/netty/another") == "another version"
    assert json.loads(box.machine.run("cat /state/update/floor.json"))["version"]
    box.site.serves()
    still_there(box)


def test_an_update_comes_over_the_network(box: UpdatingSite, tmp_path: Path) -> None:
    """As a stream: the bundle is kept nowhere on the box."""
    before = box.slot()
    bundle = box.versions.bundle("streamed", yet_another)
    vendor = authority(tmp_path, "vendor")
    server = signed(tmp_path, "downloads", vendor, f"IP:{HOST}").files(tmp_path / "server")
    box.trust(vendor.certificate)
    with served(files(bundle.parent), *server) as port:
        url = f"https://{HOST}:{port}/{bundle.name}"
        more = f'[ae]\nunsolicited = "store"\n[update]\nurl = "{url}"\n'
        answer = box.site.give(box.site.settings(more))
        assert answer.data["outcome"] == "accepted", answer.text
        box.machine.run("systemctl start --no-block netty-fetch.service")
        box.machine.wait(r"reboot: Restarting system", TRIAL_WITHIN)
    box.started()
    assert box.slot() != before
    box.settled()
    assert box.states()[box.slot()] == "good"
    assert box.machine.run("cat /usr/lib/netty/another") == "yet another version"
    still_there(box)


def test_a_fleets_server_has_an_update_installed(box: UpdatingSite, tmp_path: Path) -> None:
    """By hawkBit's own client: the server knows the box, and hears how it went."""
    if box.no_client:
        pytest.skip(box.no_client)
    before = box.slot()
    bundle = box.versions.bundle("of the fleet", of_the_fleet)
    vendor = authority(tmp_path, "fleet")
    server = FleetServer(SERIAL, "a-target-token", bundle)
    certificate = signed(tmp_path, "server", vendor, f"IP:{HOST}").files(tmp_path / "server")
    box.trust(vendor.certificate)
    box.machine.run("mkdir -p /run/client && mount -o ro /dev/disk/by-id/virtio-client /run/client")
    with served(server.application, *certificate) as port:
        more = f'[ae]\nunsolicited = "store"\n[fleet]\nserver = "https://{HOST}:{port}"\n'
        answer = box.site.give(box.site.settings(more + f'token = "{server.token}"\n'))
        assert answer.data["outcome"] == "accepted", answer.text
        box.machine.wait(r"reboot: Restarting system", TRIAL_WITHIN)
    assert not server.intruders
    assert server.identity["serial"] == SERIAL
    assert server.feedback[-1]["execution"] == "closed"
    assert server.feedback[-1]["result"]["finished"] == "success"
    box.started()
    assert box.slot() != before
    box.settled()
    assert box.states()[box.slot()] == "good"
    assert box.machine.run("cat /usr/lib/netty/another") == "a version of the fleet"
    still_there(box)


def still_there(box: UpdatingSite) -> None:
    """What was received before the update is held, whole, and the box takes more."""
    box.site.serves()
    said = box.machine.run("appliance status --json --data /data/archive --state /state/keys")
    status = json.loads(said.splitlines()[-1])
    assert (status["instances"], status["missing"]) == (1, 0)
    assert box.site.store(slice_of(1)) == 0x0000


def give_up(box: UpdatingSite, name: str) -> None:
    """Give the box a version that does not work: the one before it returns by itself."""
    before, root = box.slot(), box.machine.run("cat /proc/cmdline")
    assert box.give(box.versions.bundle(name, BAD[name]))["outcome"] == "installed"

    def back() -> bool:
        try:
            return box.update()["phase"] == "rolled back"
        except Exception:  # It starts, twice.
            return False

    wait_until("the version before returns", back, TRIAL_WITHIN, 5.0)
    assert box.machine.run("cat /proc/cmdline") == root
    assert box.states()[before] == "good"
    health = box.site.shows("degraded")
    told = [each["what"]["en"] for each in health["problems"]]
    assert "An update did not work; the software before it is back" in told
    still_there(box)


def test_a_version_whose_page_is_dead_is_given_up(box: UpdatingSite) -> None:
    give_up(box, "the page is dead")
    assert "status page does not answer" in box.update()["sentence"]
    assert "status page does not answer" in box.site.page()


@pytest.mark.parametrize("name", [name for name in BAD if name != "the page is dead"])
def test_every_bad_version_is_given_up(box: UpdatingSite, name: str) -> None:
    give_up(box, name)
