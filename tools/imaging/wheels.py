"""The Python packages of the image, in exactly the versions of `wheels.txt`.

`pyproject.toml` says what the appliance needs; `wheels.txt` beside this file says which versions
an image gets, what they need in turn included, so that every build of a commit is the same.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import AMD64, ARCHITECTURES, Architecture
from tools.imaging.cache import Cache, digest
from tools.imaging.packages import PYTHON, trust_certificates, unpack, unpacked
from tools.imaging.programs import ImageFailed, run

REPOSITORY = Path(__file__).parents[2]
LOCK_FILE = Path(__file__).with_name("wheels.txt")

_PIP = (
    *(str(REPOSITORY / ".venv/bin/python"), "-m", "pip"),
    *("--disable-pip-version-check", "--quiet", "--no-input"),
)
_GLIBC = ("2_28", "2_27", "2_17")
"""The manylinux tags that Debian's libc satisfies and packages use."""

_COMPILERS = (
    *("base-files", "coreutils", "dash"),
    *("g++", "python3-dev", "python3-pip", "python3-setuptools", "python3-wheel"),
    *("python3-pybind11", "libjpeg62-turbo-dev", "libopenjp2-7-dev", "libwebp-dev"),
    *("liblcms2-dev", "zlib1g-dev"),
)
_BUILD_OPTIONS = {
    "pillow-simd": tuple(
        f"-C{library}=enable" for library in ("zlib", "jpeg", "jpeg2000", "webp", "lcms")
    ),
}
"""What a compiled package must contain, lest it quietly leave it out."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the image, in one version."""

    name: str
    """As PyPI writes it, in lower case."""
    version: str
    architectures: frozenset[str]
    """Debian's names of the processors whose images hold it."""
    pure: bool
    """It comes as source alone, but is Python alone: any machine can make its wheel."""

    @property
    def requirement(self) -> str:
        """As pip reads it."""
        return f"{self.name}=={self.version}"


def read_pins(file: Path = LOCK_FILE) -> tuple[Pin, ...]:
    """The packages of `wheels.txt`. Raises ImageFailed at a line that is none."""
    pins = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        text = line.partition("#")[0].split()
        if not text:
            continue
        found = re.fullmatch(r"([a-z0-9-]+)==([^=]+)", text[0])
        words = frozenset(text[1:])
        if found is None or words - {"source", *ARCHITECTURES}:
            raise ImageFailed(f"{file}:{number}: expected NAME==VERSION [source] [ARCH…]: {line}")
        pins.append(
            Pin(
                name=found[1],
                version=found[2],
                architectures=words - {"source"} or frozenset(ARCHITECTURES),
                pure="source" in words,
            )
        )
    return tuple(pins)


def site_packages(cache: Cache, architecture: Architecture) -> Path:
    """A folder with every pinned package for that processor, installed."""
    pins = [pin for pin in read_pins() if architecture.debian in pin.architectures]
    compiled = [pin for pin in pins if pin.name in architecture.compiled]
    wheels = [_compiled(cache, pin) for pin in compiled]
    parts: list[str | bytes] = [Path(__file__).read_bytes()]
    parts.extend(pin.requirement for pin in pins)

    def make(folder: Path) -> None:
        _install(folder, architecture, [pin for pin in pins if pin not in compiled], wheels)

    return cache.get(f"site-packages-{architecture.debian}", parts, make)


def _install(
    folder: Path, architecture: Architecture, pins: list[Pin], compiled: list[Path]
) -> None:
    collected = folder.with_name("wheels")
    sources = [pin.requirement for pin in pins if pin.pure]
    ready = [pin.requirement for pin in pins if not pin.pure]
    run(*_PIP, "wheel", "--no-deps", "--wheel-dir", collected, *sources)
    for wheel in collected.iterdir():
        if not wheel.name.endswith("-none-any.whl"):
            raise ImageFailed(f"{wheel.name}: not Python alone; it must be compiled for the image")
    run(*_PIP, "download", "--no-deps", "--only-binary=:all:", "--dest", collected,
        *_platform(architecture), *ready)  # fmt: skip
    for folder_of_wheel in compiled:
        shutil.copy(next(folder_of_wheel.glob("*.whl")), collected)
    run(*_PIP, "install", "--no-deps", "--no-compile", "--no-index", "--only-binary=:all:",
        "--target", folder, *_platform(architecture), *sorted(collected.iterdir()))  # fmt: skip
    _slim(folder)


def _platform(architecture: Architecture) -> list[str]:
    return [
        f"--python-version={PYTHON}",
        "--implementation=cp",
        *(f"--platform=manylinux_{glibc}_{architecture.machine}" for glibc in _GLIBC),
        f"--platform=manylinux2014_{architecture.machine}",
        *(f"--platform=linux_{architecture.machine}" for _ in [0] if architecture.compiled),
    ]


def _slim(folder: Path) -> None:
    """Remove what only developers of these packages use."""
    for name in ("tests", "test_files", "benchmarks", "include", "__pycache__"):
        for path in sorted(folder.rglob(name)):
            if path.is_dir():
                shutil.rmtree(path)
    for path in (folder / "bin", folder / "pynetdicom" / "apps"):
        shutil.rmtree(path, ignore_errors=True)
    for pattern in ("*.pyi", "*.pyx", "*.pxd", "*.a", "direct_url.json", "RECORD"):
        for path in sorted(folder.rglob(pattern)):
            path.unlink()


def _compiled(cache: Cache, pin: Pin) -> Path:
    """A folder with the wheel of `pin`, compiled for x86-64 with the suite's own compiler."""
    options = _BUILD_OPTIONS[pin.name]

    def make(folder: Path) -> None:
        folder.mkdir()
        tree = unpack(unpacked(cache, "compiler", AMD64, _COMPILERS), folder.with_name("tree"))
        trust_certificates(tree)  # pip does not start without
        source = tree / "source"
        run(*_PIP, "download", "--no-deps", "--no-binary", pin.name,
            "--dest", source, pin.requirement)  # fmt: skip
        archive = next(source.iterdir())
        # In a folder that is always called the same, for the compiler writes its name down.
        unpack(archive, source / "unpacked", "--strip-components=1")
        # User namespaces let anybody change the root. A tree that was only unpacked has neither
        # devices nor a link called cc.
        (tree / "dev").mkdir(exist_ok=True)
        run(*("unshare", "--map-root-user", "--mount", "sh", "-c"),
            'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"', tree,
            *("/usr/bin/env", "-i", "CC=gcc", "CXX=g++", "CFLAGS=-g0", "HOME=/tmp"),
            *("PATH=/usr/bin", "SOURCE_DATE_EPOCH=315532800", "python3", "-m", "pip"),
            *("wheel", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir=/wheel", *options),
            "/source/unpacked")  # fmt: skip
        shutil.copy(next((tree / "wheel").iterdir()), folder)

    parts: list[str | bytes] = [pin.requirement, Path(__file__).read_bytes()]
    return cache.get(f"wheel-{pin.name}-{digest([pin.version])}", parts, make)
