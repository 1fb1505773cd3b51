"""PACS and Storage SCPs that nobody here wrote, each on a free loopback port for as long as needed.

    with dcmqrscp(folder, [Node("HAPPY_netty", 11112)]) as pacs:
        pacs.store(files)
        ...  # query and retrieve at pacs.node

They end with the block, and what they logged comes with whatever went wrong in it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.uid import UID, UncompressedTransferSyntaxes

from tools.hospital.sender import Node, Presentation, presentation, send

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
"""For DCMTK's programs and Orthanc: without it each message waits 40 ms for an acknowledgement."""

VERIFICATION = "1.2.840.10008.1.1"
QUERY_RETRIEVE = tuple(
    f"1.2.840.10008.5.1.4.1.2.{root}.{service}" for root in (1, 2) for service in (1, 2, 3)
)
"""FIND, MOVE and GET, Patient Root and Study Root (PS3.4 Section C.6)."""


class PeerAbsent(LookupError):
    """A program of that name is not installed on this machine."""


class PeerFailed(RuntimeError):
    """A peer ended, or did not listen in time."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer: where it listens, where it keeps its files, what it says.

    `web` is the address of Orthanc's REST interface, None for the others.
    """

    node: Node
    folder: Path
    log: Path
    process: subprocess.Popen[bytes]
    web: str | None = None

    def store(self, files: Iterable[Path]) -> None:
        """Send `files` to it, each in the transfer syntax that it has. Raises when one fails."""
        send(self.node, files)

    @property
    def running(self) -> bool:
        """Whether its process is still there."""
        return self.process.poll() is None


Pacs = Callable[..., AbstractContextManager[Peer]]
"""`(folder, destinations, files) -> a PACS that holds files and can move to destinations`."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """The path of an installed program. Raises PeerAbsent, with what to do.

    Not from the virtual environment: pynetdicom puts programs there that bear DCMTK's names.
    """
    own = Path(sys.executable).parent
    places = [place for place in os.get_exec_path() if Path(place) != own]
    path = shutil.which(name, path=os.pathsep.join([*places, "/usr/sbin", "/sbin"]))
    if path is None:
        raise PeerAbsent(f"{name} is not installed (see tools/environment)")
    return path


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _await_listening(process: subprocess.Popen[bytes], node: Node, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not listens(node.port):
        if process.poll() is not None:
            raise PeerFailed(f"{node.title} ended with status {process.returncode}")
        if time.monotonic() > end:
            raise PeerFailed(f"{node.title} does not listen on port {node.port}")
        time.sleep(0.02)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def stop(process: subprocess.Popen[bytes], seconds: float = 5) -> None:
    """End a process that leads its own group, and what it started; by force after `seconds`."""
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    _signal(process, signal.SIGKILL)
    process.wait()


def _tail(log: Path, size: int = 3000) -> str:
    return log.read_bytes()[-size:].decode(errors="replace")


@contextmanager
def running(
    command: Sequence[str],
    node: Node,
    folder: Path,
    *,
    cwd: Path | None = None,
    web: str | None = None,
    stop_within: float = 5,
) -> Iterator[Peer]:
    """Run `command` until the block ends; begins when it listens at `node`.

    Its log is in `folder`, and so is what it writes, unless `cwd` is another one.
    """
    log = folder / "log.txt"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd or folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_listening(process, node)
        yield Peer(node, folder, log, process, web)
    except BaseException as error:
        error.add_note(f"{command[0]} said last ({log}):\n{_tail(log)}")
        raise
    finally:
        stop(process, stop_within)


def _profiles(presentations: Iterable[Presentation]) -> str:
    """DCMTK's negotiation profiles `in` and `out` for instances of these classes and syntaxes.

    Without them dcmqrscp takes and offers uncompressed syntaxes only.
    """
    held: dict[str, list[str]] = defaultdict(list)
    for sop_class, syntax in sorted(set(presentations)):
        held[sop_class].append(syntax)
    plain = [str(syntax) for syntax in UncompressedTransferSyntaxes]
    syntaxes = {"plain": plain}
    incoming = [(sop_class, "plain") for sop_class in (VERIFICATION, *QUERY_RETRIEVE)]
    outgoing = []
    for sop_class, members in held.items():
        compressed = [syntax for syntax in members if syntax not in plain]
        accepted = f"list{len(syntaxes)}"
        syntaxes[accepted] = [*compressed, *plain]
        incoming.append((sop_class, accepted))
        if len(compressed) < len(members):
            outgoing.append((sop_class, "plain"))
        for syntax in compressed:
            alone = f"list{len(syntaxes)}"
            syntaxes[alone] = [syntax]
            outgoing.append((sop_class, alone))

    def section(name: str, key: str, values: Iterable[str]) -> list[str]:
        numbered = (f"{key}{number} = {value}" for number, value in enumerate(values, start=1))
        return [f"[{name}]", *numbered]

    lines = ["[[TransferSyntaxes]]"]
    for label, members in syntaxes.items():
        lines += section(label, "TransferSyntax", members)
    lines += ["[[PresentationContexts]]"]
    lines += section("in", "PresentationContext", (f"{c}\\{label}" for c, label in incoming))
    lines += section("out", "PresentationContext", (f"{c}\\{label}" for c, label in outgoing))
    lines += ["[[SCPSCURoleSelection]]"]
    lines += section("in", "Role", (f"{sop_class}\\BOTH" for sop_class in held))
    lines += ["[[Profiles]]", "[in]", "PresentationContexts = in", "SCPSCURoleSelection = in"]
    lines += ["[out]", "PresentationContexts = out"]
    return "\n".join(lines) + "\n"


def _dcmqrscp_configuration(node: Node, storage: Path, destinations: Sequence[Node]) -> str:
    hosts = (
        f"host{number} = ({to.title}, {to.host}, {to.port})"
        for number, to in enumerate(destinations)
    )
    return "\n".join(
        [
            f"NetworkTCPPort = {node.port}",
            "MaxPDUSize = 131072",
            "MaxAssociations = 64",
            *("HostTable BEGIN", *hosts, "HostTable END"),
            *("VendorTable BEGIN", "VendorTable END"),
            *("AETable BEGIN", f"{node.title} {storage} RW (500, 1024mb) ANY", "AETable END"),
            "",
        ]
    )


def _fill(folder: Path, files: Sequence[Path], store: Callable[[Sequence[Path]], None]) -> None:
    """Store `files` unless that was done already, in full, for a peer that had this folder."""
    contents = folder / "contents.txt"
    wanted = "".join(f"{file}\n" for file in files)
    if not contents.exists() or contents.read_text() != wanted:
        store(files)
        contents.write_text(wanted)


def _index(storage: Path, files: Sequence[Path]) -> None:
    """Put `files` into a dcmqrscp's storage area.

    It sends on the first context of a class that was accepted, whatever the syntax of the file. So
    where a class comes in several syntaxes, the compressed ones are decompressed.
    """
    copies = [storage / f"{number:05d}" for number in range(len(files))]
    presentations = [presentation(file) for file in files]
    for file, copy, (sop_class, syntax) in zip(files, copies, presentations, strict=True):
        shutil.copyfile(file, copy)
        mixed = any(other == sop_class and also != syntax for other, also in presentations)
        if mixed and UID(syntax).is_compressed:
            dataset = pydicom.dcmread(file)
            dataset.decompress(generate_instance_uid=False)
            dataset.save_as(copy)
    subprocess.run([program("dcmqridx"), storage, *copies], check=True, capture_output=True)


@contextmanager
def dcmqrscp(
    folder: Path,
    destinations: Sequence[Node],
    files: Sequence[Path] = (),
    title: str = "DCMQRSCP",
    options: Sequence[str] = (),
) -> Iterator[Peer]:
    """DCMTK's image archive. It negotiates compressed syntaxes only for the `files` given here."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    node = Node(title, free_port())
    (folder / "dcmqrscp.cfg").write_text(_dcmqrscp_configuration(node, storage, destinations))
    command = [program("dcmqrscp"), "--config", str(folder / "dcmqrscp.cfg"), *options]
    if files:
        _fill(folder, files, lambda files: _index(storage, files))
        profiles = folder / "profiles.cfg"
        profiles.write_text(_profiles(map(presentation, sorted(storage.glob("0*")))))
        command += ["--assoc-config-file", str(profiles), "in", "out"]
    with running(command, node, folder) as peer:
        yield peer


@contextmanager
def orthanc(
    folder: Path,
    destinations: Sequence[Node],
    files: Sequence[Path] = (),
    title: str = "ORTHANC",
    **settings: object,
) -> Iterator[Peer]:
    """Orthanc with its own defaults; `settings` are keys of its configuration file."""
    folder.mkdir(parents=True, exist_ok=True)
    node, web = Node(title, free_port()), free_port()
    configuration = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": title,
        "DicomPort": node.port,
        "HttpPort": web,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {to.title: [to.title, to.host, to.port] for to in destinations},
        **settings,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=1))
    command = [program("Orthanc"), str(folder / "orthanc.json")]
    with running(command, node, folder, web=f"http://127.0.0.1:{web}") as peer:
        _fill(folder, files, peer.store)
        yield peer


@contextmanager
def qrscp(
    folder: Path,
    destinations: Sequence[Node],
    files: Sequence[Path] = (),
    title: str = "QRSCP",
) -> Iterator[Peer]:
    """The application of that name that pynetdicom brings along."""
    folder.mkdir(parents=True, exist_ok=True)
    node = Node(title, free_port())
    sections = [
        "[DEFAULT]",
        f"ae_title: {title}",
        f"port: {node.port}",
        "max_pdu: 131072",
        *("acse_timeout: 30", "dimse_timeout: 30", "network_timeout: 60"),
        "bind_address: 127.0.0.1",
        f"instance_location: {folder / 'storage'}",
        f"database_location: {folder / 'qrscp.sqlite'}",
        "log_identifier: False",
    ]
    for to in destinations:
        sections += [f"[{to.title}]", f"address: {to.host}", f"port: {to.port}"]
    (folder / "qrscp.ini").write_text("\n".join(sections) + "\n")
    application = Path(__file__).with_name("qrscp.py")
    command = [sys.executable, "-P", str(application), "-c", str(folder / "qrscp.ini")]
    with running(command, node, folder) as peer:
        _fill(folder, files, peer.store)
        yield peer


@contextmanager
def storescp(
    folder: Path, options: Sequence[str] = ("--fork", "+B"), title: str = "STORESCP"
) -> Iterator[Peer]:
    """DCMTK's Storage SCP; by default a process for each association, every byte kept as it is."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    node = Node(title, free_port())
    command = [program("storescp"), *options, "-aet", title, "-od", str(storage), str(node.port)]
    with running(command, node, folder) as peer:
        yield peer


PACS: dict[str, Pacs] = {"qrscp": qrscp, "orthanc": orthanc, "dcmtk": dcmqrscp}
"""By the name that `tools/demo --pacs` knows them."""
