"""Quantities as people type them."""

import argparse

import pytest

from analysis import units


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.seconds, "2s", 2), (units.seconds, "60ms", 0.06), (units.seconds, "1.5", 1.5),
        (units.seconds, "2 min", 120), (units.seconds, "500us", 5e-4), (units.pause, "0", 0),
        (units.share, "30%", 0.3), (units.share, ".5", 0.5),
        (units.count, "1e6", 1e6), (units.count, "20k", 20_000), (units.count, "20,000", 20_000),
        (units.rate, "2k", 2000), (units.size, "16GiB", 16 * 2**30), (units.size, "4kB", 4000),
    ],
)  # fmt: skip
def test_read(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.seconds, "soon"), (units.seconds, "0"), (units.seconds, "-1s"), (units.seconds, "2 parsecs"),
        (units.seconds, "nan"), (units.seconds, "inf"), (units.seconds, ""), (units.share, "130%"), (units.share, "0"),
        (units.count, "0"), (units.count, "many"), (units.rate, "-3"), (units.size, "1XB"),
    ],
)  # fmt: skip
def test_refused_with_what_was_expected(parse, text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        parse(text)


def test_written():
    nan = float("nan")
    assert [units.short(v) for v in (0.5, 95.4, 9640.2, 1.2e6, 3e9, nan)] == [
        "0.5",
        "95.4",
        "9,640",
        "1.2 M",
        "3 G",
        "?",
    ]
    assert [units.bytes_text(v) for v in (640, 16.3 * 1024, 1.59e10, 2**41, nan)] == [
        "640 B", "16.3 KiB", "14.8 GiB", "2 TiB", "?",
    ]  # fmt: skip
    assert [units.bits_text(v) for v in (5, 1.13e6, 2e9, nan)] == ["5 bit/s", "1.13 Mbit/s", "2 Gbit/s", "?"]


def test_an_interval_names_its_unit_once_where_it_is_one():
    assert units.ranged((3.6e8, 3.59e8, 3.61e8), said=units.bits_text) == "360 (359-361) Mbit/s"
    assert units.ranged((1e9, 9e8, 1.1e9), said=units.bits_text) == "1 Gbit/s (900 Mbit/s-1.1 Gbit/s)"
    assert units.ranged((1e6, 1e6, 1e6)) == "1 M"
