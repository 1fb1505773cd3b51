"""Quantities: every whole number of the base unit, and every mistake with its remedy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.settings.kinds import Mistake
from appliance.settings.units import DAY, GIB, HOUR, KIB, MIB, TIB, Duration, Size

SIZE = Size(4 * KIB, 64 * TIB)
TIME = Duration(0, 36500 * DAY)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "4096 B", 4096),
        (SIZE, "4 KiB", 4 * KIB),
        (SIZE, "16KiB", 16 * KIB),
        (SIZE, "3   MiB", 3 * MIB),
        (SIZE, "1.5 GiB", 3 * GIB // 2),
        (SIZE, "64 TiB", 64 * TIB),
        (TIME, "0 s", 0),
        (TIME, "1000 s", 1000),
        (TIME, "15 min", 900),
        (TIME, "6 h", 6 * HOUR),
        (TIME, "0.5 h", 1800),
        (TIME, "1 day", DAY),
        (TIME, "30 days", 30 * DAY),
    ],
)
def test_a_quantity_is_read_in_its_base_unit(kind, text, value):
    assert kind.read(text) == value


@settings(deadline=None)
@given(st.integers(4 * KIB, 64 * TIB))
def test_every_size_reads_back_as_written(value):
    assert SIZE.read(SIZE.text(value)) == value


@settings(deadline=None)
@given(st.integers(0, 36500 * DAY))
def test_every_time_reads_back_as_written(value):
    assert TIME.read(TIME.text(value)) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (SIZE, 16384, '"16 KiB"'),
        (SIZE, 16385, '"16385 B"'),
        (TIME, 900, '"15 min"'),
        (TIME, 1000, '"1000 s"'),
        (TIME, 0, '"0 s"'),
        (TIME, DAY, '"1 day"'),
        (TIME, 25 * HOUR, '"25 h"'),
    ],
)
def test_a_quantity_is_written_in_the_largest_unit_without_a_fraction(kind, value, text):
    assert kind.write(value) == text


@pytest.mark.parametrize(
    ("kind", "written", "remedy"),
    [
        (Size(4 * KIB, 128 * KIB), 16384, '"16384 B"'),
        (Size(4 * KIB, 128 * KIB), 16, '"16 KiB"'),
        (Size(4 * KIB, 128 * KIB), "16", '"16 KiB"'),
        (Duration(1, 7 * DAY), 15, '"15 s" or "15 min" or "15 h"'),
        (Duration(1, 7 * DAY), 0, "a number and its unit in quotes, from 1 s to 7 days"),
        (Duration(1, 7 * DAY), -5, "a number and its unit in quotes, from 1 s to 7 days"),
        (Duration(1, 7 * DAY), True, "a number and its unit in quotes"),
        (Duration(1, 7 * DAY), 1.5, "a number and its unit in quotes"),
        (Duration(1, 7 * DAY), "", "a number and its unit"),
        (Duration(1, 7 * DAY), "soon", "a number and its unit"),
        (Duration(1, 7 * DAY), "-1 s", "a number and its unit"),
        (Duration(1, 7 * DAY), "1e3 s", "a number and its unit"),
        (Duration(1, 7 * DAY), "5 minutes", 'did you mean "5 min"?'),
        (Duration(1, 7 * DAY), "5 Min", 'did you mean "5 min"?'),
        (Duration(1, 7 * DAY), "5 m", 'did you mean "5 min"?'),
        (Duration(1, 7 * DAY), "５分", 'did you mean "5 min"?'),
        (Duration(1, 7 * DAY), " 5 s", 'did you mean "5 s"?'),
        (Duration(1, 7 * DAY), "5 weeks", "its unit is one of s, min, h, days"),
        (Duration(1, 7 * DAY), "8 days", "write less: from 1 s to 7 days"),
        (Duration(1, 7 * DAY), "0 s", "write more: from 1 s to 7 days"),
        (Duration(1, 7 * DAY), "1.5 s", "in a smaller unit, without a fraction"),
        (Size(0, TIB), "1 KB", 'did you mean "1 KiB"?'),
        (Size(0, TIB), "1 gb", 'did you mean "1 GiB"?'),
        (Size(0, TIB), "0.3 B", "in a smaller unit, without a fraction"),
        (Size(0, TIB), "9" * 19 + " B", "a number and its unit"),
    ],
)
def test_every_mistake_names_its_remedy(kind, written, remedy):
    with pytest.raises(Mistake) as caught:
        kind.read(written)
    assert remedy in caught.value.remedy
    assert kind.text(kind.highest) in caught.value.expected


@settings(deadline=None)
@given(st.text() | st.integers() | st.floats() | st.lists(st.integers()))
def test_anything_is_read_within_the_limits_or_is_a_mistake(written):
    try:
        value = TIME.read(written)
    except Mistake:
        return
    assert 0 <= value <= 36500 * DAY
