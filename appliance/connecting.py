"""A connection self-test by hand: through the AE that runs on this archive, or by running one."""

import time
from collections.abc import Callable
from contextlib import closing

from appliance.archive.catalogue import CatalogueInUse
from appliance.archive.hops import ConnectionTest, Hop
from appliance.archive.lock import owner
from appliance.archive.place import Place
from appliance.archive.requests import Requests
from appliance.fetching import LOOK_EVERY, PATIENCE, NobodyServes
from appliance.service import Service
from appliance.settings.model import Settings

Show = Callable[[Hop], None]


def try_connection(settings: Settings, place: Place, remote: str, show: Show) -> ConnectionTest:
    """Test the connection to `remote`, and return what was found; `show` is told hop by hop.

    Raises NobodyServes, or CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    try:
        service = Service(settings, place, scheduled=False)
    except CatalogueInUse:
        with closing(Requests.open(place.folders.requests)) as requests:
            return _follow(
                requests, remote, show, served=lambda: owner(place.folders.lock) is not None
            )
    service.start()
    try:
        return _follow(service.requests, remote, show, served=lambda: True)
    finally:
        service.stop()


def _follow(
    requests: Requests, remote: str, show: Show, served: Callable[[], bool]
) -> ConnectionTest:
    number = requests.ask_test(remote)
    shown, last_served = 0, time.monotonic()
    while True:
        test = requests.find_test(number)
        for hop in test.hops[shown:]:
            show(hop)
        shown = len(test.hops)
        now = time.monotonic()
        if test.state == "finished":
            return test
        if served():
            last_served = now
        elif now - last_served > PATIENCE:
            raise NobodyServes("the AE that runs on this archive has ended; start it again")
        time.sleep(LOOK_EVERY)
