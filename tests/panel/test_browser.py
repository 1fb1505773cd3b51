"""The page in a real browser: its stylesheet is taken, its colours are those of the state."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from PIL import Image

from appliance.health.verdict import Verdict
from appliance.panel.app import application, guarded
from tests.panel.verdicts import verdict
from tools.hospital.peers import PeerAbsent

INK = {
    "green": ((0x1B, 0x6E, 0x47), (0x5F, 0xC7, 0x96)),
    "amber": ((0x9A, 0x5B, 0x00), (0xF0, 0xB0, 0x4F)),
    "red": ((0xB3, 0x26, 0x1E), (0xFF, 0x8A, 0x7D)),
}
"""Of the state's shape and word, on light and on dark paper, as the stylesheet has them."""


@contextmanager
def serving(told: Verdict) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        guarded(application(lambda: told)), lifespan="off", log_level="error", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def photograph(address: str, goal: Path, dark: bool, width: int) -> Image.Image:
    """What Chromium shows. Raises PeerAbsent where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise PeerAbsent("chromium is not installed")
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={goal}.profile", f"--screenshot={goal}"),
            *(f"--window-size={width},1000", "--virtual-time-budget=2000"),
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            address,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return Image.open(goal).convert("RGB")


@pytest.mark.parametrize(
    ("name", "language", "dark", "width"),
    [
        ("working", "ja", False, 1280),
        ("degraded", "en", True, 1280),
        ("fault", "ja", False, 320),
        ("unprovisioned", "en", False, 320),
    ],
)
def test_the_state_is_seen(
    tmp_path: Path, name: str, language: str, dark: bool, width: int
) -> None:
    told = verdict(name)
    with serving(told) as address:
        picture = photograph(f"{address}/?lang={language}", tmp_path / "page.png", dark, width)
    assert picture.size == (width, 1000)
    colours = {colour: count for count, colour in picture.getcolors(1 << 20) or []}
    share = colours.get(INK[told.colour][dark], 0) / (width * 1000)
    assert share > 0.01, "the state fills a good part of the page"
    others = {ink[dark] for colour, ink in INK.items() if colour != told.colour}
    assert all(colours.get(ink, 0) < colours[INK[told.colour][dark]] / 20 for ink in others)
    paper = picture.getpixel((1, 1))
    margin = {picture.getpixel((width - 2, y)) for y in range(1000)}
    assert margin == {paper}, "nothing reaches beyond the right edge"
