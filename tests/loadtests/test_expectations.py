"""Gates are held against what the run would measure, before it does."""

from __future__ import annotations

import json
import sys

import pytest

from loadtests import __main__ as command
from loadtests import expectations
from loadtests.settings import InputError
from tests.loadtests import fakes


def gated(tmp_path, expect):
    return fakes.read(tmp_path, f"{fakes.TOML}\n[expect]\n{expect}\n")


def answering(code, said=""):
    return [sys.executable, "-c", f"import sys; sys.stdin.read(); print({said!r}, file=sys.stderr); sys.exit({code})"]


def test_what_is_asked_about_is_the_run_as_it_would_begin(tmp_path):
    asked = tmp_path / "asked.json"
    keep = [sys.executable, "-c", f"import sys; open({str(asked)!r}, 'w').write(sys.stdin.read())"]
    expectations.refuse_mistaken([gated(tmp_path, 'lost = "== 0"')], keep)
    content = json.loads(asked.read_text())
    assert content["experiments"]["tiny"]["expect"] == {"lost": "== 0"}
    assert [cell["status"] for cell in content["cells"]] == ["pending", "pending"]


def test_without_gates_nobody_is_asked(tmp_path):
    expectations.refuse_mistaken([fakes.read(tmp_path)], ["/does/not/exist"])


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (2, "tiny.toml: first\ntiny.toml: second", "tiny.toml: first"),
        (1, "Traceback\nImportError: no pandas", "ImportError: no pandas"),
        (3, "", "exit code 3"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, code, said, told):
    with pytest.raises(InputError) as caught:
        expectations.refuse_mistaken([gated(tmp_path, 'lost = "== 0"')], answering(code, said))
    assert str(caught.value).endswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ('delivery_ms_p9 = "<= 1"', "there is no metric delivery_ms_p9; did you mean delivery_ms_p99?"),
        ('lost = "0"', '"0" cannot be read; expected a comparison such as "<= 50"'),
        ('lost = "<= polling.interval_s"', "polling.interval_s is no setting of any cell it is about"),
        ('empty_ratio = "<= 1"', "it is about no cell: empty_ratio applies to none that was planned"),
    ],
)
def test_the_analysis_refuses_before_anything_is_measured(tmp_path, capsys, expect, told):
    gated(tmp_path, expect)
    assert command.main(["bench", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("tiny.toml: expect.")
    assert said.endswith(f"{told}\n")
    assert not (tmp_path / "out").exists()
