"""The rest of a study, in parts: what a remote did not send when it was asked for the whole.

Some remotes stop at the first instance that they cannot send, and what comes after it never
arrives, however often the study is asked for. Asked for by itself, it does.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from appliance.dicom.scu import LARGEST_LIST, OneInstance

REQUESTS = 24
"""Requests for the rest of a study, at most: each has an association of its own."""

FRUITLESS = 6
"""Requests in a row that bring nothing, after which the rest is left for another time."""


@dataclass(slots=True)
class Rest:
    """Parts to be asked for, one after the other; what does not come of one is asked for in halves.

    `listed` are the remote's UIDs of mapped SOP Instance UIDs.
    """

    listed: Mapping[str, OneInstance]
    _parts: deque[tuple[str, ...]] = field(default_factory=deque)
    _patience: int = FRUITLESS

    def parts(self, missing: Collection[str], reaches_us: bool) -> Iterator[tuple[str, ...]]:
        """Yield the parts of `missing`, each of one series; say each time what is `left` of it.

        Where it is not known whether the remote reaches us, one instance is asked for first, and
        nothing more if it does not come.
        """
        self._parts.extend(self._of_series(missing))
        if not reaches_us and self._parts:
            self._parts.appendleft(self._parts[0][:1])
            self._patience = 1
        for _ in range(REQUESTS):
            if not self._parts or not self._patience:
                return
            yield self._parts.popleft()

    def left(self, part: Collection[str], missing: Collection[str]) -> None:
        """Say that, of `part`, `missing` did not come."""
        lacking = [instance for instance in part if instance in missing]
        self._patience = FRUITLESS if len(lacking) < len(part) else self._patience - 1
        if len(lacking) > 1:
            middle = len(lacking) // 2
            self._parts.extend((tuple(lacking[:middle]), tuple(lacking[middle:])))

    def _of_series(self, missing: Collection[str]) -> Iterator[tuple[str, ...]]:
        """Instances whose series is not known cannot be asked for (PS3.4 Section C.4.2.2.1)."""
        by_series: dict[str, list[str]] = {}
        for instance in sorted(missing):
            if series := self.listed[instance].series:
                by_series.setdefault(series, []).append(instance)
        for instances in by_series.values():
            for start in range(0, len(instances), LARGEST_LIST):
                yield tuple(instances[start : start + LARGEST_LIST])
