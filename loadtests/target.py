"""A target: a server that somebody else has started and that speaks the wire contract; here, where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtests.access import Access
from loadtests.settings import InputError, Settings
from loadtests.transports import TRANSPORTS

KEYS = ("url", "tcp", *(row.name for row in TRANSPORTS.values() if row.scheme == "http"))
"""The keys of ``[target]``: its base address, its STOMP port, and transports that are somewhere else."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is: its base address, its STOMP port, and where a transport connects when that is another place."""

    http: str
    tcp: str | None
    templates: Mapping[str, str]

    def access(self, settings: Settings, transport: str) -> Access:
        """Return how a cell reaches it."""
        version = str(settings.get("tls", "off"))
        named = {key: settings.get(f"load.{key}") for key in ("ca_file", "token_file", "login_file")}
        return Access(
            self.http,
            self.tcp,
            tls_version="" if version == "off" else version,
            insecure=bool(settings.get("load.insecure", False)),
            template=self.templates.get(transport),
            **{key: str(value) if value else None for key, value in named.items()},
        )


def of_table(table: Mapping[str, str]) -> Target:
    """Return the target of a table ``[target]``: ``url``, ``tcp``, and transports' own addresses."""
    templates = {name: url for name, url in table.items() if name in TRANSPORTS}
    base = table.get("url")
    if base is None:
        parts = urlsplit(next(iter(templates.values())))
        base = f"{'https' if parts.scheme in {'https', 'wss'} else 'http'}://{parts.netloc}"
    return Target(base.rstrip("/"), table.get("tcp"), templates)


def check_address(where: str, key: str, value: str) -> None:
    """Refuse what is no address of the kind ``key``, of ``[target]`` or a flag, takes; ``where`` leads up to it."""
    if key.endswith("tcp"):
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(f"{where}{key} = {value}, expected HOST:PORT")
        return
    schemes = ("http", "https") if key in {"url", "--target"} else ("http", "https", "ws", "wss")
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InputError(f"{where}{key} = {value}, expected an address such as {schemes[-2]}://127.0.0.1:8080")
