"""The fuzzers of this folder, on hypothesis' data, and for a moment on atheris' own."""

import importlib.util
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parent
FUZZERS = sorted(path.stem for path in FOLDER.glob("fuzz_*.py"))
RUNS = 2000


@pytest.mark.parametrize("name", FUZZERS)
def test_property(name):
    fuzzer = import_module(name)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.one_of(st.integers(0, 255), st.integers(128, 180)), max_size=60).map(bytes))
    def hold(data: bytes) -> None:
        fuzzer.check(data)

    for seed in fuzzer.SEEDS:
        hold = example(seed)(hold)
    hold()


@pytest.mark.parametrize("name", FUZZERS)
def test_program(name):
    command = [sys.executable, FOLDER / f"{name}.py", f"-runs={RUNS}", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if importlib.util.find_spec("atheris") is None:
        assert done.stdout.startswith("skipped: needs atheris")
        pytest.skip("needs atheris")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Done {RUNS} runs" in done.stderr
