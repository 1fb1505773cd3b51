"""What people put on a stick: the right files, and everything that was meant to be them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.stick import LARGEST_SIGNATURE, Contents, Unusable, read_stick
from appliance.settings.patients import LARGEST as LARGEST_PATIENTS
from appliance.settings.source import LARGEST
from appliance.updates.reset import SIGNATURE as RESET_SIGNATURE
from appliance.updates.reset import TOKEN
from appliance.updates.stick import ANSWER

SETTINGS = b"revision = 1\n"


def refused(folder: Path) -> Unusable:
    with pytest.raises(Unusable) as caught:
        read_stick(folder)
    return caught.value


def test_all_three_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "netty.toml").write_bytes(SETTINGS)
    (tmp_path / "patients.csv").write_bytes(b"patient_id\n")
    (tmp_path / "netty.toml.sig").write_bytes(b"signature")
    assert read_stick(tmp_path) == Contents(SETTINGS, b"patient_id\n", b"signature")


@pytest.mark.parametrize("name", ["netty.toml", "NETTY.TOML", "Netty.toml"])
def test_the_case_of_letters_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SETTINGS)
    assert read_stick(tmp_path) == Contents(SETTINGS)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["holiday.jpg"],
        ["._netty.toml", ".DS_Store"],
        ["netty-result-N1.txt", "netty-result-N1.json"],
        ["netty.raucb", f"{ANSWER}N1.txt", f"{ANSWER}N1.json"],
        [TOKEN, RESET_SIGNATURE],
        ["patients.csv"],
        ["bundle.raucb"],
    ],
)
def test_other_sticks_are_left_alone(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert read_stick(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("netty.toml.txt", "Windows hides the ending"),
        ("NETTY.TOML.TXT", "Windows hides the ending"),
        ("netty.txt", "Name it netty.toml"),
        ("netty", "Name it netty.toml"),
        ("netty (1).toml", "Name it netty.toml"),
        ("netty - コピー.toml", "Name it netty.toml"),
        ("netty.tml", "Name it netty.toml"),
        ("settings.toml", "Name it netty.toml"),
        ("netty.rtf", "save it as plain text"),
        ("netty.toml.docx", "save it as plain text"),
    ],
)
def test_a_name_that_was_meant_is_named(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(SETTINGS)
    found = refused(tmp_path)
    assert found.sentence == f"There is no netty.toml, but {name}."
    assert remedy in found.remedy


def test_several_that_may_be_meant_are_all_named(tmp_path: Path) -> None:
    for name in ("netty (1).toml", "netty.toml.txt"):
        (tmp_path / name).write_bytes(SETTINGS)
    found = refused(tmp_path)
    assert found.sentence == "There is no netty.toml, but netty (1).toml, netty.toml.txt."
    assert "remove the others" in found.remedy


def test_beside_the_right_one_others_are_only_told(tmp_path: Path) -> None:
    for name in ("netty.toml", "netty (1).toml", "netty-result-N1.txt"):
        (tmp_path / name).write_bytes(SETTINGS)
    assert read_stick(tmp_path) == Contents(SETTINGS, also=("netty (1).toml",))


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    for name in ("netty.toml", "NETTY.toml"):
        (tmp_path / name).write_bytes(SETTINGS)
    assert refused(tmp_path).sentence == (
        "There is more than one netty.toml: NETTY.toml and netty.toml."
    )


def test_a_file_in_a_folder_is_found_and_not_taken(tmp_path: Path) -> None:
    (tmp_path / "box 2").mkdir()
    (tmp_path / "box 2/netty.toml").write_bytes(SETTINGS)
    assert refused(tmp_path).sentence == "netty.toml is in the folder box 2."


@pytest.mark.parametrize("name", ["netty.toml", "patients.csv", "netty.toml.sig"])
def test_a_folder_a_link_and_a_pipe_are_no_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "netty.toml").write_bytes(SETTINGS)
    path = tmp_path / name
    path.unlink(missing_ok=True)
    path.mkdir()
    assert refused(tmp_path).sentence == f"{name} is a folder."
    path.rmdir()
    path.symlink_to("/etc/passwd")
    assert refused(tmp_path).sentence == f"{name} is a link."
    path.unlink()
    os.mkfifo(path)
    assert refused(tmp_path).sentence == f"{name} is no file."


def test_no_more_is_read_than_may_be_taken(tmp_path: Path) -> None:
    for name in ("netty.toml", "patients.csv", "netty.toml.sig"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)
    contents = read_stick(tmp_path)
    assert contents is not None and contents.patients and contents.signature
    assert len(contents.settings) == LARGEST + 1
    assert len(contents.patients) == LARGEST_PATIENTS + 1
    assert len(contents.signature) == LARGEST_SIGNATURE + 1


def test_a_name_of_any_bytes_stands_in_the_answer_harmlessly(tmp_path: Path) -> None:
    name = b"netty\xff\x1b[31m\n.toml"
    (tmp_path / os.fsdecode(name)).write_bytes(SETTINGS)
    assert refused(tmp_path).sentence == "There is no netty.toml, but netty��[31m�.toml."


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=30)
        | st.sampled_from(["netty.toml", "NETTY.TOML", "patients.csv", "netty.toml.sig"]),
        st.sampled_from(["file", "folder", "link", "loop"]),
        max_size=6,
    )
)
def test_hostile_sticks_are_read_refused_or_left_alone(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("stick")
    for name, kind in entries.items():
        if name in (".", ".."):
            continue
        path = folder / name
        match kind:
            case "file":
                path.write_bytes(SETTINGS)
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to("/dev/zero")
            case "loop":
                path.symlink_to(name)
    try:
        contents = read_stick(folder)
    except Unusable as unusable:
        assert str(unusable).isprintable()
    else:
        assert contents is None or contents.settings == SETTINGS
