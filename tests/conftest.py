"""For every test: a peer that is not installed leaves its tests out, and nothing is timed."""

from collections.abc import Generator

import pytest
from hypothesis import settings

from tools.hospital.peers import PeerAbsent

# A busy machine is no failure of what is tested.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    yield from _left_out_without_peer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    yield from _left_out_without_peer()


def _left_out_without_peer() -> Generator[None, None, None]:
    try:
        yield
    except PeerAbsent as absent:
        pytest.skip(str(absent))
