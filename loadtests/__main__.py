"""``python -m loadtests``: run, bench, list, verify, floor.

Exit codes: 0 all cells done, 1 some cell failed, 2 bad input (one clear line on standard error, never a traceback).
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from loadtests import expectations, experiment, floor, runner, verify
from loadtests.access import Access, AccessError
from loadtests.control import ControlError
from loadtests.experiment import SUITES, Experiment
from loadtests.grid import cells, estimate_s
from loadtests.process import ProgramError
from loadtests.progress import duration
from loadtests.run_file import StorageError
from loadtests.settings import InputError, did_you_mean
from loadtests.transports import TRANSPORTS

_EXAMPLES = {
    "": ("run fan_out --set load.subscribers=20 --transports sse,websocket", "verify sse"),
    "run": (
        "run fan_out --set load.subscribers=20 --set tls=1.3",
        "run fan_out --target http://127.0.0.1:8080 --tcp 127.0.0.1:61613",
    ),
    "bench": ("bench poll_interval --transports polling,sse", "bench --resume results/latest"),
    "list": ("list", "list fan_out --suite full"),
    "verify": ("verify sse websocket", "verify sse --target https://127.0.0.1:8080 --insecure"),
    "floor": ("floor", "floor --transports sse,websocket"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = COMMANDS[given.command](given)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except StorageError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    return code


def run(given: argparse.Namespace) -> int:
    """Measure."""
    folder, done = _run(given)
    print(f"results: {folder}")
    return 0 if done else 1


def bench(given: argparse.Namespace) -> int:
    """Measure, then let the analysis read what was measured; the worse of the two decides."""
    folder, done = _run(given)
    junit = ["--junit", given.junit] if given.junit else []
    report = subprocess.run([sys.executable, "-m", "analysis", "report", str(folder), *junit], check=False)
    return max(0 if done else 1, report.returncode)


def list_experiments(given: argparse.Namespace) -> int:
    """Say what there is to run, what it asks and how long it takes."""
    total_s = 0.0
    for one in _experiments(given):
        ordered = cells(one)
        took_s = sum(map(estimate_s, ordered))
        total_s += took_s
        print(f"{one.name:18} {len(ordered):4} cells, about {duration(took_s):>12}  {one.question}")
    if not given.names and (beside := sorted(set(experiment.available()) - set(experiment.in_suite(given.suite)))):
        print(f"{'not in this suite':18} {', '.join(beside)}")
    print(f"{'in all':18} {'':11} about {duration(total_s):>12}")
    return 0


def verify_transports(given: argparse.Namespace) -> int:
    """Check servers against the wire contract: ours, or one that is running already."""
    names = given.transports or list(TRANSPORTS)
    for name in names:
        if name not in TRANSPORTS:
            raise InputError(f"{name}: no such transport; {did_you_mean(name, TRANSPORTS)}")
    target = _verified_target(given)
    code = 0
    for name in names:
        try:
            result = verify.of_server(name, target) if target else verify.of_own_server(name)
        except (verify.VerifyError, ControlError, ProgramError, AccessError) as error:
            print(f"{name:16} failed: {error}")
            code = 1
        else:
            print(f"{name:16} ok: {', '.join(result['checks'])} ({result['seconds']:.2f} s)")
    return code


def _verified_target(given: argparse.Namespace) -> Access | None:
    """Return the server that ``verify`` was aimed at, None for ours."""
    flags = ("tcp", "ca_file", "insecure", "token_file", "login_file")
    for name in flags:
        value, flag = getattr(given, name), f"--{name.replace('_', '-')}"
        if value and not given.target:
            raise InputError(f"{flag}: expected --target URL with it")
        if value and name.endswith("_file") and not Path(value).is_file():
            raise InputError(f"{flag} {value}: expected a file that is there")
    if not given.target:
        return None
    return Access(given.target.rstrip("/"), **{name: getattr(given, name) for name in flags})


def show_floor(given: argparse.Namespace) -> int:
    """Measure what the instrument itself costs."""
    names = given.transports.split(",") if given.transports else list(TRANSPORTS)
    for name in names:
        if name not in TRANSPORTS:
            raise InputError(f"--transports {name}: no such transport; {did_you_mean(name, TRANSPORTS)}")
    try:
        print(floor.table(floor.measure(names)))
    except (verify.VerifyError, ControlError, ProgramError, AccessError) as error:
        print(f"floor: {error}", file=sys.stderr)
        return 1
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "bench": bench,
    "list": list_experiments,
    "verify": verify_transports,
    "floor": show_floor,
}


def _run(given: argparse.Namespace) -> tuple[Path, bool]:
    command = shlex.join(["python", "-m", "loadtests", *sys.argv[1:]])
    if given.resume:
        _refuse_beside_resume(given)
        return runner.go_on(Path(given.resume), command=command)
    experiments = _experiments(given)
    expectations.refuse_mistaken(experiments)
    name = given.name or ("-".join(one.name for one in experiments) if given.names else given.suite)
    return runner.run(name, experiments, Path(given.out), command=command, with_floor=not given.no_floor)


_PLANNED: dict[str, tuple[str, object]] = {
    "names": ("EXPERIMENT", []),
    "suite": ("--suite", "default"),
    "set": ("--set", []),
    "transports": ("--transports", None),
    "out": ("--out", "results"),
    "name": ("--name", None),
    "no_floor": ("--no-floor", False),
    "target": ("--target", None),
    "tcp": ("--tcp", None),
}
"""What a run is planned by: argument, how it is written, and what it is when it was not given."""


def _refuse_beside_resume(given: argparse.Namespace) -> None:
    """Refuse what would change a run that is only to be finished."""
    for name, (word, default) in _PLANNED.items():
        if getattr(given, name) != default:
            raise InputError(f"--resume {given.resume}: it is finished as it was planned; leave out {word}")


def _experiments(given: argparse.Namespace) -> list[Experiment]:
    names = given.names or experiment.in_suite(given.suite)
    found = [experiment.read(experiment.find(name), suite=given.suite, assignments=given.set) for name in names]
    if given.transports:
        found = [experiment.only(one, given.transports.split(",")) for one in found]
    if getattr(given, "target", None):
        found = [experiment.aimed(one, given.target, given.tcp) for one in found]
    elif getattr(given, "tcp", None):
        raise InputError(f"--tcp {given.tcp}: expected --target URL with it")
    return [one for one in found if one.transports]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _examples(command: str) -> str:
    return "\n".join(["examples:", *(f"  python -m loadtests {words}" for words in _EXAMPLES[command])])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m loadtests",
        description="Measure how events reach their subscribers over six transports.",
        epilog=_examples(""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str) -> argparse.ArgumentParser:
        text = str(COMMANDS[name].__doc__)
        return commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_examples(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    for name in ("run", "bench"):
        _choosing(one := command(name))
        one.add_argument(
            "--out", default="results", metavar="DIR", help="where the run's folder goes (default: results)"
        )
        one.add_argument("--name", type=_folder_name, help="what the run is called (default: after its experiments)")
        if name == "bench":
            one.add_argument("--junit", metavar="FILE", help="write the verdict there as JUnit XML too")
        one.add_argument(
            "--target",
            metavar="URL",
            help="measure this running server: http://127.0.0.1:8080 (a token: --set load.token_file=FILE)",
        )
        one.add_argument("--tcp", metavar="HOST:PORT", help="the target's STOMP port")
        one.add_argument("--resume", metavar="RUN", help="finish this run: measure only what it lacks")
        one.add_argument("--no-floor", action="store_true", help="do not measure the instrument's own cost first")
    _choosing(command("list"))
    checks = command("verify")
    checks.add_argument("transports", nargs="*", metavar="TRANSPORT", help="which (default: all)")
    checks.add_argument("--target", metavar="URL", help="a running server instead of ours: http://127.0.0.1:8080")
    checks.add_argument("--tcp", metavar="HOST:PORT", help="the target's STOMP port")
    checks.add_argument("--ca-file", metavar="FILE", help="authorities (PEM) to trust instead of the system's")
    checks.add_argument("--insecure", action="store_true", help="accept any certificate")
    checks.add_argument("--token-file", metavar="FILE", help="the bearer token the target asks for")
    checks.add_argument("--login-file", metavar="FILE", help="the user:passcode its STOMP asks for")
    command("floor").add_argument("--transports", metavar="A,B", help="only these (default: all)")
    return parser


def _folder_name(text: str) -> str:
    """Accept what is a folder's name on every file system."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,99}", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected letters, digits and _ . = - (at most 100)")
    return text


def _choosing(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose experiments and override their keys."""
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help="a name (see list) or the path of a TOML file")
    parser.add_argument(
        "--suite", choices=SUITES, default="default", help="the suite's values; without names also its experiments"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override any key: load.subscribers=200"
    )
    parser.add_argument("--transports", metavar="A,B", help="only these")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C: with everything measured kept."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
