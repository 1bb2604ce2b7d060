"""What the tests of workers share: a space that fails as told, and how a search has to end."""

from __future__ import annotations

import json
import os
from pathlib import Path

from search_helpers import history, lasting

from pyswarmopt_llm.common.config import SearchConfig

# Mixes adapters as `delta`, and fails in workers at those calls that the file `plan` names.
FRAGILE = '''
import os, pathlib, signal, time
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.mix.kind import SpaceKind

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

def meet(number):
    """Wait for another call to begin, three minutes at most."""
    for _ in range(18_000):
        if (HERE / f"call-{number}").exists():
            return
        time.sleep(0.01)
    raise TimeoutError(f"call {number} did not begin")

def fail():
    test, *lines = (HERE / "plan").read_text().splitlines()
    if os.getpid() == int(test):
        return
    plan = dict(line.split() for line in lines)
    number = call()
    fault = plan.get(str(number))
    if fault == "raise":
        raise KeyError("injected")
    if fault == "memory":
        raise MemoryError("injected")
    if fault == "hang":
        time.sleep(1000)
    if fault == "meet":
        meet(number + 1)
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)

class Fragile(DeltaSpace):
    def realise(self, position):
        fail()
        return super().realise(position)

fragile = SpaceKind("fragile.py:fragile", Fragile, linear=True, published=True)
'''


def plan(config: SearchConfig, faults: dict[int, str]) -> None:
    """From now on mixtures made in workers are counted from 0, and these numbers fail so."""
    folder = Path(config.tasks[0]).parent
    for call in folder.glob("call-*"):
        call.unlink()
    lines = [str(os.getpid()), *(f"{call} {fault}" for call, fault in faults.items())]
    (folder / "plan").write_text("\n".join(lines))


def same_end(run: str | Path, reference: str | Path) -> None:
    one, other = Path(run), Path(reference)
    assert history(one) == history(other)
    results = [lasting(json.loads((r / "result.json").read_text())) for r in (one, other)]
    assert results[0] == results[1]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (one / "best" / name).read_bytes() == (other / "best" / name).read_bytes()
