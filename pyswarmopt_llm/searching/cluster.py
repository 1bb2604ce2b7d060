"""A Ray cluster and the actors on it that do the tasks of a search (`crew`): who is there, who has
ended, and who has joined.
"""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections import Counter, deque
from itertools import count
from pathlib import Path
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.searching.crew import Crew, Task
from pyswarmopt_llm.searching.decide import RAY

LOOKS = 2.0  # seconds between two looks at the cluster
TIMEOUT = 2.0  # seconds that its head has to answer
PATIENCE = 60.0  # seconds after which it is told that no actor has begun
SILENT = 4  # looks without an answer after which the head counts as lost; Ray itself waits a minute
MOST_LOST = 3  # actors that may end with one task
KEPT = "scores are kept, so"
ALL_ENDED = f"all Ray actors ended; {KEPT} look at the cluster (ray status) and resume"
POISON = (
    f"{MOST_LOST} Ray actors ended with the same task; {KEPT} fix the cause (often too little memory) "
    "and resume"
)
NOT_LOADED = "Ray actors end while they load the search (often too little memory)"
HEAD_LOST = (
    f"the Ray cluster's head at {{}} does not answer; {KEPT} start the cluster again and resume"
)


def address_of(workers: str) -> str | None:
    """The address of the cluster, as Ray takes it. Ray remembers the last cluster that was started
    on this machine and would wait for its head, even if that is gone: then a new one is started.

    Raises:
        InvalidOption: the head named by RAY_ADDRESS does not answer.
    """
    if workers != RAY:
        return workers
    told = os.environ.get("RAY_ADDRESS", "")
    if told:
        if re.fullmatch(r"[^/]+:[0-9]+", told) and not answers(told):
            why = f": no cluster answers at RAY_ADDRESS {told}; start it, or unset RAY_ADDRESS"
            raise InvalidOption("workers", workers, why)
        return None
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    file = Path(folder, "ray", "ray_current_cluster")
    if file.exists() and not answers(file.read_text(encoding="utf-8").strip()):
        return "local"
    return None


def answers(address: str) -> bool:
    """Whether anybody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT).close()
    except (OSError, ValueError):
        return False
    return True


class Cluster:
    """The Ray cluster that the search is connected to.

    Args:
        ray: the package.
        config: settings of the search.
        kind: class of the actors, with methods ``do`` and ``fault``.
        given: its arguments.
        tell: called with what happens to it.

    Attributes:
        head: address of the process that must answer.
    """

    def __init__(
        self, ray: Any, config: SearchConfig, kind: type, given: tuple[Any, ...], tell: OnEvent
    ) -> None:
        self.ray = ray
        self._cores = config.threads or 1
        self._gpus = config.device != "cpu" and "GPU" in ray.cluster_resources()
        options = {"num_cpus": self._cores, "num_gpus": int(self._gpus)}
        self._kind = ray.remote(**options)(kind)
        self._given = given
        self._tell = tell
        self._hired: list[Any] = []
        self.head = ""
        if config.workers.startswith("ray://"):
            host, _, port = config.workers.removeprefix("ray://").partition(":")
            self.head = f"{host}:{port or 10001}"
        else:
            self.head = str(ray.get_runtime_context().gcs_address)

    def room(self) -> int:
        """Number of actors that its nodes have room for."""
        return sum(self._room_on(node["Resources"]) for node in self._nodes())

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _room_on(self, resources: dict[str, float]) -> int:
        """Number of actors that a node has room for."""
        room = int(resources.get("CPU", 0) // self._cores)
        if self._gpus:
            return min(room, int(resources.get("GPU", 0)))
        return room

    def summary(self) -> str:
        """Nodes, GPUs and actors, in a line.

        Raises:
            InvalidOption: no node has room for an actor.
        """
        room = self.room()
        if not room:
            why = f": no Ray node has {counted(self._cores, 'free core')} for a worker; use fewer"
            raise InvalidOption("threads", self._cores, why)
        nodes = self._nodes()
        gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
        return (
            f"Ray: {counted(len(nodes), 'node')}, {counted(gpus, 'GPU')}, {counted(room, 'actor')}"
        )

    def hire(self) -> Any:
        """A new actor, which starts when a node has room."""
        actor = self._kind.remote(*self._given)
        self._hired.append(actor)
        return actor

    def end(self, actor: Any) -> None:
        """End an actor, if it has not ended."""
        self._hired.remove(actor)
        if self.answers():
            self.ray.kill(actor)

    def answers(self) -> bool:
        """Whether its head can be reached."""
        return answers(self.head)

    def tell(self, text: str) -> None:
        """Tell what has happened."""
        self._tell(note(text if "Ray" in text else f"Ray: {text}"))

    def leave(self) -> None:
        """End the actors; those of a lost head end by themselves."""
        if self.answers():
            for actor in self._hired:
                self.ray.kill(actor)


class Actors(Crew):
    """Actors of a Ray cluster. The task of one that ends goes to another; nodes that join get
    actors, and nodes with other files or versions get no work.

    Args:
        cluster: where they are.

    Raises:
        UserError: none of them can work, or the head is lost.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ray = cluster.ray
        self._numbers = count()
        self._waiting: deque[tuple[int, Task]] = deque()
        self._free: list[Any] = []
        self._under_way: dict[Any, tuple[int, Task, Any]] = {}
        self._beginning: dict[Any, Any] = {}  # actors that wait for room, or load the search
        self._doubted: dict[Any, Any] = {}  # actors that may have ended with another
        self._unfit: list[str] = []  # why actors cannot work
        self._lost: Counter[int] = Counter()  # actors, by the number of the task that they had
        self._ended_early = 0  # actors that ended before they had a task
        self._looked = time.monotonic()
        self._silent = 0
        self._hire()
        self._begin()

    @property
    def size(self) -> int:
        """Number of actors that can work, as far as known."""
        return len(self._free) + len(self._under_way)

    def submit(self, task: Task) -> int:
        """See `Crew.submit`."""
        number = next(self._numbers)
        self._waiting.append((number, task))
        self._start()
        return number

    def hear(self) -> tuple[int, Any]:
        """See `Crew.hear`."""
        while True:
            for ended in self._wait():
                number, task, actor = self._under_way.pop(ended)
                try:
                    answer = self._result(ended)
                except self._ray.exceptions.RayError as error:
                    self._lose(number, task, actor, error)
                    continue
                self._employ(actor)
                return number, answer

    def _begin(self) -> None:
        """Wait until an actor can work."""
        until = time.monotonic() + PATIENCE
        while not self._free:
            self._wait()
            if time.monotonic() > until:
                until = math.inf
                self._cluster.tell("no actor has begun; the cluster may be busy (ray status)")

    def _start(self) -> None:
        """Give waiting tasks to free actors."""
        while self._waiting and self._free:
            number, task = self._waiting.popleft()
            actor = self._free.pop()
            self._under_way[actor.do.remote(task)] = number, task, actor

    def _employ(self, actor: Any) -> None:
        """Take an actor as free, and give it a waiting task."""
        self._free.append(actor)
        self._start()

    def _wait(self) -> list[Any]:
        """Wait a short time, and see who has joined. Returns at most one task that has ended.

        Raises:
            UserError: no actor is left, or the head is lost.
        """
        if not self._expected():
            self._look()
        expected = self._expected()
        if not expected:
            raise UserError(self._why_nobody())
        try:
            ended, _ = self._ray.wait(expected, timeout=LOOKS)
        except ConnectionError as error:  # of a client
            raise UserError(HEAD_LOST.format(self._cluster.head)) from error
        if time.monotonic() - self._looked >= LOOKS:
            self._look()
        for asked in self._beginning.keys() & ended:
            self._join(asked)
        for asked in self._doubted.keys() & ended:
            self._trust(asked)
        return [task for task in ended if task in self._under_way]

    def _expected(self) -> list[Any]:
        """What actors will answer; tasks last, since the first answer of several is taken."""
        return [*self._beginning, *self._doubted, *self._under_way]

    def _why_nobody(self) -> str:
        if not self._cluster.answers():
            return HEAD_LOST.format(self._cluster.head)
        return next(iter(self._unfit), ALL_ENDED)

    def _result(self, ended: Any) -> Any:
        """What a task gives or raises; Ray's own errors if it did not end."""
        try:
            return self._ray.get(ended)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None

    def _look(self) -> None:
        """Hire actors for the nodes that have joined.

        Raises:
            UserError: the head has not answered for some time.
        """
        self._looked = time.monotonic()
        if self._cluster.answers():
            self._silent = 0
            if hired := self._hire():
                self._cluster.tell(f"room for {counted(hired, 'more actor')}")
            return
        self._silent += 1
        if self._silent >= SILENT:
            raise UserError(HEAD_LOST.format(self._cluster.head))

    def _hire(self) -> int:
        """Have as many actors as the nodes have room for. Returns the number of new ones."""
        room = self._cluster.room()
        if not room:
            self._beginning.clear()  # they waited for a node that is gone
        here = self.size + len(self._beginning) + len(self._doubted) + len(self._unfit)
        for _ in range(room - here):
            actor = self._cluster.hire()
            self._beginning[actor.fault.remote()] = actor
        return max(room - here, 0)

    def _join(self, asked: Any) -> None:
        """Give work to an actor that has begun, if it can do it."""
        actor = self._beginning.pop(asked)
        try:
            fault = self._result(asked)
        except self._ray.exceptions.RayError as error:
            self._cluster.end(actor)
            self._ended_early += 1
            fault = cannot_begin(error)
            if not fault and self._ended_early < MOST_LOST:
                return  # the next look hires another
            fault = fault or NOT_LOADED
        if fault:
            self._unfit.append(fault)
            self._cluster.tell(fault)
            return
        self._employ(actor)

    def _trust(self, asked: Any) -> None:
        """Give work to an actor that lives."""
        actor = self._doubted.pop(asked)
        try:
            self._result(asked)
        except self._ray.exceptions.RayError:
            self._cluster.end(actor)
            return
        self._employ(actor)

    def _lose(self, number: int, task: Task, actor: Any, error: Exception) -> None:
        """Give the task of an actor that has ended to another. The free ones may have ended with it."""
        self._cluster.tell("an actor ended, so another gets its task")
        self._cluster.end(actor)
        self._lost[number] += 1
        if self._lost[number] == MOST_LOST:
            raise UserError(POISON) from error
        self._waiting.appendleft((number, task))
        for other in self._free:
            self._doubted[other.fault.remote()] = other
        self._free.clear()


def cannot_begin(error: Any) -> str:
    """Why an actor could not begin; "" if it could.

    Example:
        >>> cannot_begin(ValueError("no actor's"))
        ''
    """
    if not getattr(error, "actor_init_failed", False):
        return ""
    first, *_, last = str(error).strip().splitlines()
    node = re.search(r"ip=([^,)]+)", first)
    return f"Ray node {node[1] if node else '(unknown)'} cannot work: {last.strip()}"
