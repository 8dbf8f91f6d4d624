"""Quantities as people type them on a command line: 2s, 60ms, 1.5, 30%, 20k, 1e6, 4KiB.

The rule it keeps: what cannot be read, or lies outside what makes sense, is an ``argparse.ArgumentTypeError`` that says
what was expected. Each function is an argparse ``type``.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping

_NUMBER = re.compile(r"([+-]?[0-9][0-9_,]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-zµ%]*)")
_TIMES: Mapping[str, float] = {
    "": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60, "m": 60, "h": 3600, "d": 86_400,
}  # fmt: skip
_COUNTS: Mapping[str, float] = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_BYTES: Mapping[str, float] = {
    "": 1, "B": 1, "k": 1e3, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_SHARES: Mapping[str, float] = {"": 1, "%": 0.01}
_RATES: Mapping[str, float] = {**_COUNTS, "Hz": 1}


def _quantity(units: Mapping[str, float], least: float, most: float, expected: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        found = _NUMBER.fullmatch(text.strip())
        scale = units.get(found[2]) if found else None
        value = float(found[1].replace(",", "").replace("_", "")) * scale if found and scale is not None else math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}, expected {expected}")
        return value

    return parse


seconds = _quantity(_TIMES, 1e-6, 1e7, "a time such as 2s, 60ms or 1.5 (seconds)")
pause = _quantity(_TIMES, 0, 1e7, "a time such as 60ms, 0.5 (seconds) or 0")
share = _quantity(_SHARES, 1e-9, 1 - 1e-9, "a share between 0 and 1, such as 30% or 0.3")
spread = _quantity(_SHARES, 0, 5, "a coefficient of variation such as 0.5 or 50%")
rate = _quantity(_RATES, 1e-6, 1e6, "events per second such as 0.5 or 2k")
count = _quantity(_COUNTS, 1, 1e12, "a number of at least 1, such as 20000, 20k or 1e6")
size = _quantity(_BYTES, 1, 1e15, "a size such as 256, 4kB or 16GiB")
cores = _quantity(_COUNTS, 0.1, 1e6, "a number of cores such as 4")
price = _quantity({"": 1}, 0, 1e6, "a price such as 0.04")


def short(value: float) -> str:
    """Write a large number short: 950, 9,640, 1.2 M."""
    if not math.isfinite(value):
        return "?"
    for unit, scale in (("G", 1e9), ("M", 1e6)):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bytes_text(value: float) -> str:
    """Write a size: 640 B, 16.3 KiB, 15.9 GiB."""
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B" if math.isfinite(value) else "?"


def bits_text(value: float) -> str:
    """Write a bandwidth: 1.13 Mbit/s."""
    for unit, scale in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} bit/s" if math.isfinite(value) else "?"


def ranged(estimate: tuple[float, float, float], *, whole: bool = False, said: Callable[[float], str] = short) -> str:
    """Write (value, low, high) as ``1.47 (1.18-1.76)``; without an interval, or with none to see, the value alone."""
    form = "{:,.0f}".format if whole else said
    value, low, high = estimate
    if not math.isfinite(value):
        return "not measured"
    if form(low) == form(high):
        return form(value)
    parts = [form(end).partition(" ") for end in (value, low, high)]
    if len({unit for _, _, unit in parts}) == 1:  # the unit once
        (middle, space, unit), (least, *_), (most, *_) = parts
        return f"{middle} ({least}-{most}){space}{unit}"
    return f"{form(value)} ({form(low)}-{form(high)})"
