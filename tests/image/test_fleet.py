"""A fleet's server, as hawkBit's own client for RAUC finds it by our configuration."""

from pathlib import Path

import pytest

from appliance.provisioning.system import FLEET, files
from appliance.settings.model import Fleet, Settings
from tests.image.downloads import served
from tests.image.fleet import Client, FleetServer, NoClient
from tests.unit.dicom.certificates import authority, signed
from tools.imaging.cache import cache_from_environment
from tools.imaging.programs import ImageFailed, ProgramAbsent


def test_a_server_that_cannot_prove_who_it_is_is_told_nothing(tmp_path: Path) -> None:
    """The client takes our configuration whole, asks, and keeps the token to itself."""
    try:
        client = Client.of(cache_from_environment(), tmp_path / "client")
    except (NoClient, ProgramAbsent, ImageFailed) as absent:
        pytest.skip(str(absent))
    stranger = authority(tmp_path, "stranger")
    certificate = signed(tmp_path, "server", stranger).files(tmp_path / "server")
    server = FleetServer("box", "token", tmp_path / "none.raucb")
    configuration = tmp_path / "hawkbit.conf"
    with served(server.application, *certificate) as port:
        settings = Settings(1, fleet=Fleet(f"https://127.0.0.1:{port}", server.token))
        configuration.write_text(files(settings)[FLEET])
        with pytest.raises(ImageFailed, match="certificate"):
            client.run("--run-once", "--config-file", configuration)
    assert not server.intruders and not server.identity
