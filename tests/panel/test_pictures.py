"""The pictures that pages show: whole for one that is looked at, small ones in lists and strips."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.panel.houses import House

WHOLE = "/pictures/1/0"
SMALL = f"{WHOLE}/small"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.fill(1, 10)
    return house


@pytest.fixture
def technician(house: House) -> TestClient:
    return house.technician()


def file_of(house: House) -> Path:
    return house.folders.picture("2.25.1", "2.25.1.1", "2.25.1.1.1", None, ".jpg")


def images(technician: TestClient, path: str) -> list[str]:
    found: list[str] = re.findall("<img [^>]*>", technician.get(path).text)
    return found


@pytest.mark.parametrize(
    ("mode", "form", "shape", "shown"),
    [
        ("L", "JPEG", (2000, 1000), (320, 160)),
        ("RGB", "PNG", (700, 1400), (160, 320)),
        ("RGB", "JPEG", (100, 60), (100, 60)),
    ],
)
def test_a_small_picture_fits_and_keeps_its_shape(
    house: House,
    technician: TestClient,
    mode: str,
    form: str,
    shape: tuple[int, int],
    shown: tuple[int, int],
) -> None:
    Image.new(mode, shape, "gray").save(file_of(house), form)
    answer = technician.get(SMALL)
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", mode, shown)
        assert 120 < image.convert("L").getpixel((30, 30)) < 136  # type: ignore[operator]


def test_of_an_animation_there_is_a_still(house: House, technician: TestClient) -> None:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue")]
    frames[0].save(file_of(house), "WEBP", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(technician.get(SMALL).content)) as image:
        red, _, blue = image.getpixel((100, 100))  # type: ignore[misc]
        assert (image.size, red > 200, blue < 60) == ((320, 240), True, True)


@pytest.mark.parametrize("path", [WHOLE, SMALL])
def test_a_browser_keeps_it_to_itself_until_it_is_made_anew(
    house: House, technician: TestClient, path: str
) -> None:
    first = technician.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    again = technician.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    for answer in (first, again):
        assert answer.headers["cache-control"] == "private, max-age=600"
        assert answer.headers["etag"] == first.headers["etag"]
    Image.new("L", (50, 40)).save(file_of(house), "JPEG")
    anew = technician.get(path, headers=known)
    assert anew.status_code == 200
    assert anew.content != first.content


def test_what_one_may_not_see_any_more_is_not_confirmed(house: House) -> None:
    known = {"If-None-Match": house.technician().get(SMALL).headers["etag"]}
    assert house.client().get(SMALL, headers=known).status_code == 303


def test_a_picture_that_is_broken_or_gone_is_not_there(house: House) -> None:
    technician = house.technician()
    file_of(house).write_bytes(b"no picture")
    assert technician.get(SMALL).status_code == 404
    file_of(house).unlink()
    assert [technician.get(path).status_code for path in (WHOLE, SMALL)] == [404, 404]


@pytest.mark.parametrize(("path", "count"), [("/studies", 1), ("/studies/1", 10)])
def test_lists_load_small_pictures(technician: TestClient, path: str, count: int) -> None:
    shown = images(technician, path)
    assert len(shown) == count
    assert all(_is_light(image) for image in shown)


def test_only_the_picture_that_is_looked_at_is_whole(technician: TestClient) -> None:
    large, *strip = images(technician, "/studies/1/1")
    assert f'class="large" src="{WHOLE}"' in large
    assert len(strip) == 5
    assert all(_is_light(image) for image in strip)


def _is_light(image: str) -> bool:
    """It is small, loads when it is scrolled to, and has its room before it comes."""
    wanted = (r'src="/pictures/\d+/0/small"', 'loading="lazy"', 'width="256" height="256"')
    return all(re.search(one, image) for one in wanted)
