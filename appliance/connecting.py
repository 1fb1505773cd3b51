"""A connection self-test by hand, shown hop by hop."""

from collections.abc import Callable

from appliance.archive.hops import ConnectionTest, Hop
from appliance.archive.place import Place
from appliance.asking import asking
from appliance.settings.model import Settings

Show = Callable[[Hop], None]


def try_connection(settings: Settings, place: Place, remote: str, show: Show) -> ConnectionTest:
    """Test the connection to `remote`, and return what was found; `show` is told hop by hop.

    Raises NobodyServes, or CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    with asking(settings, place) as ae:
        number = ae.requests.ask_test(remote)
        shown = 0

        def outcome() -> ConnectionTest | None:
            nonlocal shown
            test = ae.requests.find_test(number)
            for hop in test.hops[shown:]:
                show(hop)
            shown = len(test.hops)
            return test if test.state == "finished" else None

        return ae.until(outcome)
