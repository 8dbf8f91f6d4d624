"""``python -m servers NAME…``: serve until SIGTERM or Ctrl-C.

The rule: standard output carries one READY line of JSON and nothing else; a mistake on the command line is one line
on standard error and exit code 2 (source: the wire contract, ``servers.__doc__``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import sys

from servers import app, log, options

# The log's events are young by the thousand and never in a cycle: at CPython's 700 the collector keeps looking through
# them for nothing.
_GC_THRESHOLD = (50_000, 20, 50)


async def _run(settings: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    async with app.serve(settings) as ready:
        gc.freeze()  # what starting left behind need not be walked again
        gc.set_threshold(*_GC_THRESHOLD)
        print(json.dumps(ready), flush=True)
        await stop.wait()


def main() -> int:
    """Run the program; returns its exit code."""
    log.install()
    options.raise_descriptors()
    settings = options.parse(sys.argv[1:])
    try:
        asyncio.run(_run(settings))
    except OSError as error:
        print(f"python -m servers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
