"""A USB stick for a virtual machine: a file with a FAT file system, made without mounting it."""

from collections.abc import Mapping
from pathlib import Path

from tools.imaging.programs import ImageFailed, need, run


def make_stick(image: Path, files: Mapping[str, bytes], *, label: str = "NETTY") -> Path:
    """Make a FAT stick in the file `image` with `files` (path on the stick: content)."""
    image.unlink(missing_ok=True)
    kibibytes = 8192 + sum(len(content) for content in files.values()) // 1024 * 5 // 4
    run(need("mkfs.vfat", "dosfstools"), "-C", "-n", label, image, str(kibibytes))
    for folder in sorted({str(above) for name in files for above in Path(name).parents} - {"."}):
        run(need("mmd", "mtools"), "-i", image, f"::/{folder}")
    for name, content in files.items():
        run(need("mcopy", "mtools"), "-i", image, "-", f"::/{name}", text=content)
    return image


def stick_from_folder(image: Path, folder: Path) -> Path:
    """Make a FAT stick in the file `image` with everything in `folder`."""
    if not folder.is_dir():
        raise ImageFailed(f"{folder}: not a folder")
    return make_stick(
        image,
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )


def read_stick(image: Path, name: str) -> bytes | None:
    """The content of the file `name` on a stick; None if there is no such file."""
    try:
        return run(need("mtype", "mtools"), "-i", image, f"::/{name}").encode()
    except ImageFailed:
        return None
