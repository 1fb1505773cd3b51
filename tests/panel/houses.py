"""Pages to visit: a page that is served, with an archive, requests and settings behind it."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.archive.hops import Hop, Said
from appliance.archive.records import PictureRow, RenderOutcome, StoredInstance
from appliance.archive.requests import Found, Requests
from appliance.health.reports import UPDATE
from appliance.panel.app import Sources, application
from appliance.panel.certificates import Certificates
from appliance.panel.live import Look
from appliance.panel.server import Server, configuration
from appliance.panel.shelf import Shelf
from appliance.settings.model import Box, LocalAE, Panel, RemoteAE, Settings, Watch
from appliance.settings.passwords import hash_password, hash_token
from appliance.settings.shown import Shown, shown
from appliance.updates.requests import FOLDER
from tests.panel.verdicts import verdict
from tests.unit.archive.material import dicom_file

PASSWORD = "correct horse battery"
TOKEN = "a token that nobody guesses"
PATIENT = "00012345-ヤマダ"
HASHED = hash_password(PASSWORD)


def settings(**panel: Any) -> Settings:
    """Those of the clinic of these tests."""
    return Settings(
        revision=3,
        box=Box(name="中央クリニック", language="ja"),
        panel=Panel(password=HASHED, token=hash_token(TOKEN), **panel),
        ae=LocalAE(port=11112),
        remotes=(
            RemoteAE("main", "PACS", "192.0.2.10"),
            RemoteAE("ward", "WARD", "192.0.2.7"),
            RemoteAE("modality", "CT1", "192.0.2.8", query=False),
        ),
        watch=(
            Watch(PATIENT, "NET-0001", since=date(2025, 4, 1)),
            Watch("00067890", remotes=("main",)),
        ),
    )


SAID = (
    {"StudyDate": "20261121", "StudyDescription": "Thorax/Abdomen ND"},
    {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyDate": "20260930",
        "StudyDescription": "頭部 単純・造影",
    },
)
"""What the files of studies say of them."""


@dataclass(slots=True)
class House:
    """A page with all that stands behind it, below a folder."""

    root: Path
    told: Shown = field(default_factory=lambda: shown(settings()))
    look: Look = lambda: verdict("working")
    machines: Sequence[BaseRoute] = ()

    @property
    def folders(self) -> Folders:
        """Of its archive."""
        return Folders(self.root / "data")

    @property
    def uploads(self) -> Path:
        """Where bundles go that browsers send."""
        return self.root / "uploads"

    def sources(self, secure_port: int | None = None) -> Sources:
        """What the page takes."""
        return Sources(
            lambda: self.look(),
            lambda: self.told,
            Shelf(self.folders.data),
            self.root / "run",
            self.uploads,
            secure_port,
        )

    def fill(self, studies: int = 3, pictures: int = 12) -> None:
        """Put studies with pictures into the archive, and a retrieval that runs."""
        self.folders.data.mkdir(parents=True, exist_ok=True)
        self.folders.prepare()
        began = time.time() - 12
        catalogue = Catalogue.open(self.folders.catalogue, clock=lambda: began)
        for study in range(1, studies + 1):
            count = 2 * pictures if study == studies else pictures
            listed = frozenset(f"2.25.{study}.1.{number}" for number in range(1, count + 1))
            catalogue.list_study(f"2.25.{study}", "main", listed)
            retrieval = catalogue.begin_retrieval(f"2.25.{study}", "main", "move", count)
            for number in range(1, pictures + 1):
                self._store(catalogue, study, number, pictures)
            if study < studies:
                catalogue.end_retrieval(retrieval, "complete", "", pictures, None)
        for severity, subject, text in (
            ("info", "box", "started, listening on port 11112"),
            ("warning", "ward", "ward (192.0.2.7:104): nothing answers on that port"),
            ("error", "decoders", "<b>1.2.840.10008.1.2.4.80</b> is not accepted"),
        ):
            catalogue.event(severity, subject, text)  # type: ignore[arg-type]
        catalogue.close()

    def _store(self, catalogue: Catalogue, study: int, number: int, of: int) -> None:
        uids = (f"2.25.{study}.1.{number}", f"2.25.{study}.1", f"2.25.{study}")
        instance = StoredInstance(
            *uids,
            sop_class="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax="1.2.840.10008.1.2.1",
            modality=("CT", "MR", "DX")[study % 3],
            instance_number=number,
            frames=1,
            has_pixels=True,
            bytes=1000,
            remote="main",
            warning=None,
            patient=f"NET-{study:04d}",
        )
        catalogue.store(instance, ())
        if number == 1 and study % 3:
            # Of one in three, de-identification has left nothing.
            file = self.folders.dicom_file(uids[2], uids[1], uids[0])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(dicom_file(instance, **SAID[study % 2]))
        path = self.folders.picture(uids[2], uids[1], uids[0], None, ".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        _slice(number / of).save(path, quality=80)
        (job,) = catalogue.next_renders(1)
        outcome = RenderOutcome(
            job, "rendered", pictures=(PictureRow(None, 256, 256, path.stat().st_size),)
        )
        catalogue.finish_renders([outcome])

    def take_updates(self) -> None:
        """Be a box, which installs what the page asks for; a PC does not."""
        (self.root / "run" / FOLDER).mkdir(parents=True)
        (self.root / "run" / UPDATE).parent.mkdir(parents=True)
        self.uploads.mkdir()

    def ask(self) -> tuple[int, int]:
        """A fetch that is done, and searches: answered and waiting; the searches' numbers."""
        self.folders.data.mkdir(parents=True, exist_ok=True)
        requests = Requests.open(self.folders.requests)
        done = requests.ask_fetch("main", patient_id=PATIENT)
        requests.progress(done, studies=2, listed=40, missing=12, arrived=12)
        requests.finish(done, "complete", "12 instances fetched, 2 studies complete")
        failed = requests.ask_fetch("ward", study="1.2.3")
        requests.finish(failed, "failed", "ward (192.0.2.7:104): nothing answers on that port")
        running = requests.ask_fetch("main", accession="A1")
        requests.progress(running, studies=1, listed=300, missing=300, arrived=120)
        answered = requests.ask_search("main", patient_id=PATIENT)
        requests.answer_search(
            answered,
            [
                Found("1.2.3.4", PATIENT, "A0001", "20260401", "093000"),
                Found("1.2.3.5", PATIENT, "", "20251224", "1415"),
                Found("1.2.3.6", PATIENT, "<script>", "odd", ""),
            ],
        )
        waiting = requests.ask_search("main", accession="A0002")
        tested = requests.ask_test("ward")
        requests.begin_test(tested)
        for step, outcome in (("name", "passed"), ("port", "failed"), ("association", "skipped")):
            says = Said(f"{step} を試しました。", f"{step} was tried.")
            detail = "192.0.2.7:104: connection refused" if outcome == "failed" else ""
            requests.note_hop(tested, Hop(step, outcome, 0.02, says, detail))  # type: ignore[arg-type]
        letter = "NETTY, 192.0.2.20, 11112"
        requests.finish_test(
            tested, Said(f"登録をお願いします：\n{letter}", f"Register:\n{letter}")
        )
        requests.ask_test("main")
        requests.close()
        return answered, waiting

    def client(self, *, secure: bool = True, address: str = "192.0.2.99") -> TestClient:
        """A browser without JavaScript."""
        return TestClient(
            application(self.sources(8443), self.machines),
            base_url="https://netty" if secure else "http://netty",
            client=(address, 50_000),
            follow_redirects=False,
        )

    def technician(self) -> TestClient:
        """A browser that has logged in."""
        client = self.client()
        answer = client.post("/login", data={"password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return client

    @contextmanager
    def serving(self) -> Iterator[tuple[str, str]]:
        """Serve it on this machine: the addresses by HTTP and by HTTPS."""
        certificates = Certificates(self.root / "panel")
        plain, secure = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        ports = [one.getsockname()[1] for one in (plain, secure)]
        app = application(self.sources(ports[1]), self.machines)
        server = Server(configuration(app), certificates.context, lambda: None)
        thread = threading.Thread(target=server.run, args=([plain, secure],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


def _slice(depth: float) -> Image.Image:
    """Something like a slice of a head."""
    image = Image.new("L", (256, 256))
    draw = ImageDraw.Draw(image)
    half = 40 + 70 * (1 - abs(2 * depth - 1))
    for inset, grey in ((0, 220), (8, 70), (16, 110)):
        width, height = half - inset, half * 1.2 - inset
        draw.ellipse((128 - width, 128 - height, 128 + width, 128 + height), fill=grey)
    for side in (-1, 1):
        draw.ellipse((124 + side * 18, 96, 132 + side * 18, 140), fill=40)
    return image
