"""Transports are found by file name: there is no list of them to keep.

The rule: transport ``x`` is served by ``servers/x.py``, or, when one module serves several, by the file that is
called like the part before an underscore (``stomp.py`` serves ``stomp_tcp``); a module is a transport's when it has
``NAMES``. Only what is asked for is imported, for a benchmark starts dozens of servers.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
from typing import Protocol, cast

import servers
from servers.site import Site


class Transport(Protocol):
    """A transport's module, as the application sees it."""

    NAMES: tuple[str, ...]

    def mount(self, site: Site, name: str) -> None:
        """Put transport ``name`` on the site."""


def _load(module: str) -> Transport | None:
    """Import ``servers.<module>`` if it is there and a transport's."""
    if not module.isidentifier() or module.startswith("_") or importlib.util.find_spec(f"servers.{module}") is None:
        return None
    loaded = importlib.import_module(f"servers.{module}")
    return cast("Transport", loaded) if hasattr(loaded, "NAMES") else None


def everything() -> dict[str, Transport]:
    """Return every transport there is, by name; imports all of them."""
    modules = (_load(info.name) for info in pkgutil.iter_modules(servers.__path__))
    return {name: module for module in modules if module is not None for name in module.NAMES}


def named(word: str) -> dict[str, Transport]:
    """Return the transports a word of the command line means: ``all`` of them, one, or none."""
    if word == "all":
        return everything()
    module = word
    while module:
        found = _load(module)
        if found is not None and word in found.NAMES:
            return {word: found}
        module = module.rpartition("_")[0]
    return {}


def add_arguments(parser: argparse.ArgumentParser, transports: dict[str, Transport]) -> None:
    """Let each transport's module that has settings of its own declare them, once."""
    for module in dict.fromkeys(transports.values()):
        declare = getattr(module, "arguments", None)
        if declare is not None:
            declare(parser)
