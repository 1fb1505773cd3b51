"""For every test: a peer that is not installed leaves its tests out, and they say so."""

from collections.abc import Generator

import pytest

from tools.hospital.peers import PeerAbsent


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
