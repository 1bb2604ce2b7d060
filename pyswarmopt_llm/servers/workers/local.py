"""Workers that are processes on this machine; run as a module this file is the fork server that
they are forked from.

The fork server is a fresh process that loads what a search needs, with a single thread, and then
does nothing but fork: a worker begins within milliseconds, also in place of one that died, and the
memory of the base is shared by all of them but for the weights that candidates change. A GPU cannot
be shared that way: its workers load after the fork.

A process exits as soon as its socket to the search closes, so nothing outlives a search that is
killed.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.servers.workers.messages import (
        Failed,
        Load,
        Order,
        Ready,
        Refused,
        Reply,
        Resident,
    )


class ForkServer:
    """Starts workers on this machine.

    Args:
        config: the search's; its `threads` are a worker's, its `device` is named (``cpu``,
            ``cuda:0``).
        load: what a worker loads for a configuration, a function of a module.
    """

    def __init__(self, config: SearchConfig, load: Load) -> None:
        self._config, self._load, self._lock = config, load, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)

    @property
    def pid(self) -> int | None:
        """Of its process; None before the first worker is started."""
        return None if self._process is None else self._process.pid

    def start_worker(self, slot: int) -> LocalWorker:
        """Begin to start the worker of a slot."""
        near_end, far_end = socket.socketpair()
        with self._lock, far_end:
            try:
                self._order(slot, far_end)
            except OSError:  # the fork server died
                self._line = None
                self._order(slot, far_end)
        return LocalWorker(Connection(near_end.detach()), self._output)

    def close(self) -> None:
        """End the fork server; workers end when their own sockets are closed."""
        with self._lock:
            if self._line is not None and self._process is not None:
                self._line.close()
                self._process.kill()
                self._process.wait()
                self._line = None
            self._output.close()

    def _order(self, slot: int, far_end: socket.socket) -> None:
        if self._line is None:
            self._line = self._open()
        socket.send_fds(self._line, [slot.to_bytes(4, "big")], [far_end.fileno()])

    def _open(self) -> socket.socket:
        near_end, far_end = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TOKENIZERS_PARALLELISM": "false",  # its threads would not survive a fork
        }
        with far_end:
            self._process = subprocess.Popen(
                # -P: the current directory is not on its path, unless it is on that of this
                # process.
                [sys.executable, "-P", "-m", __name__, str(far_end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[far_end.fileno()],
                env=environment,
                process_group=0,  # Ctrl-C is for the search, which ends its workers
            )
        order = pickle.dumps((self._load, self._config))
        near_end.sendall(len(order).to_bytes(4, "big") + order)
        return near_end


class LocalWorker:
    """A process that carries out orders; a `messages.Worker`.

    Args:
        line: to it.
        output: of all processes; its end is quoted when one dies.
    """

    def __init__(self, line: Connection, output: IO[bytes]) -> None:
        self._line, self._output = line, output
        self._ready: Ready | Refused | Failed | None = None
        self._closed = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process; None before it has begun."""
        return getattr(self._ready, "pid", None)

    def start(self) -> Ready | Refused | Failed:
        """Wait until it has loaded everything."""
        if self._ready is None:
            self._ready = self._receive(None)
        return self._ready

    def ask(self, order: Order, timeout: float | None) -> Reply:
        """Let it do this; a process that does not answer in time is left to `close`."""
        try:
            _send(self._line, order)
        except OSError:
            return self._died()
        return self._receive(timeout)

    def close(self) -> None:
        """Kill the process; a pending `ask` returns that it died."""
        if not self._closed.acquire(blocking=False):
            return
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        with suppress(OSError), socket.socket(fileno=os.dup(self._line.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _receive(self, timeout: float | None) -> Any:
        from pyswarmopt_llm.servers.workers.messages import Failed

        try:
            if not self._line.poll(timeout):
                return Failed("timeout", f"no answer in {timeout:g} seconds")
            return _receive(self._line)
        except (OSError, EOFError):
            return self._died()

    def _died(self) -> Failed:
        from pyswarmopt_llm.servers.workers.messages import Failed

        words = ""
        if not self._output.closed:
            size = os.fstat(self._output.fileno()).st_size
            lines = (
                os.pread(self._output.fileno(), 2000, max(size - 2000, 0))
                .decode(errors="replace")
                .split("\n")
            )
            words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return Failed(
            "died", f"its process ended; last words: {words}" if words else "its process ended"
        )


# In the fork server, and in the workers forked from it


def main(descriptor: int) -> NoReturn:
    """Fork a worker for every socket that comes through this one, until it is closed."""
    import torch

    torch.set_num_threads(1)  # threads would not survive a fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers are not waited for
    with socket.socket(fileno=descriptor) as line:
        size = int.from_bytes(line.recv(4, socket.MSG_WAITALL), "big")
        load, config = pickle.loads(line.recv(size, socket.MSG_WAITALL))
        loaded = (
            loaded_or_failed(load, replace(config, threads=1)) if config.device == "cpu" else None
        )
        while True:
            slot, (far_end, *_), _, _ = _next_worker(line)
            if os.fork() == 0:
                line.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _work(Connection(far_end), load, config, loaded, int.from_bytes(slot, "big"))
            os.close(far_end)


def _next_worker(line: socket.socket) -> tuple[bytes, list[int], int, Any]:
    slot, sockets, flags, address = socket.recv_fds(line, 4, 1)
    if not sockets:  # the search is gone
        os._exit(0)
    return slot, sockets, flags, address


def loaded_or_failed(load: Load, config: SearchConfig) -> Resident | Refused | Failed:
    """What workers need, or why there is none."""
    from pyswarmopt_llm.common.errors import UserError
    from pyswarmopt_llm.servers.workers.messages import Failed, Refused

    try:
        return load(config)
    except UserError as error:
        return Refused(error.text)
    except Exception as error:  # such as too little memory
        return Failed("start", f"{type(error).__name__}: {error}")


def _work(
    line: Connection,
    load: Load,
    config: SearchConfig,
    loaded: Resident | Refused | Failed | None,
    slot: int,
) -> NoReturn:
    """Carry out orders until the socket is closed."""
    import torch

    from pyswarmopt_llm.servers.workers.messages import Failed, Handler, Refused

    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, orders), daemon=True).start()
    torch.set_num_threads(config.threads or 1)
    resident = loaded or loaded_or_failed(load, _on_device(config, slot))
    if isinstance(resident, Refused | Failed):
        _send(line, resident)
        os._exit(1)
    handler = Handler(resident)
    _send(line, handler.ready)
    while True:
        _send(line, handler.answer(orders.get()))


def _on_device(config: SearchConfig, slot: int) -> SearchConfig:
    """With several GPUs each worker has the next one."""
    import torch

    gpus = torch.cuda.device_count()
    return (
        replace(config, device=f"cuda:{slot % gpus}")
        if config.device in ("auto", "cuda") and gpus > 1
        else config
    )


def _listen(line: Connection, orders: queue.SimpleQueue[Any]) -> None:
    """Pass orders on; when the search is gone, end the process, whatever it does."""
    try:
        while True:
            orders.put(_receive(line))
    finally:
        os._exit(0)


def _send(line: Connection, what: object) -> None:
    # Not with `Connection.send`, into which torch puts a way of its own to share tensors: by
    # descriptors, which leak.
    line.send_bytes(pickle.dumps(what))


def _receive(line: Connection) -> Any:
    return pickle.loads(line.recv_bytes())


if __name__ == "__main__":
    main(int(sys.argv[1]))
