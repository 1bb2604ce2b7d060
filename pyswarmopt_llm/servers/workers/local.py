"""Workers as processes on this machine. Run as a module, this file is the fork server that forks
them.

The fork server is a fresh, single-threaded process that loads everything a search needs, and then
only forks. A worker, or its replacement, starts within milliseconds, and all share the base's
memory except for weights that candidates change. A GPU cannot be shared in this way: its workers
load after the fork.

When the search ends or is killed, its sockets close; then the fork server ends itself and all
workers.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

if TYPE_CHECKING:
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.servers.workers.worker import Handler, Load, Order, Reply

LONGEST = 6 * 3600.0  # most seconds of an order: slower evaluations make no search


class ForkServer:
    """Starts workers on this machine.

    Args:
        config: configuration of the search; its `threads` are for each worker, its `device` is
            explicit (``cpu``, ``cuda:0``).
        load: function of a module that loads a configuration in a worker.
        count: number of workers.
    """

    def __init__(self, config: SearchConfig, load: Load, count: int) -> None:
        self._order = pickle.dumps((load, config))
        self._count = count
        self._workers = WeakSet[LocalWorker]()  # their sockets close when no one uses them
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def size(self) -> int:
        """Number of workers."""
        return self._count

    def start(self, slot: int) -> LocalWorker:
        """Start the worker of a slot, without waiting."""
        near_end, far_end = socket.socketpair()
        with far_end:
            try:
                socket.send_fds(self._opened(), [slot.to_bytes(4, "big")], [far_end.fileno()])
            except OSError:  # the fork server died
                self.close()
                socket.send_fds(self._opened(), [slot.to_bytes(4, "big")], [far_end.fileno()])
        worker = LocalWorker(Connection(near_end.detach()))
        self._workers.add(worker)
        return worker

    @property
    def pid(self) -> int | None:
        """Identifier of its process; None before the first worker is started."""
        return None if self._process is None else self._process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory of the running workers."""
        return sum(memory_of(worker.pid) for worker in self._workers if worker.pid is not None)

    def close(self) -> None:
        """End the fork server and all workers."""
        if self._line is not None and self._process is not None:
            self._line.close()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._line = None

    def _opened(self) -> socket.socket:
        """The connection to the process, which is started on first use."""
        if self._line is not None:
            return self._line
        near_end, far_end = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TOKENIZERS_PARALLELISM": "false",  # its threads would not survive a fork
        }
        with far_end:
            process = subprocess.Popen(
                # -P: the current directory is on its path only if it is on this process's path.
                [sys.executable, "-P", "-m", __name__, str(far_end.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[far_end.fileno()],
                env=environment,
                process_group=0,  # Ctrl-C is handled by the search, which ends its workers
            )
        self._line = near_end
        self._process = process
        with process.stdin as order:  # type: ignore[union-attr]
            order.write(self._order)
        return near_end


class LocalWorker:
    """A process that carries out orders.

    Args:
        line: connection to the process.

    Attributes:
        pid: process id; None before the first order.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.pid: int | None = None

    def ask(self, order: Order) -> Reply:
        """Let the process evaluate a candidate, within `LONGEST` seconds after loading."""
        from pyswarmopt_llm.servers.workers.worker import Failure

        try:
            self.pid = self.pid or _receive(self._line)
            _send(self._line, order)
            if not self._line.poll(LONGEST):
                return Failure("timeout", f"no answer in {LONGEST:g} seconds")
            reply: Reply = _receive(self._line)
        except (OSError, EOFError):
            return Failure("died", "its process ended")
        return reply

    def close(self) -> None:
        """Kill the process; a pending `ask` reports its death."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        with suppress(OSError), socket.socket(fileno=os.dup(self._line.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def memory_of(pid: int) -> int:
    """Bytes of a process's memory, including its part of shared pages (Linux; elsewhere 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # already gone, or another system
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


# Code of the fork server and its workers


def main(descriptor: int) -> NoReturn:
    """Fork a worker for every socket received through this one, until it closes."""
    import torch

    from pyswarmopt_llm.servers.workers.worker import Handler

    torch.set_num_threads(1)  # threads would not survive a fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers are not waited for
    load, config = pickle.load(sys.stdin.buffer)
    loaded = Handler(load, replace(config, threads=1)) if config.device == "cpu" else None
    with socket.socket(fileno=descriptor) as line:
        while True:
            slot, sockets, _, _ = socket.recv_fds(line, 4, 1)
            if not sockets:  # the search is gone
                os.killpg(0, signal.SIGKILL)
            (far_end,) = sockets
            if os.fork() == 0:
                line.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                torch.set_num_threads(config.threads or 1)
                device = device_of(config, int.from_bytes(slot, "big"))
                _work(Connection(far_end), loaded or Handler(load, device))
            os.close(far_end)


def device_of(config: SearchConfig, slot: int) -> SearchConfig:
    """The configuration of a slot's worker; several GPUs are used in turn."""
    import torch

    gpus = torch.cuda.device_count()
    if config.device in ("auto", "cuda") and gpus > 1:
        return replace(config, device=f"cuda:{slot % gpus}")
    return config


def _work(line: Connection, handler: Handler) -> NoReturn:
    """Carry out orders until the socket closes."""
    try:
        _send(line, os.getpid())
        while True:
            _send(line, handler.answer(_receive(line)))
    finally:
        os._exit(0)


def _send(line: Connection, what: object) -> None:
    # Not `Connection.send`: torch would share tensors by descriptors, which leak.
    line.send_bytes(pickle.dumps(what))


def _receive(line: Connection) -> Any:
    return pickle.loads(line.recv_bytes())


if __name__ == "__main__":
    main(int(sys.argv[1]))
