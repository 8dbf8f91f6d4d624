"""The JSON lines subscriber."""

from dataclasses import dataclass

from loadtests.clients import Data, Emit, Mark, Send
from loadtests.clients.event import row_maker
from loadtests.clients.http import get
from loadtests.clients.lifetime import data_or_leave, persistent


@dataclass(frozen=True, slots=True)
class Options:
    """It has none."""


def client(subscriber, options):
    row, (start, rest) = row_maker(subscriber), get(subscriber)

    def session(progress, connected):
        query = b"" if progress.after is None else b"?after=%d" % progress.after
        event = yield Mark("subscribed", connected.at_ns), Send(start + query + rest)
        pending, head = b"", True
        while True:
            if not isinstance(event, Data):
                data_or_leave(event)
            pending += bytes(event.view)
            if head and b"\r\n\r\n" in pending:
                head, pending = False, pending.partition(b"\r\n\r\n")[2]
            rows = Emit()
            while not head and b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                rows.append(row(line, progress.attempt, event.at_ns))
                progress.after = rows[-1][3] or progress.after
            event = yield rows

    return persistent(subscriber, session)
