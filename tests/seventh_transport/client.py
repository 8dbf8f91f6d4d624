"""The JSON lines subscriber."""

from dataclasses import dataclass

from loadtests.clients import Data, Emit, Mark, Send
from loadtests.clients.event import row_maker
from loadtests.clients.http import get
from loadtests.clients.lifetime import Lost, data_or_leave, persistent


@dataclass(frozen=True, slots=True)
class Options:
    """It has none."""


def client(subscriber, options):
    row, request = row_maker(subscriber), get(subscriber)

    def session(progress, connected):
        query = "" if progress.after is None else f"after={progress.after}"
        event = yield Send(request(query))
        pending, head = b"", True
        while True:
            if not isinstance(event, Data):
                data_or_leave(event)
            pending += bytes(event.view)
            rows, more = Emit(), []
            if head and b"\r\n\r\n" in pending:
                if not pending.startswith(b"HTTP/1.1 200"):
                    raise Lost(pending.partition(b"\r\n")[0].decode())
                head, pending = False, pending.partition(b"\r\n\r\n")[2]
                more = [Mark("subscribed", event.at_ns)]
            while not head and b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                rows.append(row(line, progress.attempt, event.at_ns))
                progress.after = rows[-1][3] or progress.after
            event = yield rows, *more

    return persistent(subscriber, session)
