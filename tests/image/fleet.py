"""A fleet's server, and the program on the box that asks it.

The server speaks hawkBit's Direct Device Integration API for one box and one bundle. The program is
Eclipse hawkBit's own client for RAUC, of a later suite than the test image's: it is brought along.
"""

import hashlib
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tools.imaging.architecture import AMD64
from tools.imaging.cache import Cache
from tools.imaging.packages import Native, mirror, unpack, unpacked
from tools.imaging.programs import ImageFailed, need, run

_PACKAGE: Final = "rauc-hawkbit-updater_1.4-1+b1_amd64.deb"
_POOL: Final = f"pool/main/r/rauc-hawkbit-updater/{_PACKAGE}"
_SHA256: Final = "198ddf9ef8f20eb5ab80101701e859fe4861fd438670f2042f82662da85fd33c"
_LIBRARIES: Final = ("libcurl4t64", "libglib2.0-0t64", "libjson-glib-1.0-0")
_WITHIN: Final = 120.0

PROGRAM: Final = "usr/bin/rauc-hawkbit-updater"

_START = f"""\
#!/bin/sh
LD_LIBRARY_PATH=/run/client/usr/lib/{AMD64.machine}-linux-gnu exec /run/client/{PROGRAM} "$@"
"""


class NoClient(Exception):
    """The mirror does not have the program, or not this one any more."""


@dataclass(frozen=True, slots=True)
class Client:
    """The program and the libraries that the test image lacks, in the folder `tree`."""

    tree: Path

    @classmethod
    def of(cls, cache: Cache, tree: Path) -> "Client":
        """Fetch and unpack it. Raises NoClient."""
        unpack(unpacked(cache, "fleet-libraries", AMD64, _LIBRARIES), tree)
        package = cache.get(_PACKAGE, [_SHA256], _download)
        run(need("dpkg-deb", "dpkg"), "--extract", package, tree)
        start = tree / "rauc-hawkbit-updater"
        start.write_text(_START)
        start.chmod(0o755)
        return cls(tree)

    def run(self, *arguments: str | Path) -> str:
        """Run it on this machine and return what it printed. Raises ImageFailed if it fails."""
        return Native(self.tree).run(PROGRAM, *arguments)

    def disk(self, image: Path) -> tuple[str, ...]:
        """Make a disk of it, for `/run/client`; arguments for QEMU."""
        run(need("mksquashfs", "squashfs-tools"), self.tree, image, "-quiet", "-no-progress")
        drive = f"if=none,id=client,format=raw,readonly=on,file={image}"
        return "-drive", drive, "-device", "virtio-blk-pci,drive=client,serial=client"


def _download(path: Path) -> None:
    try:
        with urllib.request.urlopen(f"{mirror()}/{_POOL}", timeout=_WITHIN) as answer:
            content = answer.read()
    except (OSError, ImageFailed) as error:
        raise NoClient(f"{_PACKAGE}: {error}") from None
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise NoClient(f"{_PACKAGE} is another one than it was")
    path.write_bytes(content)


@dataclass
class FleetServer:
    """hawkBit, for one box that is to run one bundle."""

    target: str
    token: str
    bundle: Path
    tenant: str = "DEFAULT"
    identity: dict[str, Any] = field(default_factory=dict)
    """What the box said it is."""
    feedback: list[dict[str, Any]] = field(default_factory=list)
    """What it said of the installation, in order."""
    intruders: list[str] = field(default_factory=list)
    """Addresses that were asked for without the token."""

    ACTION = "7"

    @property
    def closed(self) -> bool:
        """Whether the box has said the last word about the installation."""
        return any(said["execution"] == "closed" for said in self.feedback)

    @property
    def application(self) -> Starlette:
        """The server, by the addresses of hawkBit's DDI API, version 1."""
        root = f"/{self.tenant}/controller/v1/{self.target}"
        action = f"{root}/deploymentBase/{self.ACTION}"
        return Starlette(
            routes=[
                Route(root, self._what_to_do),
                Route(f"{root}/configData", self._identify, methods=["PUT"]),
                Route(action, self._deployment),
                Route(f"{action}/feedback", self._listen, methods=["POST"]),
                Route(f"{root}/bundle", self._download),
            ]
        )

    def _is_known(self, request: Request) -> bool:
        known = request.headers.get("authorization") == f"TargetToken {self.token}"
        if not known:
            self.intruders.append(request.url.path)
        return known

    async def _what_to_do(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(status_code=401)
        here = str(request.url)
        links = {}
        if not self.identity:
            links["configData"] = {"href": f"{here}/configData"}
        if not self.closed:
            links["deploymentBase"] = {"href": f"{here}/deploymentBase/{self.ACTION}"}
        return JSONResponse({"config": {"polling": {"sleep": "00:05:00"}}, "_links": links})

    async def _identify(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(status_code=401)
        said = await request.json()
        self.identity = said["data"]
        return Response()

    async def _deployment(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(status_code=401)
        bundle = str(request.url).partition("/deploymentBase/")[0] + "/bundle"
        artifact = {
            "filename": self.bundle.name,
            "hashes": {"sha1": hashlib.sha1(self.bundle.read_bytes()).hexdigest()},
            "size": self.bundle.stat().st_size,
            "_links": {"download": {"href": bundle}},
        }
        chunk = {"part": "os", "version": "1", "name": "netty", "artifacts": [artifact]}
        deployment = {"download": "forced", "update": "forced", "chunks": [chunk]}
        return JSONResponse({"id": self.ACTION, "deployment": deployment})

    async def _listen(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(status_code=401)
        self.feedback.append((await request.json())["status"])
        return Response()

    async def _download(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(status_code=401)
        return FileResponse(self.bundle)
