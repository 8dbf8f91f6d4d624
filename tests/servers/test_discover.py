import argparse
import sys

import servers
from servers import discover


def test_a_module_binds_by_file_name():
    assert discover.named("polling")["polling"].NAMES == ("polling",)
    assert set(discover.named("long_polling")) == {"long_polling"}


def test_what_is_no_transport():
    for word in ("", "feed", "sse_x", "polling.x", "__main__", "--port", "8080", "nothing"):
        assert discover.named(word) == {}


def test_a_new_file_is_a_new_transport(tmp_path, monkeypatch):
    (tmp_path / "carrier.py").write_text(
        "NAMES = ('carrier_pigeon', 'carrier_wave')\n"
        "def arguments(parser): parser.add_argument('--loft')\n"
        "def mount(site, name): site.mounted = name\n"
    )
    monkeypatch.setattr(servers, "__path__", [*servers.__path__, str(tmp_path)])
    try:
        assert set(discover.named("carrier_pigeon")) == {"carrier_pigeon"}
        found = discover.everything()
        assert {"carrier_pigeon", "carrier_wave", "polling"} <= set(found)
        parser = argparse.ArgumentParser()
        discover.add_arguments(parser, {name: found[name] for name in ("carrier_pigeon", "carrier_wave")})
        assert parser.parse_args(["--loft", "x"]).loft == "x"
    finally:
        sys.modules.pop("servers.carrier", None)
        vars(servers).pop("carrier", None)
