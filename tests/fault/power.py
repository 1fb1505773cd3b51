"""A disk that loses its power: which folders may be found afterwards.

`Recorder` does everything on a real folder and notes each system call that writes. `after` rebuilds
what the disk may hold when the power goes behind any of them. What was synced is there. Of what was
not, any part may be: a name without its content, the content of one file and not of the other, a
rename that overtook the writes before it.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.provisioning.disk import Disk

MOST_STATES = 40
"""Rebuilt for one moment: all there are, or so many of them by chance."""


@dataclass(frozen=True)
class Call:
    """One system call. `needs` is the file or folder that must be synced for it to last."""

    name: str
    path: Path
    needs: Path
    data: bytes | str | Path = b""


@dataclass
class Recorder(Disk):
    """Notes what is done, in order. `syncs` False: a disk whose syncs do nothing."""

    syncs: bool = True
    calls: list[Call] = field(default_factory=list)

    def make_folder(self, path: Path, mode: int) -> None:
        super().make_folder(path, mode)
        self.calls.append(Call("mkdir", path, path.parent))

    def write(self, path: Path, data: bytes, mode: int) -> None:
        super().write(path, data, mode)
        self.calls.append(Call("create", path, path.parent))
        middle = len(data) // 2
        self.calls.append(Call("write", path, path, data[:middle]))
        self.calls.append(Call("write", path, path, data[middle:]))
        self._sync(path)

    def link(self, path: Path, target: str) -> None:
        super().link(path, target)
        self.calls.append(Call("symlink", path, path.parent, target))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.calls.append(Call("rename", old, old.parent, new))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._sync(path)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            for each in sorted(path.iterdir()):
                self.remove(each)
        there = path.is_symlink() or path.exists()
        super().remove(path)
        if there:
            self.calls.append(Call("unlink", path, path.parent))

    def _sync(self, path: Path) -> None:
        if self.syncs:
            self.calls.append(Call("sync", path, path))


class Quick(Disk):
    """A disk that never loses its power, and so need not wait for anything."""

    def write(self, path: Path, data: bytes, mode: int) -> None:
        path.write_bytes(data)

    def sync_folder(self, path: Path) -> None:
        pass


@dataclass
class Node:
    """A file, a link or a folder, by whatever name."""

    content: bytes | str | dict[str, "Node"] = b""


def after(calls: list[Call], before: Node, root: Path, chance: random.Random) -> Iterator[Node]:
    """Yield what may be there when the power goes behind the last of `calls`."""
    lasting = [_lasts(index, calls) for index in range(len(calls))]
    loose = [index for index, lasts in enumerate(lasting) if not lasts]
    for kept in _choices(loose, chance):
        tree = copy(before)
        for index, call in enumerate(calls):
            if call.name != "sync" and (lasting[index] or index in kept):
                _replay(tree, root, call)
        yield tree


def _lasts(index: int, calls: list[Call]) -> bool:
    """Whether something synced what a call needs, after it; a folder may have another name then."""
    needs = calls[index].needs
    for call in calls[index + 1 :]:
        if call.name == "sync" and call.path == needs:
            return True
        if call.name == "rename" and isinstance(call.data, Path):
            if needs == call.path:
                needs = call.data
            elif call.path in needs.parents:
                needs = call.data / needs.relative_to(call.path)
    return False


def _choices(loose: list[int], chance: random.Random) -> Iterator[frozenset[int]]:
    if 2 ** len(loose) <= MOST_STATES:
        for size in range(len(loose) + 1):
            yield from map(frozenset, itertools.combinations(loose, size))
        return
    yield frozenset()
    yield frozenset(loose)
    for _ in range(MOST_STATES - 2):
        yield frozenset(each for each in loose if chance.random() < 0.5)


def _replay(tree: Node, root: Path, call: Call) -> None:
    """Do again what a call did, as far as what it stands on is there."""
    folder = _find(tree, call.path.parent.relative_to(root))
    names = folder.content if folder is not None else None
    if not isinstance(names, dict):
        return
    name = call.path.name
    match call.name:
        case "mkdir":
            names[name] = Node({})
        case "create":
            names[name] = Node(b"")
        case "write" if name in names and isinstance(names[name].content, bytes):
            assert isinstance(call.data, bytes)
            names[name].content += call.data  # type: ignore[operator]
        case "symlink":
            assert isinstance(call.data, str)
            names[name] = Node(call.data)
        case "rename" if name in names:
            assert isinstance(call.data, Path) and call.data.parent == call.path.parent
            names[call.data.name] = names.pop(name)
        case "unlink":
            names.pop(name, None)


def _find(tree: Node, path: Path) -> Node | None:
    for part in path.parts:
        if not isinstance(tree.content, dict) or part not in tree.content:
            return None
        tree = tree.content[part]
    return tree


def taken(folder: Path) -> Node:
    """Return what is in a folder now."""
    if folder.is_symlink():
        return Node(str(folder.readlink()))
    if folder.is_dir():
        return Node({each.name: taken(each) for each in folder.iterdir()})
    return Node(folder.read_bytes())


def copy(node: Node) -> Node:
    """Return the same once more."""
    if isinstance(node.content, dict):
        return Node({name: copy(each) for name, each in node.content.items()})
    return Node(node.content)


def put(node: Node, path: Path) -> None:
    """Make it a real folder."""
    match node.content:
        case dict() as names:
            path.mkdir()
            for name, each in names.items():
                put(each, path / name)
        case str() as target:
            path.symlink_to(target)
        case content:
            path.write_bytes(content)
