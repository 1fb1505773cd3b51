"""The serial number: the maker's, or one that stays the same and gives nothing away."""

import re
from pathlib import Path

import pytest

from appliance.provisioning.serial import DEVICE_TREE, DMI, MACHINE_ID, UNKNOWN, serial_number


def machine(root: Path, **files: str) -> Path:
    for path, text in files.items():
        file = root / {"dmi": DMI, "tree": DEVICE_TREE, "id": MACHINE_ID}[path]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_the_makers_number_is_taken(tmp_path: Path) -> None:
    assert serial_number(machine(tmp_path, dmi="NB-2025.0001\n", tree="other")) == "NB-2025.0001"


def test_a_board_without_dmi_has_it_in_its_device_tree(tmp_path: Path) -> None:
    assert serial_number(machine(tmp_path, tree="10000000abcdef01\0")) == "10000000abcdef01"


@pytest.mark.parametrize(
    "placeholder",
    [
        *("", " ", "None", "To Be Filled By O.E.M.", "Default string", "Not Specified", "N/A"),
        *("System Serial Number", "0123456789", "0", "00000000", "XXXXXXXX", "-", "........"),
    ],
)
def test_what_makers_leave_there_is_no_number(tmp_path: Path, placeholder: str) -> None:
    serial = serial_number(machine(tmp_path, dmi=placeholder, id="0123456789abcdef" * 2 + "\n"))
    assert re.fullmatch("N[0-9A-F]{11}", serial)


def test_the_machine_id_decides_and_does_not_show(tmp_path: Path) -> None:
    one = serial_number(machine(tmp_path / "one", id="0123456789abcdef" * 2))
    again = serial_number(machine(tmp_path / "again", id="0123456789abcdef" * 2 + "\n"))
    other = serial_number(machine(tmp_path / "other", id="0123456789abcdee" * 2))
    assert one == again != other
    assert one[1:].lower() not in "0123456789abcdef" * 2


@pytest.mark.parametrize("text", ["", "uninitialized\n", "xyz"])
def test_a_machine_without_any(tmp_path: Path, text: str) -> None:
    assert serial_number(machine(tmp_path, id=text)) == UNKNOWN


def test_a_number_is_always_fit_for_the_name_of_a_file(tmp_path: Path) -> None:
    serial = serial_number(machine(tmp_path, dmi="../A/B: 7\x07*" + "9" * 100))
    assert re.fullmatch(r"A-B-7-9+", serial)
    assert len(serial) <= 64
