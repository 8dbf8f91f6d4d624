"""The only module that imports locust: one User class per transport, and what keeps Locust's statistics fed.

It serves two masters. ``loadtests.runner`` starts it headless with ``--cell plan.json``; a Locust user starts it by
hand, ``locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 SSESubscriber``, and finds our options on the
command line. Importing locust monkey-patches the process, which is why nothing imports this module.

Rule: Locust decides how many users there are, when they start and when they stop. The deliveries themselves never
touch a greenlet: they go from the event-loop driver into the spools, and are merged into Locust's statistics a few
times a second.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import msgspec
import numpy as np
from gevent.event import Event
from locust import User, events, task
from locust.env import Environment
from locust.exception import StopTest
from locust.stats import bucket_response_time

from loadtests import plan as planning
from loadtests.clients import Address, Begin, Client, Subscriber
from loadtests.drivers.eventloop import EventLoop
from loadtests.drivers.link import Link
from loadtests.plan import Plan, PlanError
from loadtests.process import die_with
from loadtests.records import DELIVERY, RESPONSE, Spools
from loadtests.transports import TRANSPORTS, Transport
from loadtests.upstream import Upstream, topic, with_publisher

STATUS_INTERVAL_S = 0.2
PLAN_TIMEOUT_S = 60.0


class Process:
    """What the users of this load process share: the plan, the driver, and the numbers already merged."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        try:
            self.plan = _plan(environment)
            trust, token, login = planning.let_in(self.plan)
        except PlanError as error:
            raise StopTest(str(error)) from None
        self.worker = max(0, getattr(environment.runner, "worker_index", 0))
        self.workers = max(1, environment.parsed_options.processes or 1)
        self.folder = Path(self.plan.spool) if self.plan.spool else None
        self.spools = Spools(self.folder, self.worker)
        secrets = [secret for secret in (token, login[1] if login else "") if secret]
        self.driver = EventLoop(self.spools, self.plan.connects_hz / self.workers, trust, secrets)
        self._nobody = self.plan.nobody(token, login)
        self.spools.observe(self._merge_deliveries, self._merge_responses)
        self.users = 0
        self._publishers: list[Link] = []
        self._watched = self._ended = False
        self._failures: dict[str, int] = {}
        gevent.spawn(self._keep_informed)

    def subscribe(self, transport: Transport) -> list[Link]:
        """Start the clients of one Locust user, ``subscribers_per_user`` of them."""
        plan, started = self.plan, []
        for _ in range(plan.subscribers_per_user):
            index = self.users * self.workers + self.worker
            if plan.subscribers and index >= plan.subscribers:
                break
            self.users += 1
            number = index % plan.topics
            name = topic(number) if plan.upstream else f"t{number}"
            address, path = self._where(transport, name)
            subscriber = dataclasses.replace(
                self._nobody,
                index=index,
                topic=name,
                topic_index=number,
                address=address,
                path=path,
                after=plan.cursors.get(name, plan.after),
            )
            module = transport.module()
            options = module.Options(**planning.options(plan, transport, vars(self.environment.parsed_options)))
            if plan.upstream:
                started += self._publish(transport, subscriber, partial(module.client, options=options), plan.upstream)
            else:
                started.append(self.driver.start(module.client(subscriber, options), index))
        return started

    def _where(self, transport: Transport, name: str) -> tuple[Address, str]:
        try:
            return self.plan.where(transport, name)
        except PlanError as error:
            raise StopTest(str(error)) from None

    def _publish(
        self, transport: Transport, who: Subscriber, client: Callable[[Subscriber], Client], way: Upstream
    ) -> list[Link]:
        """Start a subscriber that publishes, or that has a publisher beside it."""
        who = dataclasses.replace(who, after=way.after[who.index])
        listening, publisher = with_publisher(transport, who, client(who), way, self.plan.http)
        links = [self.driver.start(listening, who.index)]
        if publisher:
            links.append(self.driver.start(publisher, who.index, "publish"))
        self._publishers.append(links[-1])
        return links

    # Locust's statistics ------------------------------------------------------------------------------------------

    def _merge_deliveries(self, rows: Any) -> None:
        late_ms = (rows[:, DELIVERY.index("received_ns")] - rows[:, DELIVERY.index("due_ns")]) / 1e6
        self._merge("push", "delivery", late_ms, int(rows[:, DELIVERY.index("bytes")].sum()))

    def _merge_responses(self, rows: Any) -> None:
        took_ms = (rows[:, RESPONSE.index("finished_ns")] - rows[:, RESPONSE.index("started_ns")]) / 1e6
        refused = ~np.isin(rows[:, RESPONSE.index("status")], (200, 204, 304))
        empty = (rows[:, RESPONSE.index("events")] == 0) & ~refused
        size = rows[:, RESPONSE.index("bytes_received")]
        for name, which in (
            ("empty response", empty), ("response", ~empty & ~refused), ("refusal", refused)
        ):  # fmt: skip
            if which.any():
                self._merge("GET", name, took_ms[which], int(size[which].sum()))

    def _merge(self, method: str, name: str, milliseconds: Any, size: int) -> None:
        """Add many requests to a Locust entry at once: ``request.fire`` would cost 2 us for each."""
        stats = self.environment.stats
        values, counts = np.unique(np.rint(milliseconds), return_counts=True)
        for entry in (stats.total, stats.get(name, method)):
            second, number = int(time.time()), len(milliseconds)
            entry.num_requests += number
            entry.num_reqs_per_sec[second] = entry.num_reqs_per_sec.get(second, 0) + number
            entry.last_request_timestamp = time.time()
            entry.total_response_time += float(milliseconds.sum())
            entry.total_content_length += size
            least = entry.min_response_time
            entry.min_response_time = float(values[0]) if least is None else min(float(values[0]), least)
            entry.max_response_time = max(float(values[-1]), entry.max_response_time)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                key = bucket_response_time(value)
                entry.response_times[key] = entry.response_times.get(key, 0) + count

    def _merge_failures(self) -> None:
        for reason, count in list(self.driver.failures.items()):
            for _ in range(count - self._failures.get(reason, 0)):
                self.environment.stats.log_error("push", "connection", reason)
            self._failures[reason] = count

    # the runner -----------------------------------------------------------------------------------------------------

    def _keep_informed(self) -> None:
        while True:
            gevent.sleep(STATUS_INTERVAL_S)
            self.report()

    def report(self) -> None:
        """Flush the spools, feed Locust's statistics, tell the runner, and learn the window from it."""
        self.spools.flush()
        self._merge_failures()
        if self.folder is None:
            return
        window = self.folder / "window.json"
        if not self._watched and window.exists():
            self._watched = True
            bounds = msgspec.json.decode(window.read_bytes())
            self.driver.watch(bounds["from_ns"], bounds["to_ns"])
            for link in self._publishers:
                link.advance(Begin(time.monotonic_ns(), bounds["epoch_ns"], bounds["to_ns"]))
        path = self.folder / f"{self.worker}.status.json"
        partial = path.with_suffix(".part")
        partial.write_bytes(msgspec.json.encode(self._status()))
        partial.replace(path)

    def _status(self) -> dict[str, Any]:
        driver = self.driver
        late = (np.percentile(driver.late_ns, [50, 99]) / 1e6).tolist() if driver.late_ns else (None, None)
        counted = [b - a for a, b in zip(*driver.window, strict=True)] if len(driver.window) == 2 else None
        return {
            "worker": self.worker,
            "pid": os.getpid(),
            "subscribers": self.users,
            "subscribed": driver.subscribed,
            "deliveries": self.spools.deliveries.rows,
            "responses": self.spools.responses.rows,
            "publishes": self.spools.publishes.rows,
            "failures": dict(driver.failures),
            "late_ms_p50": late[0],
            "late_ms_p99": late[1],
            "window": counted and dict(zip(("up", "down", "segments_up", "segments_down"), counted, strict=True)),
            "ended": self._ended,
        }

    def end(self) -> None:
        """Let every client say goodbye, a second at most, and close the spools."""
        for link in list(self.driver.links):
            link.stop()
        deadline = time.monotonic() + 1.2
        while self.driver.links and time.monotonic() < deadline:
            gevent.sleep(0.02)
        self._ended = True
        self.report()


PROCESS: list[Process] = []


def process(environment: Environment) -> Process:
    """Return this load process's state; made at the first use, after Locust has forked."""
    if not PROCESS:
        PROCESS.append(Process(environment))
    return PROCESS[0]


class TransportUser(User):
    """A Locust user that holds the subscribers of one transport."""

    abstract = True
    transport: Transport

    def on_start(self) -> None:
        """Subscribe."""
        self._links = process(self.environment).subscribe(self.transport)

    @task
    def receive(self) -> None:
        """Nothing to do here: the driver's callbacks receive. Wait until Locust stops this user."""
        Event().wait()

    def on_stop(self) -> None:
        """Unsubscribe."""
        for link in self._links:
            link.stop()


for _row in TRANSPORTS.values():
    globals()[_row.user] = type(
        _row.user, (TransportUser,), {"transport": _row, "__doc__": f"{_row.label} subscriber."}
    )


def _plan(environment: Environment) -> Plan:
    given = environment.parsed_options
    if given.cell:  # the listener of init has waited for it
        return planning.read(Path(given.cell))
    return planning.from_command_line(given, environment.host)


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:
    planning.arguments(parser.add_argument)  # an argument group would not reach the web page


@events.init.add_listener
def _wait_for_plan(environment: Environment, **_: Any) -> None:
    """Hold back until the runner has written the plan: it starts us together with the server."""
    given = environment.parsed_options
    cell = given.cell if given else ""
    if cell:
        die_with(os.getppid())  # a worker's parent is Locust, which is tied to the runner
    if given and given.headless and not cell and not environment.host:
        raise SystemExit(planning.NO_HOST)
    deadline = time.monotonic() + PLAN_TIMEOUT_S
    while cell and not Path(cell).exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{cell}: no plan appeared within {PLAN_TIMEOUT_S:g} s")
        gevent.sleep(0.005)
    if cell or (given and environment.host):
        try:
            plan = _plan(environment)
            planning.let_in(plan)
            for user in environment.user_classes if given.headless else ():  # on the web page one still chooses
                plan.where(user.transport, "")
        except PlanError as error:
            raise SystemExit(str(error)) from None  # one clear line now, instead of users that cannot start


@events.spawning_complete.add_listener
def _settle(**_: Any) -> None:
    """All users are there: what lives now lives on, so the collector need not walk it again (10 to 15 % of the CPU)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


@events.quitting.add_listener
def _quit(**_: Any) -> None:
    if PROCESS:
        PROCESS[0].end()


@events.test_stop.add_listener
def _stopped(**_: Any) -> None:
    if PROCESS:
        PROCESS[0].report()
