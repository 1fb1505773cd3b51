"""The imports of the package: one way between its parts, and nothing that is not declared."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "appliance"

ORDER = (
    *("settings", "archive", "images", "dicom", "retrieval", "service"),
    *(
        "asking",
        "fetching",
        "connecting",
        "terminal",
        "trial",
        "proof",
        "updating",
        "cli",
        "__main__",
    ),
)
"""Each part may import the parts before it (section 3 of the design)."""

ASIDE = {
    "health": {"settings"},
    "provisioning": {"settings"},
    "panel": {"settings", "archive", "health", "updates"},
    "updates": {"settings", "health", "provisioning"},
}
"""Parts beside the order, with all that they may import."""

COMPOSERS = {"service", "trial", "updating", "cli"}
"""Only these put the parts together: they may import what stands aside as well."""


def allowed(part: str) -> set[str]:
    """The parts that `part` may import, itself included."""
    if part in ASIDE:
        return {part, *ASIDE[part]}
    before = set(ORDER[: ORDER.index(part) + 1])
    return before | set(ASIDE) if part in COMPOSERS else before


def part_of(file: Path, package: Path = PACKAGE) -> str:
    return file.relative_to(package).parts[0].removesuffix(".py")


def imports(file: Path, package: Path = PACKAGE) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything that `file` imports, wherever it does so."""
    here = file.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = here[: -node.level] if node.level else ()
            module = (*start, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield node.lineno, ".".join((*module, alias.name))


def against_the_arrows(package: Path) -> list[str]:
    """Every import in `package` that its part is not allowed."""
    return [
        f"{file.relative_to(package.parent)}:{line} imports {name}"
        for file in sorted(package.rglob("*.py"))
        if file != package / "__init__.py"
        for line, name in imports(file, package)
        if name.split(".")[0] == package.name
        and set(name.split(".")[1:2]) & {*ORDER, *ASIDE} - allowed(part_of(file, package))
    ]


def test_every_part_has_its_place() -> None:
    parts = {part_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts <= {*ORDER, *ASIDE}


def test_imports_follow_the_arrows() -> None:
    assert against_the_arrows(PACKAGE) == []


@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("settings/model.py", "from appliance.archive.files import Folders"),
        ("archive/space.py", "import appliance.service"),
        ("archive/space.py", "from .. import dicom"),
        ("images/render/grey.py", "from ...dicom.statuses import SUCCESS"),
        ("dicom/scp.py", "def late():\n    from appliance import health"),
        ("health/state.py", "from appliance.archive import catalogue"),
        ("retrieval/planner.py", "from appliance.cli import main"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, part: str, statement: str) -> None:
    file = tmp_path / "appliance" / part
    file.parent.mkdir(parents=True)
    file.write_text(statement + "\n")
    assert len(against_the_arrows(tmp_path / "appliance")) == 1


def test_external_imports_are_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w.-]", wanted)[0].lower() for wanted in project["dependencies"]}
    providers = packages_distributions()
    undeclared = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, name in imports(file)
        if (top := name.split(".")[0]) not in {"appliance", *sys.stdlib_module_names}
        and not declared & {provider.lower() for provider in providers.get(top, ())}
    ]
    assert undeclared == []
