"""Actors of a cluster that end, join, or cannot work. The cluster is acted: what its actors do
happens when it is waited for; its head is a real port.
"""

from __future__ import annotations

import pickle
import signal
import socket
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching import cluster as module
from pyswarmopt_llm.searching.cluster import ALL_ENDED, NOT_LOADED, POISON, Actors, Cluster
from pyswarmopt_llm.searching.cluster import address_of as address
from pyswarmopt_llm.searching.scorer import Evaluate
from pyswarmopt_llm.searching.workers import _connect

CONFIG = SearchConfig("b", ("x", "y"), ("t",), "r", workers="ray", threads=2, device="cpu")


class RayError(Exception):
    pass


class RayActorError(RayError):
    """As Ray's own."""

    def __init__(self, text: str = "died", actor_init_failed: bool = False) -> None:
        super().__init__(text)
        self.actor_init_failed = actor_init_failed


class RayTaskError(RayError):
    """As Ray's own."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class Promise:
    """What a call of an actor will give."""

    def __init__(self, actor: Actor, name: str, task: Any) -> None:
        self.actor = actor
        self.name = name
        self.task = task


class Actor:
    """An actor, which has not begun until `place` is its node."""

    def __init__(self, ray: Ray) -> None:
        self.place = ""
        self.ends = False
        self.done = list[Any]()
        self.do = SimpleNamespace(remote=lambda task: ray.call(self, "do", task))
        self.fault = SimpleNamespace(remote=lambda: ray.call(self, "fault", None))


class Ray:
    """A cluster of nodes with so many cores, each of which starts actors while it has room."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError
    )

    def __init__(self, nodes: dict[str, int]) -> None:
        self.cores = nodes
        self.gpus = dict[str, int]()
        self.actors = list[Actor]()
        self.faults = dict[str, str]()
        self.stuck = set[str]()  # nodes that count, but start nothing
        self.deadly = set[Any]()  # tasks that end their actor
        self.before = list[Callable[[], Any]]()  # called once each, when it is waited for
        self.waits = 0

    def remote(self, **options: int) -> Callable[[type], Any]:
        def hire(*given: Any) -> Actor:
            self.actors.append(Actor(self))
            return self.actors[-1]

        assert options == {"num_cpus": 2, "num_gpus": int(bool(self.gpus))}
        return lambda kind: SimpleNamespace(remote=hire)

    def cluster_resources(self) -> dict[str, float]:
        room = {"CPU": float(sum(self.cores.values()))}
        if self.gpus:
            room["GPU"] = float(sum(self.gpus.values()))
        return room

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 64.0}}
        return [
            dead,
            *({"Alive": True, "Resources": self._resources(node)} for node in self.cores),
        ]

    def _resources(self, node: str) -> dict[str, float]:
        resources = {"CPU": float(self.cores[node])}
        if node in self.gpus:
            resources["GPU"] = float(self.gpus[node])
        return resources

    def call(self, actor: Actor, name: str, task: Any) -> Promise:
        return Promise(actor, name, task)

    def kill(self, actor: Actor) -> None:
        self.actors.remove(actor)

    def leave(self, node: str) -> None:
        """A node is lost, with its actors."""
        del self.cores[node]
        for actor in self.actors:
            actor.ends |= actor.place == node

    def _place(self) -> None:
        """Start actors where there is room."""
        for node, cores in self.cores.items():
            if node in self.stuck:
                continue
            here = [actor for actor in self.actors if actor.place == node and not actor.ends]
            homeless = [actor for actor in self.actors if not actor.place]
            for actor in homeless[: cores // 2 - len(here)]:
                actor.place = node

    def wait(self, promises: list[Promise], timeout: float) -> tuple[list[Promise], list[Promise]]:
        self.waits += 1
        assert self.waits < 100, "nothing happens any more"
        if self.before:
            self.before.pop(0)()
        self._place()
        over = [promise for promise in promises if promise.actor.place]
        return over[:1], [promise for promise in promises if promise not in over[:1]]

    def get(self, promise: Promise) -> Any:
        actor = promise.actor
        if actor.ends:
            raise RayActorError
        if promise.name == "fault":
            fault = self.faults.get(actor.place, "")
            if fault == "ends":
                actor.ends = True
                raise RayActorError
            if fault.startswith("no module"):
                raise RayActorError(f"cannot begin (pid=7, ip={actor.place}, x)\n\n{fault}", True)
            return fault
        if promise.task in self.deadly:
            actor.ends = True
            raise RayActorError
        if isinstance(promise.task, Exception):
            raise RayTaskError(promise.task)
        actor.done.append(promise.task)
        return promise.task


@pytest.fixture
def head() -> Iterator[socket.socket]:
    """Listens, as the head of a cluster does, until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class Stage(SimpleNamespace):
    """A cluster, its head and what it has told."""

    ray: Ray
    told: list[str]
    head: socket.socket

    def cluster(self, config: SearchConfig = CONFIG) -> Cluster:
        self.ray.get_runtime_context = lambda: SimpleNamespace(gcs_address=name(self.head))  # type: ignore[attr-defined]

        def tell(event: Event) -> None:
            self.told.append(event.data["text"])

        return Cluster(self.ray, config, Stage, (), tell)

    def enter(self) -> Actors:
        """The crew, all of which has begun."""
        crew = Actors(self.cluster())
        assert [*crew.map(range(-9, 0))] == [*range(-9, 0)]  # type: ignore[arg-type]
        for actor in self.ray.actors:
            actor.done.clear()
        return crew


def name(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"{host}:{port}"


@pytest.fixture
def stage(head: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Two nodes with room for an actor each, and looks at every wait."""
    monkeypatch.setattr(module, "LOOKS", 0)
    return Stage(ray=Ray({"one": 2, "two": 3}), told=[], head=head)


def test_every_task_is_done_once_by_one_of_as_many_actors_as_there_is_room_for(
    stage: Stage,
) -> None:
    crew = stage.enter()
    assert sorted(crew.map(range(9))) == [*range(9)]  # type: ignore[arg-type]
    assert len(stage.ray.actors) == 2 and all(actor.done for actor in stage.ray.actors)
    assert sorted(stage.ray.actors[0].done + stage.ray.actors[1].done) == [*range(9)]
    assert stage.told == []


def test_the_task_of_an_actor_that_ends_goes_to_another_and_is_scored_once(stage: Stage) -> None:
    crew = stage.enter()
    stage.ray.before = [lambda: stage.ray.leave("two")]
    assert [*crew.map(range(5))] == [*range(5)]  # type: ignore[arg-type]
    (left,) = (actor for actor in stage.ray.actors if actor.place == "one")
    assert sorted(left.done) == [*range(5)]
    assert crew.size == 1
    assert stage.told == ["Ray: an actor ended, so another gets its task"]


def test_a_node_that_joins_gets_work_only_when_its_actor_has_room(stage: Stage) -> None:
    stage.ray.cores.pop("two")
    crew = stage.enter()
    (first,) = stage.ray.actors
    stage.ray.before = [lambda: stage.ray.cores.update(more=2)]
    answers = [*crew.map(range(6))]  # type: ignore[arg-type]
    first, second = stage.ray.actors
    assert answers == [*range(6)] and second.place == "more"
    assert sorted(first.done + second.done) == [*range(6)] and second.done
    assert crew.size == 2
    assert stage.told == ["Ray: room for 1 more actor"]


def test_a_node_that_comes_back_has_an_actor_again(stage: Stage) -> None:
    crew = stage.enter()
    stage.ray.before = [lambda: stage.ray.leave("two"), lambda: stage.ray.cores.update(two=2)]
    assert [*crew.map(range(7))] == [*range(7)]  # type: ignore[arg-type]
    assert sorted(actor.place for actor in stage.ray.actors if not actor.ends) == ["one", "two"]


def test_a_task_that_ends_three_actors_ends_the_search(stage: Stage) -> None:
    stage.ray.deadly = {3}
    crew = stage.enter()
    with pytest.raises(UserError, match=POISON[:40]):
        [*crew.map(range(5))]  # type: ignore[arg-type]
    assert stage.told.count("Ray: an actor ended, so another gets its task") == 3
    assert "memory" in POISON and "resume" in POISON


def test_idle_actors_that_end_with_a_node_do_not_count_against_a_task(stage: Stage) -> None:
    stage.ray.cores = {"one": 2, "two": 8}
    crew = stage.enter()
    assert [*crew.map(range(6))] == [*range(6)]  # type: ignore[arg-type]
    assert crew.size == 5
    stage.ray.leave("two")
    assert [*crew.map(range(6, 9))] == [6, 7, 8]  # type: ignore[arg-type]
    assert crew.size == 1


def test_when_all_nodes_are_lost_memory_is_not_blamed(stage: Stage) -> None:
    crew = stage.enter()

    def lose() -> None:
        stage.ray.leave("one")
        stage.ray.leave("two")

    stage.ray.before = [lose]
    with pytest.raises(UserError, match="all Ray actors ended; scores are kept"):
        [*crew.map(range(3))]  # type: ignore[arg-type]
    assert "memory" not in ALL_ENDED and "resume" in ALL_ENDED


def test_an_actor_that_waits_for_a_node_that_is_lost_is_not_waited_for(stage: Stage) -> None:
    """A node is counted for some time after it is lost."""
    del stage.ray.cores["two"]
    crew = stage.enter()

    def lose() -> None:
        stage.ray.stuck.add("one")
        stage.ray.actors[0].ends = True

    stage.ray.before = [lose, dict, dict, lambda: stage.ray.leave("one")]
    with pytest.raises(UserError, match="all Ray actors ended"):
        [*crew.map(range(3))]  # type: ignore[arg-type]


def test_a_head_that_is_silent_ends_the_search(stage: Stage) -> None:
    crew = stage.enter()
    there = name(stage.head)
    stage.head.close()
    with pytest.raises(UserError, match=f"head at {there} does not answer.* and resume"):
        [*crew.map(range(50))]  # type: ignore[arg-type]
    done = sum(len(actor.done) for actor in stage.ray.actors)
    assert 0 < done < 5  # what is known by then is heard


def test_a_client_that_loses_its_head_says_so(stage: Stage) -> None:
    crew = stage.enter()

    def lose() -> None:
        raise ConnectionError

    stage.ray.before = [lose]
    with pytest.raises(UserError, match="does not answer; scores are kept"):
        [*crew.map(range(2))]  # type: ignore[arg-type]


def test_a_lost_head_is_named_even_if_its_actors_end_with_it(stage: Stage) -> None:
    crew = stage.enter()
    stage.head.close()
    for actor in stage.ray.actors:
        actor.ends = True
    with pytest.raises(UserError, match="does not answer"):
        [*crew.map(range(2))]  # type: ignore[arg-type]


def test_a_node_with_other_files_is_named_and_gets_no_work(stage: Stage) -> None:
    stage.ray.faults = {"two": "the worker on two has other files: experts x"}
    crew = stage.enter()
    assert [*crew.map(range(5))] == [*range(5)]  # type: ignore[arg-type]
    assert [actor.done for actor in stage.ray.actors if actor.place == "two"] == [[]]
    assert stage.told == ["Ray: the worker on two has other files: experts x"]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("other versions: torch", "other versions: torch"),
        ("no module named m", "Ray node one cannot work: no module named m"),
        ("ends", NOT_LOADED),
    ],
)
def test_if_no_actor_can_work_the_line_says_why(stage: Stage, fault: str, line: str) -> None:
    del stage.ray.cores["two"]
    stage.ray.faults = {"one": fault}
    with pytest.raises(UserError) as raised:
        stage.enter()
    assert str(raised.value) == line


def test_what_a_task_raises_is_raised_here(stage: Stage) -> None:
    crew = stage.enter()
    with pytest.raises(UserError, match="a bad score"):
        [*crew.map([UserError("a bad score")])]  # type: ignore[list-item]


def test_cores_of_two_nodes_do_not_make_one_actor(stage: Stage) -> None:
    stage.ray.cores = {"one": 1, "two": 1}
    with pytest.raises(UserError, match="threads 2: no Ray node has 2 free cores"):
        stage.cluster().summary()
    stage.ray.cores = {"one": 3, "two": 5}
    assert stage.cluster().summary() == "Ray: 2 nodes, 0 GPUs, 3 actors"


def test_there_is_an_actor_for_each_gpu_whose_node_has_the_cores_for_it(stage: Stage) -> None:
    stage.ray.cores = {"one": 16, "two": 3, "head": 8}
    stage.ray.gpus = {"one": 4, "two": 2}
    told = stage.cluster(replace(CONFIG, device="auto")).summary()
    assert told == "Ray: 3 nodes, 6 GPUs, 5 actors"


def test_a_task_and_its_answer_are_small() -> None:
    """What scaling.md says of the bytes that move."""
    sizes = {n: len(pickle.dumps(Evaluate(torch.zeros(n).double()))) for n in (3, 10_003)}
    assert sizes[3] < 600 and sizes[10_003] - sizes[3] == pytest.approx(8 * 10_000, rel=0.01)
    scores = {n: score_of([1 / (i + 3) for i in range(n)]) for n in (50, 1050)}
    rows = {n: len(pickle.dumps(Row.of({"a": score}, score))) for n, score in scores.items()}
    assert rows[1050] - rows[50] == pytest.approx(9 * 1000, rel=0.02)


# --- connecting ---


def test_what_ray_installs_for_sigterm_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def ours(*given: Any) -> None:
        pass

    before = signal.signal(signal.SIGTERM, ours)
    try:
        _connect(SimpleNamespace(init=init), "ray://there")
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ImportError("Ray Client requires grpcio"), 'Ray Client requires grpcio; install "ray'),
        (ConnectionError("nobody\nfor long"), r"cannot be used \(nobody\); check its address"),
        (
            RuntimeError("Version mismatch: The cluster:\n    Ray: 2.60\n  This:\n    Ray: 2.61"),
            r"\(Version mismatch: The cluster: Ray: 2.60 This: Ray: 2.61\)",
        ),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(error: Exception, line: str) -> None:
    def init(**options: Any) -> None:
        raise error

    with pytest.raises(UserError, match=f"^workers ray://there: .*{line}"):
        _connect(SimpleNamespace(init=init), "ray://there")


# --- addresses ---


def test_a_remembered_head_that_is_gone_gives_way_to_a_new_cluster(
    environ: MutableMapping[str, str], tmp_path: Path, head: socket.socket
) -> None:
    environ.pop("RAY_ADDRESS", None)
    environ["RAY_TMPDIR"] = str(tmp_path)
    assert address("ray") is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(name(head))
    assert address("ray") is None
    head.close()
    assert address("ray") == "local"
    assert address("ray://there") == "ray://there"


def test_an_address_in_the_environment_where_nobody_answers_is_one_line(
    environ: MutableMapping[str, str], head: socket.socket
) -> None:
    environ["RAY_ADDRESS"] = name(head)
    assert address("ray") is None
    head.close()
    with pytest.raises(UserError, match="workers ray: no cluster answers at RAY_ADDRESS 127"):
        address("ray")
