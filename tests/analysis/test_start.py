"""What a fresh process loads: an answer in words must not wait for charts."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "matplotlib", "pyarrow", "jinja2", "scipy.stats")


@pytest.mark.parametrize(
    "arguments", [["tune", "--rate", "0.5", "--p95", "2s", "--no-page"], ["plan", "--rate", "0.1"], ["--help"]]
)
def test_words_need_no_charts(arguments):
    program = (
        "import sys; from analysis.__main__ import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        f"print('LOADED', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
