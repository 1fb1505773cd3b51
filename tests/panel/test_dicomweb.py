"""The DICOM web services, by a client that nobody here wrote, and by hands that mean no good."""

import io
import math
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from dicomweb_client.api import DICOMwebClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from requests import HTTPError, Session
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.files import Folders
from appliance.archive.index import Index
from appliance.panel.dicomweb.asking import MANY
from appliance.panel.dicomweb.attributes import ATTRIBUTES
from appliance.panel.dicomweb.metadata import LARGE
from appliance.panel.dicomweb.services import Archive, Endpoint, routes
from appliance.panel.serving import machine_routes
from tests.panel.houses import TOKEN, House
from tests.unit.archive.material import STUDY, arrive, dicom_file, instance, render_all

CR = "2.25.2"
"""A study without pictures yet."""
ABOUT = {
    "SpecificCharacterSet": "ISO_IR 192",
    "StudyDate": "20240229",
    "StudyTime": "101112.5",
    "AccessionNumber": "A-7",
    "StudyDescription": "胸部 Thorax",
    "PatientName": "Subject^8=被験者^八",
    "StudyID": "S1",
    "SeriesNumber": 12,
    "SeriesDescription": "PA",
}
NO_NUMBER = struct.pack("<d", math.nan)
SERIES, MR = "2.25.1.1", "2.25.1.2"
FRAMES = f"/dicomweb/studies/{STUDY}/series/{MR}/instances/2.25.1.2.4"


def filled(folders: Folders) -> Archive:
    folders.prepare()
    catalogue = Catalogue.open(folders.catalogue)
    try:
        for number in (1, 2, 3):
            arrive(catalogue, folders, instance(number))
        render_all(catalogue, folders)
        mr = instance(4, series=MR, instance="2.25.1.2.4", modality="MR", frames=2)
        arrive(catalogue, folders, mr)
        render_all(catalogue, folders, frames=2, suffix=".png")
        cr = instance(1, study=CR, series="2.25.2.1", instance="2.25.2.1.1", patient="被験者 八")
        arrive(catalogue, folders, cr, dicom_file(cr, **ABOUT))
        catalogue.describe_series(10)
    finally:
        catalogue.close()
    index = Index.of_file(folders.catalogue)
    return Archive(folders, lambda: index)


def unguarded(endpoint: Endpoint) -> Endpoint:
    return endpoint


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    archive = filled(Folders(tmp_path_factory.mktemp("box") / "data"))
    yield archive
    archive.index().close()


@pytest.fixture(scope="module")
def web(archive: Archive) -> TestClient:
    app = Starlette(routes=routes(archive, unguarded))
    return TestClient(app, base_url="https://netty")


@pytest.fixture(scope="module")
def address(archive: Archive) -> Iterator[str]:
    app = Starlette(routes=routes(archive, unguarded))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/dicomweb"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def client(address: str) -> DICOMwebClient:
    session = Session()
    session.trust_env = False
    return DICOMwebClient(address, session=session)


def dataset(result: dict[str, Any]) -> Dataset:
    """A result as pydicom reads it: a wrong VR or value raises."""
    return Dataset.from_json(result)


def test_a_client_finds_studies(client: DICOMwebClient) -> None:
    first, second = map(dataset, client.search_for_studies())
    assert (first.StudyInstanceUID, first.PatientID) == (STUDY, "subject-7")
    assert first.ModalitiesInStudy == ["CT", "MR"]
    assert (first.NumberOfStudyRelatedSeries, first.NumberOfStudyRelatedInstances) == (2, 4)
    # The client names the host without its port.
    assert str(first.RetrieveURL).endswith(f"/dicomweb/studies/{STUDY}")
    assert (first.InstanceAvailability, str(first.PatientName)) == ("ONLINE", "")
    assert second.PatientID == "被験者 八"
    assert {f"{element.tag:08X}" for element in first} <= {tag for tag, _ in ATTRIBUTES.values()}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"StudyInstanceUID": CR}, [CR]),
        ({"PatientID": "被験者*"}, [CR]),
        ({"00100020": "subject-7"}, [STUDY]),
        ({"ModalitiesInStudy": "MR"}, [STUDY]),
        ({"StudyInstanceUID": f"{CR},{STUDY}"}, [STUDY, CR]),
        ({"PatientID": "nobody"}, []),
        ({"StudyDate": "20200101-20240228"}, []),
    ],
)
def test_a_client_searches(
    client: DICOMwebClient, filters: dict[str, str], found: list[str]
) -> None:
    results = client.search_for_studies(search_filters=filters, fields=["all"])
    assert [dataset(one).StudyInstanceUID for one in results] == found


def test_a_client_goes_down_the_levels_page_by_page(client: DICOMwebClient) -> None:
    series = list(map(dataset, client.search_for_series(STUDY)))
    assert [(one.Modality, one.NumberOfSeriesRelatedInstances) for one in series] == [
        ("CT", 3),
        ("MR", 1),
    ]
    assert len(client.search_for_series()) == 3
    in_series = client.search_for_instances(STUDY, SERIES, limit=2, get_remaining=True)
    assert [dataset(one).InstanceNumber for one in in_series] == [1, 2, 3]
    (mr,) = map(
        dataset, client.search_for_instances(search_filters={"SOPInstanceUID": "2.25.1.2.4"})
    )
    assert (mr.SeriesInstanceUID, mr.NumberOfFrames, mr.Modality) == (MR, 2, "MR")
    assert (mr.Rows, mr.Columns, mr.BitsAllocated) == (2, 3, 8)
    assert client.search_for_instances("2.25.99") == []


def test_a_client_gets_pictures(client: DICOMwebClient, archive: Archive) -> None:
    held = archive.folders.picture(STUDY, SERIES, "2.25.1.1.2", None, ".jpg").read_bytes()
    one = (STUDY, SERIES, "2.25.1.1.2")
    assert client.retrieve_instance_rendered(*one) == held
    assert client.retrieve_instance_rendered(*one, media_types=("image/jpeg",)) == held
    frame = client.retrieve_instance_frames_rendered(
        STUDY, MR, "2.25.1.2.4", [2], media_types=("image/png",)
    )
    assert frame == archive.folders.picture(STUDY, MR, "2.25.1.2.4", 2, ".png").read_bytes()
    with pytest.raises(HTTPError, match="406"):
        client.retrieve_instance_rendered(*one, media_types=("image/png",))


def test_several_pictures_come_as_parts(web: TestClient, archive: Archive) -> None:
    answer = web.get(f"/dicomweb/studies/{STUDY}/rendered")
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert not message.defects
    assert [part.get_content_type() for part in parts] == ["image/jpeg"] * 3 + ["image/png"] * 2
    for part, picture in zip(
        parts, archive.index().find_pictures(archive.folders, STUDY), strict=True
    ):
        content = picture.file.read_bytes()
        assert part["Content-Length"] == str(len(content))
        alone = web.get(part["Content-Location"])
        assert (alone.status_code, alone.content) == (200, content)
        assert content in answer.content


def test_a_client_gets_attributes(client: DICOMwebClient, archive: Archive) -> None:
    study = list(map(dataset, client.retrieve_study_metadata(STUDY)))
    assert [one.SOPInstanceUID for one in study] == [
        *(f"2.25.1.1.{number}" for number in (1, 2, 3)),
        "2.25.1.2.4",
    ]
    assert all("PixelData" not in one and one.SpecificCharacterSet == "ISO_IR 192" for one in study)
    (series,) = map(dataset, client.retrieve_series_metadata(STUDY, MR))
    assert (series.Modality, series.NumberOfFrames, series.Rows) == ("MR", 2, 2)
    instance = dataset(client.retrieve_instance_metadata(STUDY, SERIES, "2.25.1.1.2"))
    assert (instance.PatientID, instance.InstanceNumber) == ("subject-7", 2)


def test_attributes_that_json_cannot_say(tmp_path: Path) -> None:
    archive = filled(Folders(tmp_path / "data"))
    file = archive.folders.dicom_file(STUDY, SERIES, "2.25.1.1.1")
    odd = dcmread(file)
    odd.add_new("RedPaletteColorLookupTableData", "OW", bytes(LARGE + 2))
    odd.add_new("ICCProfile", "OB", bytes(8))
    odd[0x00200013] = RawDataElement(Tag(0x00200013), "IS", 4, b"abc ", 0, True, True)
    odd[0x00189087] = RawDataElement(Tag(0x00189087), "FD", 8, NO_NUMBER, 0, True, True)
    odd[0x00281052] = RawDataElement(Tag(0x00281052), "DS", 6, b"1e999 ", 0, True, True)
    odd.save_as(file)
    archive.folders.dicom_file(STUDY, SERIES, "2.25.1.1.2").unlink()
    box = TestClient(Starlette(routes=routes(archive, unguarded)))
    series = f"/dicomweb/studies/{STUDY}/series/{SERIES}"
    first, third = box.get(f"{series}/metadata").json()
    assert "00281201" not in first
    assert "00200013" not in first
    assert "00189087" not in first
    assert "00281052" not in first
    assert first["00080005"]["Value"] == ["ISO_IR 192"]
    assert first["00080060"]["Value"] == ["CT"]
    assert "InlineBinary" in first["00282000"]
    assert third["00080018"]["Value"] == ["2.25.1.1.3"]
    assert box.get(f"{series}/metadata", headers={"Accept": "text/html"}).status_code == 406
    assert box.get("/dicomweb/studies/2.25.99/metadata").status_code == 404
    assert box.get("/dicomweb/studies/..x/metadata").status_code == 400
    archive.index().close()


@pytest.mark.parametrize("keyword", ["InstanceNumber", "Modality", "SOPInstanceUID"])
def test_as_many_values_as_a_key_may_have(web: TestClient, keyword: str) -> None:
    form = {"InstanceNumber": "{}", "Modality": "M{}*", "SOPInstanceUID": "2.25.1.1.{}"}[keyword]
    for many, answers in ((MANY, (200, 204)), (MANY + 1, (400,))):
        values = "\\".join(map(form.format, range(1, many + 1)))
        answer = web.get("/dicomweb/instances", params={keyword: values})
        assert answer.status_code in answers, answer.text


@pytest.mark.parametrize("content", [b"", bytes(1000), b"no DICOM file"])
def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path, content: bytes) -> None:
    archive = filled(Folders(tmp_path / "data"))
    archive.folders.dicom_file(STUDY, SERIES, "2.25.1.1.2").write_bytes(content)
    box = TestClient(Starlette(routes=routes(archive, unguarded)))
    first, third = box.get(f"/dicomweb/studies/{STUDY}/series/{SERIES}/metadata").json()
    assert first["00080018"]["Value"] == ["2.25.1.1.1"]
    assert third["00080018"]["Value"] == ["2.25.1.1.3"]
    archive.index().close()


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"{FRAMES}/rendered", 'multipart/related; type="image/png"', 200),
        (f"{FRAMES}/rendered", "multipart/related; type=image/jpeg", 406),
        (f"{FRAMES}/rendered", "image/png", 406),
        (f"{FRAMES}/rendered", "*/*", 200),
        (f"{FRAMES}/frames/1,2/rendered", "multipart/related;type=image/*", 200),
        (f"{FRAMES}/frames/1/rendered", 'multipart/related; type="image/png"', 200),
        (f"{FRAMES}/frames/1/rendered", "image/png;q=0.5, image/gif", 200),
        (f"{FRAMES}/frames/1/rendered", "image/png;q=0, */*", 406),
        (f"{FRAMES}/frames/1/rendered", "text/html", 406),
        (f"{FRAMES}/frames/1/thumbnail", "image/gif", 406),
        ("/dicomweb/studies", "application/dicom+json", 200),
        ("/dicomweb/studies", "application/json", 200),
        ("/dicomweb/studies", 'multipart/related; type="application/dicom+xml"', 406),
        ("/dicomweb/studies", "application/dicom+xml, application/dicom+json;q=0.1", 200),
    ],
)
def test_what_is_accepted(web: TestClient, path: str, accept: str, status: int) -> None:
    by_header = web.get(path, headers={"Accept": accept})
    by_query = web.get(path, params={"accept": accept}, headers={"Accept": "text/html"})
    assert (by_header.status_code, by_query.status_code) == (status, status)
    if status == 200:
        got = by_header.headers["content-type"]
        assert got.partition(";")[0] in (accept.partition(";")[0], "application/dicom+json") or (
            accept.startswith(("*/*", "image/png;q"))
        )


@pytest.mark.parametrize(
    "level", ["", f"/series/{SERIES}", f"/series/{SERIES}/instances/2.25.1.1.1"]
)
@pytest.mark.parametrize("viewport", [None, "2,2", "64,64"])
def test_thumbnails(web: TestClient, level: str, viewport: str | None) -> None:
    params = {"viewport": viewport} if viewport else {}
    answer = web.get(f"/dicomweb/studies/{STUDY}{level}/thumbnail", params=params)
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as image:
        # The pictures are of 5 by 3 pixels; none is made larger.
        assert image.size == ((2, 1) if viewport == "2,2" else (5, 3))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40), "half"])
def test_a_damaged_picture_is_said_to_be(tmp_path: Path, content: bytes | str) -> None:
    archive = filled(Folders(tmp_path / "data"))
    file = archive.folders.picture(STUDY, MR, "2.25.1.2.4", 1, ".png")
    file.write_bytes(content if isinstance(content, bytes) else file.read_bytes()[:-30])
    web = TestClient(Starlette(routes=routes(archive, unguarded)), base_url="https://netty")
    answer = web.get(f"{FRAMES}/frames/1/thumbnail")
    assert (answer.status_code, answer.text) == (404, "the picture is damaged on the disk\n")
    archive.index().close()


def test_a_viewport_of_one_picture(web: TestClient) -> None:
    params = {"viewport": "3,3", "quality": "10"}
    answer = web.get(f"{FRAMES}/frames/2/rendered", params=params, headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.size, image.format) == ((3, 2), "PNG")


@pytest.mark.parametrize(
    "path",
    [
        "/studies?limit=-1",
        "/studies?offset=1.5",
        "/studies?limit=99999999999999999999",
        "/studies?fuzzymatching=perhaps",
        "/studies?NoSuchAttribute=1",
        "/studies?SOPInstanceUID=1.2",
        "/studies?StudyInstanceUID=../../etc",
        "/studies?StudyInstanceUID=,",
        "/studies?PatientID=a&00100020=b",
        f"/studies/{STUDY}/series?StudyInstanceUID={CR}",
        "/studies?includefield=a;b",
        "/instances?InstanceNumber=one",
        "/studies/1.2.x/series",
        "/studies/..%2f1/rendered",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/0x1/rendered",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/1/rendered?viewport=1",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/1/rendered?viewport=0,5",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/1/rendered?quality=101",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/1/rendered?window=40,400,linear",
        f"/studies/{STUDY}/rendered?viewport=64,64",
    ],
)
def test_what_cannot_be_understood_is_told(web: TestClient, path: str) -> None:
    answer = web.get(f"/dicomweb{path}")
    assert answer.status_code == (404 if "%2f" in path else 400)
    assert answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/studies/2.25.99/rendered",
        f"/studies/{CR}/rendered",
        f"/studies/{CR}/thumbnail",
        f"/studies/{CR}/series/{SERIES}/rendered",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/3/rendered",
        f"{FRAMES.removeprefix('/dicomweb')}/frames/0/rendered",
        "/nothing",
        "/studies/",
    ],
)
def test_what_is_not_here(web: TestClient, path: str) -> None:
    assert web.get(f"/dicomweb{path}", follow_redirects=False).status_code in (404, 307)


def test_studies_and_series_say_when_and_what_was_made(client: DICOMwebClient) -> None:
    plain, study = map(dataset, client.search_for_studies())
    assert not plain.StudyDate and not plain.StudyDescription
    assert (study.StudyDate, study.StudyTime) == ("20240229", "101112.5")
    assert (study.AccessionNumber, study.StudyID) == ("A-7", "S1")
    assert study.StudyDescription == "胸部 Thorax"
    assert study.PatientName.ideographic == "被験者^八"
    (series,) = map(dataset, client.search_for_series(CR))
    assert (series.SeriesNumber, series.SeriesDescription) == (12, "PA")
    assert series.StudyDate == "20240229"
    (one,) = map(dataset, client.search_for_instances(CR))
    assert (one.StudyDate, one.StudyDescription) == ("20240229", "胸部 Thorax")
    assert (one.SeriesNumber, one.SeriesDescription) == (12, "PA")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("StudyDate", "20240101-20241231"),
        ("00080020", "-20240229"),
        ("StudyDate", "20240229"),
        ("StudyTime", "1011-1012"),
        ("StudyTime", "09-10"),
        ("AccessionNumber", "A-?"),
        ("StudyDescription", "*thorax*".replace("t", "T")),
        ("PatientName", "Subject^8*"),
        ("StudyID", "S1"),
    ],
)
def test_studies_are_found_by_what_files_say(client: DICOMwebClient, key: str, value: str) -> None:
    (found,) = client.search_for_studies(search_filters={key: value})
    assert dataset(found).StudyInstanceUID == CR
    assert len(client.search_for_series(search_filters={key: value})) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("StudyDate", "20240301-"), ("StudyDate", "-20240228"), ("StudyTime", "1012-"),
     ("AccessionNumber", "a-7"), ("PatientSex", "M")],
)  # fmt: skip
def test_what_is_not_said_matches_nothing(client: DICOMwebClient, key: str, value: str) -> None:
    assert client.search_for_studies(search_filters={key: value}) == []


@pytest.mark.parametrize(
    ("level", "key", "value"),
    [("studies", "StudyDate", "2024"), ("studies", "StudyDate", "-"), ("studies", "StudyTime", "1"),
     ("series", "SeriesNumber", "one"), ("studies", "SeriesNumber", "1")],
)  # fmt: skip
def test_keys_that_are_written_wrongly_are_refused(
    web: TestClient, level: str, key: str, value: str
) -> None:
    answer = web.get(f"/dicomweb/{level}", params={key: value})
    assert answer.status_code == 400
    assert key in answer.text


def test_nothing_found(web: TestClient) -> None:
    answer = web.get("/dicomweb/studies", params={"AccessionNumber": "7", "fuzzymatching": "true"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "fuzzymatching is not supported" in answer.headers["warning"]
    assert web.get("/dicomweb/studies", params={"AccessionNumber": ""}).status_code == 200
    limited = web.get("/dicomweb/studies", params={"limit": "1"})
    assert len(limited.json()) == 1
    assert "additional results" in limited.headers["warning"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_for_reading(web: TestClient, method: str) -> None:
    for path in ("/dicomweb/studies", f"{FRAMES}/rendered"):
        assert web.request(method, path, content=b"{}").status_code == 405


def test_several_frames_move_where_that_is_wanted(tmp_path: Path) -> None:
    archive = filled(Folders(tmp_path / "data"))
    moving = archive.folders.picture(STUDY, MR, "2.25.1.2.4", None, ".webp")
    Image.new("L", (5, 3)).save(moving, "WEBP")
    with closing(sqlite3.connect(archive.folders.catalogue, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO pictures SELECT id, 0, '.webp', 5, 3, 50 FROM instances WHERE frames = 2"
        )
    box = TestClient(Starlette(routes=routes(archive, unguarded)))
    alone = box.get(f"{FRAMES}/rendered", headers={"Accept": "image/webp"})
    assert (alone.headers["content-type"], alone.content) == ("image/webp", moving.read_bytes())
    parts = box.get(f"{FRAMES}/rendered")
    assert parts.headers["content-type"].startswith('multipart/related; type="image/png"')
    assert parts.content.count(b"Content-Location") == 2
    for path in (f"{FRAMES}/frames/0/rendered", f"{FRAMES}/frames/1/rendered"):
        answer = box.get(path, headers={"Accept": "image/webp"})
        assert answer.status_code == (404 if "/0/" in path else 406)
    archive.index().close()


def test_nobody_gets_past_the_guard(archive: Archive) -> None:
    def closed(endpoint: Endpoint) -> Endpoint:
        async def refuse(request: object) -> Response:
            return Response(status_code=401)

        return refuse

    guarded = routes(archive, closed)
    shut = TestClient(Starlette(routes=guarded))
    values = {"study": STUDY, "series": SERIES, "instance": "2.25.1.1.1", "frames": "1"}
    for route in guarded:
        assert shut.get(route.path.format(**values)).status_code == 401


def test_behind_the_page_a_token_is_needed(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.fill(2, 2)
    house.machines = machine_routes(house.sources())
    longest = "/".join(f"{name}/2.25.{'1' * 59}" for name in ("studies", "series", "instances"))
    token = {"Authorization": f"Bearer {TOKEN}"}
    for path, status in (
        ("/dicomweb/studies", 200),
        ("/dicomweb/studies/2.25.1/series/2.25.1.1/thumbnail", 200),
        (f"/dicomweb/{longest}/frames/1,2,3/rendered", 404),
        ("/metrics", 200),
    ):
        assert house.client().get(path).status_code == 401
        assert house.technician().get(path).status_code == 401, "a login is no token"
        assert house.client().get(path, headers=token).status_code == status
        assert house.client(secure=False).get(path, headers=token).status_code == 404
    studies = house.client().get("/dicomweb/studies", headers=token).json()
    assert studies[0]["00081190"]["Value"] == ["https://netty/dicomweb/studies/2.25.1"]


def test_without_a_catalogue_it_is_told(tmp_path: Path) -> None:
    def none() -> Index:
        raise CatalogueFailed("there is no catalogue")

    app = Starlette(routes=routes(Archive(Folders(tmp_path), none), unguarded))
    answer = TestClient(app).get("/dicomweb/studies")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


def test_a_picture_that_has_gone(tmp_path: Path) -> None:
    archive = filled(Folders(tmp_path / "data"))
    archive.folders.picture(STUDY, SERIES, "2.25.1.1.1", None, ".jpg").unlink()
    gone = TestClient(Starlette(routes=routes(archive, unguarded)))
    for what in ("rendered", "thumbnail"):
        path = f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/2.25.1.1.1/{what}"
        assert gone.get(path).status_code == 404
    archive.index().close()


names = st.one_of(
    st.sampled_from(
        ("limit", "offset", "includefield", "accept", "viewport", "quality", *ATTRIBUTES)
    ),
    st.text(max_size=12),
)
words = st.one_of(st.text(max_size=40), st.from_regex(r"[-*?.,\\0-9\[\]]{0,20}", fullmatch=True))
uids = st.one_of(st.sampled_from((STUDY, CR, SERIES, MR, "2.25.1.1.1")), st.text(max_size=70))


@given(
    st.lists(st.tuples(names, words), max_size=4),
    st.sampled_from(("/studies", "/series", "/instances")),
    words.filter(lambda text: text.isascii() and text.isprintable()),
)
def test_any_search_is_answered(
    web: TestClient, pairs: list[tuple[str, str]], path: str, accept: str
) -> None:
    answer = web.get(f"/dicomweb{path}", params=pairs, headers={"Accept": accept})
    assert answer.status_code in (200, 204, 400, 406)


@given(
    st.lists(uids, min_size=4, max_size=4),
    st.lists(st.tuples(names, words), max_size=2),
    st.sampled_from(("rendered", "thumbnail")),
)
def test_any_picture_is_answered(
    web: TestClient, uids: list[str], pairs: list[tuple[str, str]], what: str
) -> None:
    study, series, instance, frames = (quote(uid, safe="") for uid in uids)
    below = f"studies/{study}/series/{series}/instances/{instance}/frames/{frames}/{what}"
    assert web.get(f"/dicomweb/{below}", params=pairs).status_code in (200, 400, 404, 406, 307)
