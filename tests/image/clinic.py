"""A box in a clinic: it has settings, a PACS to ask and a modality that sends to it."""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx2

from appliance.images.deidentify import Deidentifier
from appliance.settings.passwords import hash_token, new_token
from tests.image.calling import TITLE as MODALITY
from tests.image.calling import echoes
from tests.image.patience import START_WITHIN, until
from tests.image.site import HOST
from tools.hospital.box import TITLE
from tools.hospital.peers import Peer
from tools.hospital.sender import Node
from tools.hospital.volume import SIDE, Patient
from tools.imaging.machine import DICOM_PORT, PAGE_PORT, SECURE_PAGE_PORT, Machine
from tools.imaging.stick import make_stick

ARCHIVE = "/data/archive"
TOKEN = new_token()

_SETTINGS = """\
revision = {revision}

[ae]
unsolicited = "store"

[[remote]]
name = "pacs"
title = "{pacs.title}"
host = "{host}"
port = {pacs.port}

[[remote]]
name = "modality"
title = "{modality}"
host = "{host}"
query = false

[query]
every = "20 s"
retry_first = "10 s"

[[watch]]
patient_id = "{patient}"

[images]
workers = 1

[panel]
token = "{token}"

[storage]
reserve = "256 MiB"
"""

_HELD = """\
import hashlib, pathlib, sqlite3
rows = sqlite3.connect("file:{archive}/catalogue.sqlite?mode=ro", uri=True).execute(
    "SELECT studies.uid, series.uid, instances.uid, instances.bytes FROM instances"
    " JOIN series ON series.id = instances.series JOIN studies ON studies.id = instances.study")
for study, series, uid, size in rows.fetchall():
    content = pathlib.Path("{archive}/dicom", study, series, uid + ".dcm").read_bytes()
    assert len(content) == size, uid
    print(uid, hashlib.sha256(content[-{pixels}:]).hexdigest())
"""
"""In the box: what has a row and a file of the size in the row, and a digest of its pixels."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The box, and what is around it."""

    machine: Machine
    pacs: Peer
    folder: Path

    @property
    def node(self) -> Node:
        """The AE of the box, as this machine reaches it."""
        return Node(TITLE, self.machine.ports[DICOM_PORT])

    def start(self) -> None:
        """Switch the box on and wait until all is started and its AE answers."""
        self.machine.start()
        self.started()
        self.serves()

    def started(self) -> None:
        """Wait until all is started, after a reset as well."""
        self.machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        self.machine.wait_for_shell()

    def serves(self, within: float = START_WITHIN) -> float:
        """Wait for an answer to a C-ECHO, and return the seconds."""
        return until("C-ECHO succeeds", lambda: echoes(self.node), within)

    def plug(self, revision: int) -> None:
        """Plug in a stick with settings for this clinic."""
        settings = _SETTINGS.format(
            revision=revision,
            pacs=self.pacs.node,
            host=HOST,
            modality=MODALITY,
            patient=Patient().identifier,
            token=hash_token(TOKEN),
        )
        image = self.folder / f"stick{revision}.img"
        make_stick(image, {"netty.toml": settings.encode()})
        self.machine.plug(image, f"stick{revision}")

    def accepted(self, revision: int) -> None:
        """Wait until settings of this revision hold."""
        report = "cat /run/netty-provision/report.json"

        def told() -> bool:
            said = json.loads(self.machine.run(f"{report} 2>/dev/null || echo '{{}}'"))
            assert said.get("outcome") != "rejected", said
            return (said.get("outcome"), said.get("revision")) == ("accepted", revision)

        until("the settings are accepted", told)

    def fetch(self, path: str) -> bytes:
        """What programs get from the page by HTTPS, with the token of the settings."""
        port = self.machine.ports[SECURE_PAGE_PORT]
        # Its certificate is its own; who trusts it has compared the fingerprint.
        answer = httpx2.get(
            f"https://127.0.0.1:{port}{path}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            verify=False,
            timeout=60,
        )
        return answer.raise_for_status().content

    def health(self) -> tuple[int, dict[str, Any]]:
        """What the page tells machines: HTTP status and content."""
        address = f"http://127.0.0.1:{self.machine.ports[PAGE_PORT]}/health"
        try:
            with urlopen(address, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    def counts(self) -> dict[str, int]:
        """The figures of the archive, as the page tells them; empty while the AE tells nothing."""
        service = self.health()[1].get("service") or {}
        counts: dict[str, int] = service.get("counts", {})
        return counts

    def service(self, name: str) -> str:
        """A property of the AE's unit."""
        return self.machine.run(f"systemctl show --property={name} --value netty-ae.service")

    @property
    def boot(self) -> str:
        """The number of this boot."""
        return self.machine.run("cat /proc/sys/kernel/random/boot_id")

    def restarts(self) -> list[dict[str, Any]]:
        """What counts against the restart budget: `cause` and `at`, in seconds of running time."""
        ledger = json.loads(
            self.machine.run("cat /state/budget/ledger.json 2>/dev/null || echo '{}'")
        )
        restarts: list[dict[str, Any]] = ledger.get("restarts", [])
        return restarts

    def is_left_alone(self) -> None:
        """Wait until the box says that its AE is not started any more, and see that it is not."""
        until("a fault is shown", lambda: self.health()[1]["name"] == "fault")
        for _ in range(5):
            time.sleep(10)
            status, said = self.health()
            assert (status, said["name"], said["colour"]) == (503, "fault", "red")
            assert "again and again" in said["problems"][0]["what"]["en"]
            assert not echoes(self.node, within=2)
        assert self.service("ActiveState") == "inactive"

    def status(self) -> dict[str, Any]:
        """What `appliance status` says in the box."""
        said = self.machine.run(f"appliance status --json --data {ARCHIVE} --state /state/keys")
        status: dict[str, Any] = json.loads(said.splitlines()[-1])
        return status

    def held(self) -> dict[str, str]:
        """Digests of the pixels of all that has row and file, by the box's own SOP Instance UID."""
        program = _HELD.format(archive=ARCHIVE, pixels=2 * SIDE * SIDE)
        said = self.machine.run(f"python3 - <<'END'\n{program}END", 300)
        return dict(line.split() for line in said.splitlines())  # type: ignore[misc]

    def files(self) -> set[str]:
        """The box's own SOP Instance UIDs of all that lies in the archive, whole or not."""
        said = self.machine.run(f"find {ARCHIVE}/dicom -type f -printf '%f\\n'")
        return {name.removesuffix(".dcm") for name in said.splitlines()}

    def deidentifier(self) -> Deidentifier:
        """What maps a UID as this box does."""
        key = base64.b64decode(self.machine.run("base64 /state/keys/pseudonym.key"))
        return Deidentifier("basic", key)
