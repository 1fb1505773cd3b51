"""The image's Python packages are those that pyproject.toml asks for."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.imaging.architecture import ARCHITECTURES, Architecture
from tools.imaging.programs import ImageFailed
from tools.imaging.wheels import read_pins

REPOSITORY = Path(__file__).parents[3]


def asked_for(architecture: Architecture) -> list[Requirement]:
    """What pyproject.toml asks for, and what that asks for in turn, as its versions here say."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = {
        "platform_machine": architecture.machine,
        "python_version": "3.13",
        "extra": "",
    }
    found: dict[str, Requirement] = {}
    waiting = [Requirement(text) for text in project["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        if requirement.marker is None or requirement.marker.evaluate(environment):
            if requirement.name not in found and not is_other_pillow(requirement):
                waiting.extend(map(Requirement, requires(requirement.name) or ()))
            found[requirement.name] = requirement
    return list(found.values())


def is_other_pillow(requirement: Requirement) -> bool:
    """Whether it is the Pillow that this machine does not have; neither asks for anything."""
    return requirement.name in ("pillow", "pillow-simd")


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_the_image_has_what_the_appliance_needs(architecture: Architecture) -> None:
    pins = {
        pin.name: pin.version for pin in read_pins() if architecture.debian in pin.architectures
    }
    wrong = [
        f"{requirement}: wheels.txt has {pins.get(name, 'none')}"
        for requirement in asked_for(architecture)
        if (name := re.sub(r"[-_.]+", "-", requirement.name).lower()) not in pins
        or not requirement.specifier.contains(pins[name])
    ]
    assert wrong == [], "tools/imaging/wheels.txt does not fit pyproject.toml"


def test_a_line_that_pins_nothing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wheels.txt"
    file.write_text("# a comment\nnumpy>=2\n")
    with pytest.raises(ImageFailed, match=re.escape(f"{file}:2: expected NAME==VERSION")):
        read_pins(file)
