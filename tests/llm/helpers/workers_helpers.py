"""What the tests of workers share: a score that fails as told, and how a search has to end."""

from __future__ import annotations

import json
from pathlib import Path

from search_helpers import history, lasting

from pyswarmopt_llm.common.config import SearchConfig

# Scores replies, and fails at those calls that the file `plan` names.
FRAGILE = '''
import os, pathlib, signal

HERE = pathlib.Path(__file__).parent

def call():
    """Number of this call, over all processes."""
    number = 0
    while True:
        try:
            os.close(os.open(HERE / f"call-{number}", os.O_CREAT | os.O_EXCL))
            return number
        except FileExistsError:
            number += 1

def fragile(prompts, replies):
    plan = dict(line.split() for line in (HERE / "plan").read_text().splitlines())
    fault = plan.get(str(call()))
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return [sum(map(ord, reply)) / 1000 for reply in replies]
'''

# Scores replies. Leaves a file for each call, and for each node of a Ray cluster; waits while there
# is a file `hold`, and for the node that a file `gate` names.
TRACED = '''
import os, pathlib, sys, time

HERE = pathlib.Path(__file__).parent

def node():
    """Of the Ray cluster, if any."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else "none"

def traced(prompts, replies):
    (HERE / f"node-{node()}").touch()
    (HERE / f"call-{time.time_ns()}-{os.getpid()}").write_text(node())
    gate = HERE / "gate"
    over = time.monotonic() + 100
    while time.monotonic() < over and (
        (HERE / "hold").exists()
        or gate.exists() and not (HERE / f"node-{gate.read_text()}").exists()
    ):
        time.sleep(0.02)
    return [sum(map(ord, reply)) / 1000 for reply in replies]
'''


def plan(config: SearchConfig, faults: dict[int, str]) -> None:
    """From now on calls of `fragile` are counted from 0, and those with these numbers fail so."""
    folder = Path(config.tasks[0]).parent
    for call in folder.glob("call-*"):
        call.unlink()
    (folder / "plan").write_text("\n".join(f"{call} {fault}" for call, fault in faults.items()))


def same_end(run: str | Path, reference: str | Path) -> None:
    one, other = Path(run), Path(reference)
    assert history(one) == history(other)
    results = [lasting(json.loads((r / "result.json").read_text())) for r in (one, other)]
    assert results[0] == results[1]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (one / "best" / name).read_bytes() == (other / "best" / name).read_bytes()
