"""For the tests against real peers."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark that pynetdicom puts on cases of its own suite."""
    config.addinivalue_line("markers", "serial: of pynetdicom's suite, without meaning here")
