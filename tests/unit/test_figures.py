"""The figures of tools/bench: medians, ratios run by run, verdicts."""

import pytest

from tools.benchmark.figures import Row, Sample, interleaved, table

TEN = Sample((10.0, 12.0, 8.0))
FIVE = Sample((5.0, 3.0, 8.0))


def test_a_ratio_compares_what_was_measured_side_by_side() -> None:
    rate = Row("rate", "images/s", TEN, "peer", FIVE)
    assert rate.ratio is not None
    assert rate.ratio.values == (2.0, 4.0, 1.0)
    duration = Row("duration", "s", TEN, "peer", FIVE, more_is_better=False)
    assert duration.ratio is not None
    assert duration.ratio.values == (0.5, 0.25, 1.0)


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("", "", TEN, "peer", FIVE, at_least=2.0), True),
        (Row("", "", TEN, "peer", FIVE, at_least=2.1), False),
        (Row("", "", TEN, at_most=10.0), True),
        (Row("", "", TEN, at_most=9.9), False),
        (Row("", "", TEN, "peer", FIVE, at_most=9.9), False),
        (Row("", "", TEN, "peer", FIVE), None),
    ],
)
def test_a_verdict_is_that_of_the_median(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_runs_with_different_counts_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        TEN.over(Sample((1.0,)))


def test_contestants_are_measured_in_turn() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = interleaved(
        2, {name: lambda name=name: measure(name) for name in "ab"}, lambda text: None
    )
    assert order == ["a", "b", "a", "b"]
    assert samples == {"a": Sample((1.0, 3.0)), "b": Sample((2.0, 4.0))}


def test_the_table_says_what_is_missed() -> None:
    rows = [Row("size", "MiB", TEN, at_most=9), Row("rate", "/s", TEN, "peer", FIVE, at_least=1)]
    lines = table(rows).splitlines()
    assert lines[2] == "| size | 10.0 (8.00 to 12.0) MiB | – | – | ≤ 9 MiB | **missed** |"
    assert lines[3].endswith("| peer: 5.00 (3.00 to 8.00) | 2.00 (1.00 to 4.00) | ≥ 1 | met |")
