"""How a server is reached, and what it takes to be let in: addresses, TLS, a bearer token, STOMP's login.

Rule: secrets stay in their files. What is written down (plan.json, run.json, command lines, messages) names the files.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests import tls
from loadtests.settings import InputError, Settings


class AccessError(Exception):
    """A file that is needed to reach the server cannot be used; the message says which key names it, and why."""


@dataclass(frozen=True, slots=True)
class Access:
    """One server: ``http`` is its base address, ``tcp`` (``HOST:PORT``) that of its STOMP port, None when unknown.

    ``tls_version`` is ``1.2`` or ``1.3``, or empty for what both ends speak; ``ca_file`` holds the authorities to trust
    instead of the system's. ``template`` is where a transport's subscribers connect when that is not the path of the
    wire contract under ``http``; ``{topic}`` in it stands for the topic.
    """

    http: str
    tcp: str | None = None
    tls_version: str = ""
    ca_file: str | None = None
    insecure: bool = False
    token_file: str | None = None
    login_file: str | None = None
    template: str | None = None

    @property
    def tls(self) -> bool:
        """Whether the server is spoken to over TLS, on all its ports."""
        return urlsplit(self.http).scheme == "https"

    def trust(self) -> ssl.SSLContext | None:
        """Return the client's side of TLS, None without TLS; raises AccessError."""
        if not self.tls:
            return None
        try:
            return tls.context(self.tls_version, self.ca_file, insecure=self.insecure)
        except InputError as error:
            raise AccessError(str(error)) from None

    def token(self) -> str:
        """Return the bearer token, empty when none is needed; raises AccessError."""
        return _secret("load.token_file", self.token_file) if self.token_file else ""

    def login(self) -> tuple[str, str] | None:
        """Return STOMP's user and passcode, None when none is needed; raises AccessError."""
        if not self.login_file:
            return None
        user, colon, passcode = _secret("load.login_file", self.login_file).partition(":")
        if not colon:
            raise AccessError(f"load.login_file = {self.login_file}: no colon in it, expected user:passcode")
        return user, passcode

    def plan(self) -> dict[str, Any]:
        """Return the members of plan.json that say where the load connects to and how."""
        tls = {"version": self.tls_version, "ca_file": self.ca_file, "insecure": self.insecure}
        return {
            "http": self.http,
            "tcp": self.tcp,
            "target": self.template,
            "tls": tls if self.tls else None,
            "token_file": self.token_file,
            "login_file": self.login_file,
        }


def of_ready(said: Mapping[str, Any], settings: Settings) -> Access:
    """Return how a server of ours is reached: what READY says of it, and the cell's own settings."""
    version = str(settings.get("tls", "off"))
    named = (said.get("tls") or {}).get("ca_file") or settings.get("load.ca_file")
    return Access(
        said["http"],
        said.get("tcp"),
        tls_version="" if version == "off" else version,
        ca_file=str(named) if named else None,
        insecure=bool(settings.get("load.insecure", False)),
        token_file=_text(settings, "load.token_file"),
        login_file=_text(settings, "load.login_file"),
    )


def _text(settings: Settings, key: str) -> str | None:
    value = settings.get(key)
    return str(value) if value else None


def _secret(key: str, path: str) -> str:
    """Return a file's first line."""
    try:
        line = Path(path).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"{key} = {path}: {getattr(error, 'strerror', None) or error}") from None
    if not line:
        raise AccessError(f"{key} = {path}: its first line is empty, expected the secret there")
    return line
