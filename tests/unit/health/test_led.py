"""The LEDs: a tree like the kernel's, with and without its triggers."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from appliance.health.board import Board, BoardProblem, read_board
from appliance.health.led import BEATS, Lamps, is_on
from appliance.health.places import Places
from appliance.health.state import LIGHTS, Colour, Light, Rhythm

TRIGGERS = ("none", "timer", "default-on", "pattern")
BOARD = Board(green=("board:green:*",), amber=("board:amber:*",), red=("board:red:*",))


@dataclass
class Tree:
    """/sys/class/leds of a test."""

    folder: Path
    triggers: tuple[str, ...] = TRIGGERS

    def plug(self, *names: str, brightest: int = 255, channels: str = "") -> None:
        for name in names:
            led = self.folder / name
            led.mkdir(parents=True)
            (led / "max_brightness").write_text(f"{brightest}\n")
            (led / "brightness").write_text("0\n")
            (led / "trigger").write_text(self._bracketed("none"))
            for file in ("delay_on", "delay_off", "pattern"):
                (led / file).write_text("")
            if channels:
                (led / "multi_index").write_text(f"{channels}\n")
                (led / "multi_intensity").write_text(" ".join("0" for _ in channels.split()))

    def unplug(self, name: str) -> None:
        shutil.rmtree(self.folder / name)

    def settle(self) -> None:
        """Be the kernel, which says of every LED which triggers there are."""
        for led in self.folder.iterdir():
            self.trigger(led.name)

    def _bracketed(self, chosen: str) -> str:
        said = (f"[{one}]" if one == chosen else one for one in self.triggers)
        return " ".join(said) + "\n"

    def trigger(self, name: str) -> str:
        """The trigger of an LED; like the kernel, say from now on which there are."""
        file = self.folder / name / "trigger"
        chosen = file.read_text().strip()
        if "[" in chosen:
            chosen = chosen.split("[")[1].split("]")[0]
        assert chosen in self.triggers
        file.write_text(self._bracketed(chosen))
        return chosen

    def shows(self, name: str) -> tuple[str, ...]:
        """What somebody who looks at an LED sees."""
        led, trigger = self.folder / name, self.trigger(name)
        read = {file.name: file.read_text().strip() for file in led.iterdir()}
        match trigger:
            case "timer":
                return ("timer", read["delay_on"], read["delay_off"])
            case "pattern":
                return ("pattern", read["pattern"])
        return ("off",) if read["brightness"] == "0" else ("on", read["brightness"])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "leds")
    tree.plug("board:green:status", "board:amber:status", "board:red:status", "disk::activity")
    return tree


OFF = ("off",)
SHOWN = {
    ("green", "steady"): ("on", "255"),
    ("green", "slow"): ("timer", "1000", "1000"),
    ("green", "three"): ("pattern", "255 100 255 0 0 100 0 0 " * 2 + "255 100 255 0 0 900 0 0"),
    ("amber", "steady"): ("on", "255"),
    ("amber", "slow"): ("timer", "1000", "1000"),
    ("amber", "fast"): ("timer", "100", "100"),
    ("red", "steady"): ("on", "255"),
    ("red", "two"): ("pattern", "255 200 255 0 0 200 0 0 255 200 255 0 0 1400 0 0"),
}


@pytest.mark.parametrize("light", LIGHTS.values())
def test_every_state_of_the_table(tree: Tree, light: Light) -> None:
    lamps = Lamps(tree.folder, BOARD)
    for other in LIGHTS.values():
        lamps.show(other)
        tree.settle()
        assert lamps.show(light) == 1
        assert not lamps.needs_steps
        for colour in get_args(Colour):
            wanted = SHOWN[light.colour, light.rhythm] if colour == light.colour else OFF
            assert tree.shows(f"board:{colour}:status") == wanted
    assert tree.shows("disk::activity") == OFF


def test_a_light_that_is_right_is_left_alone(tree: Tree) -> None:
    lamps = Lamps(tree.folder, BOARD)
    for light in LIGHTS.values():
        lamps.show(light)
        tree.settle()
        files = list(tree.folder.glob("*/*"))
        before = [file.stat().st_mtime_ns for file in files]
        lamps.show(light)
        assert [file.stat().st_mtime_ns for file in files] == before


def test_without_amber_green_and_red_shine_together(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.plug("board:green:status", "board:red:status")
    lamps = Lamps(tmp_path, BOARD)
    assert lamps.show(Light("amber", "slow")) == 2
    assert tree.shows("board:green:status") == tree.shows("board:red:status")
    lamps.show(Light("red"))
    assert tree.shows("board:green:status") == OFF


@pytest.mark.parametrize(
    ("colour", "levels"), [("green", "0 200 0"), ("amber", "200 100 0"), ("red", "200 0 0")]
)
def test_one_led_of_many_colours(tmp_path: Path, colour: Colour, levels: str) -> None:
    tree = Tree(tmp_path)
    tree.plug("board:rgb:status", brightest=200, channels="red green blue")
    assert Lamps(tmp_path, Board(multicolour=("*:rgb:*",))).show(Light(colour)) == 1
    assert (tmp_path / "board:rgb:status/multi_intensity").read_text() == levels
    assert tree.shows("board:rgb:status") == ("on", "200")


@pytest.mark.parametrize("triggers", [("none",), ("none", "default-on"), ("none", "kbd-numlock")])
@pytest.mark.parametrize("rhythm", [rhythm for rhythm, beats in BEATS.items() if beats])
def test_it_blinks_by_itself_where_the_kernel_cannot(
    tmp_path: Path, triggers: tuple[str, ...], rhythm: Rhythm
) -> None:
    tree = Tree(tmp_path, triggers)
    tree.plug("input3::numlock", brightest=1)
    lamps = Lamps(tmp_path, Board(green=("input*::numlock",)))
    lamps.show(Light("green", rhythm))
    assert lamps.needs_steps
    seen = []
    for tenth in range(40):
        lamps.step(tenth / 10 + 0.05)
        seen.append(tree.shows("input3::numlock") == ("on", "1"))
    assert seen == [is_on(rhythm, tenth / 10 + 0.05) for tenth in range(40)]
    lamps.show(Light("green"))
    assert not lamps.needs_steps
    assert tree.shows("input3::numlock") == ("on", "1")


def test_a_pattern_stands_in_for_a_timer(tmp_path: Path) -> None:
    tree = Tree(tmp_path, ("none", "pattern"))
    tree.plug("g")
    Lamps(tmp_path, Board(green=("g",))).show(Light("green", "slow"))
    assert tree.shows("g") == ("pattern", "255 1000 255 0 0 1000 0 0")


@pytest.mark.parametrize(
    ("rhythm", "blinks"), [("steady", 0), ("slow", 1), ("fast", 1), ("two", 2), ("three", 3)]
)
def test_a_rhythm_can_be_counted(rhythm: Rhythm, blinks: int) -> None:
    length = sum(BEATS[rhythm]) or 1.0
    on = [is_on(rhythm, length * moment / 1000) for moment in range(1000)]
    assert on[0]
    assert sum(a and not b for a, b in zip(on, [*on[1:], True], strict=True)) == blinks
    assert is_on(rhythm, 1e6 * length + 0.01)


def test_leds_may_go_and_come(tree: Tree) -> None:
    lamps = Lamps(tree.folder, BOARD)
    assert lamps.show(Light("green")) == 1
    tree.unplug("board:green:status")
    assert lamps.show(Light("green")) == 0
    tree.plug("board:green:status")
    assert lamps.show(Light("green")) == 1
    assert tree.shows("board:green:status") == ("on", "255")


def test_an_led_that_goes_while_it_blinks_is_no_matter(tmp_path: Path) -> None:
    tree = Tree(tmp_path, ("none",))
    tree.plug("g", "h")
    lamps = Lamps(tmp_path, Board(green=("?",)))
    lamps.show(Light("green", "fast"))
    tree.unplug("g")
    lamps.step(0.05)
    assert tree.shows("h") == ("on", "255")


def test_an_led_that_cannot_be_set_keeps_no_other_dark(tree: Tree) -> None:
    (tree.folder / "board:green:status/max_brightness").write_text("nonsense")
    tree.plug("board:green:second")
    assert Lamps(tree.folder, BOARD).show(Light("green")) == 1
    assert tree.shows("board:green:second") == ("on", "255")


def test_a_machine_without_leds_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lamps = Lamps(tmp_path / "nowhere", BOARD)
    for _ in range(3):
        assert lamps.show(Light("red")) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "no LED shines: see led in board.toml"
    ]


# -- board.toml


def test_the_board_of_the_overlay_is_right() -> None:
    board = read_board(Places(Path(__file__).parents[3] / "overlay").board)
    assert board.consoles == ("/dev/tty1",)
    assert all((board.green, board.amber, board.red, board.multicolour))


def test_a_board(tmp_path: Path) -> None:
    file = tmp_path / "board.toml"
    file.write_text('[led]\nred = ["a", "b*"]\n[console]\ndevices = ["/dev/ttyS0"]\n')
    assert read_board(file) == Board(red=("a", "b*"), consoles=("/dev/ttyS0",))
    file.write_text("")
    assert read_board(file) == Board()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[led", "board.toml"),
        ("led = 3", "led: expected a table"),
        ('[led]\ngreen = "a"', "led.green: expected a list"),
        ("[led]\ngreen = [1]", "led.green: expected a list"),
        ('[led]\nblue = ["a"]', "led.blue: expected one of green, amber"),
        ("[console]\ndevices = true", "console.devices: expected a list"),
    ],
)
def test_what_is_no_board(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "board.toml"
    file.write_text(text)
    with pytest.raises(BoardProblem, match=says):
        read_board(file)


def test_no_board(tmp_path: Path) -> None:
    with pytest.raises(BoardProblem, match="No such file"):
        read_board(tmp_path / "board.toml")
