"""Write a router configuration from the scores of a search: prompts similar to those that one expert
answers correctly go to that expert.

    python examples/router.py RUN router.yaml
    vllm-sr config validate --config router.yaml

RUN is a finished search. Its result.json contains the score of every expert on every dev example. The
examples that one expert answers correctly, but the merged model does not, become that expert's
signal: the vLLM Semantic Router compares a prompt with their embeddings. All other prompts go to the
merged model. The file follows version 0.3 of the router's configuration format. vLLM must serve the
adapters under the names of the experts and `best` (`--lora-modules best=RUN/best ...`).
"""

import argparse
import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

import pyswarmopt_llm as sl

LEAST = 5  # dev examples that an expert must gain over the merged model, to get a signal
CANDIDATES = 20  # examples per signal
ENDPOINT = "localhost:8000"


def dev_prompts(config: dict, name: str) -> list[str]:
    """The questions of a task's dev examples, in the order of the stored scores."""
    options = inspect.signature(sl.load_task).parameters
    settings = {name: value for name, value in config.items() if name in options}
    for spec in config["tasks"]:
        task = sl.load_task(spec, **settings)
        if task.name == name:
            return [item.question for item in task.dev]
    raise SystemExit(f"{name} is not a task that can be loaded again")


def right(model: dict, task: str) -> list[bool]:
    """Whether each dev example is answered correctly; one without a score is not."""
    items = model["dev"]["tasks"][task]["items"]
    return [float(item) == 1.0 for item in items]


def gains(result: dict, task: str, prompts: list[str]) -> dict[str, list[str]]:
    """Expert -> prompts that it gains over the merged model; the best expert takes a prompt first."""
    best = right(result["models"]["best"], task)
    taken = set()
    gained = {}
    experts = result["experts"]
    for name in sorted(experts, key=lambda name: -experts[name]["dev"]["value"]):
        has = right(experts[name], task)
        ahead = [k for k, value in enumerate(has) if value and not best[k] and k not in taken]
        if len(ahead) >= LEAST:
            gained[name] = [prompts[k] for k in ahead]
            taken.update(ahead)
    return gained


def configuration(base: str, gained: dict[str, list[str]]) -> dict:
    """The router's document: a signal and a decision per expert; the merged model gets the rest."""
    signals = [
        {
            "name": f"like_{name}",
            "threshold": 0.75,
            "candidates": prompts[:CANDIDATES],
            "aggregation_method": "max",
        }
        for name, prompts in gained.items()
    ]
    decisions = [
        decision(base, name, 100, [{"type": "embedding", "name": f"like_{name}"}])
        for name in gained
    ]
    decisions.append(decision(base, "best", 1, []))
    adapters = [{"name": name} for name in ("best", *gained)]
    backend = {"name": "primary", "provider": "vllm", "endpoint": ENDPOINT, "protocol": "http"}
    return {
        "version": "v0.3",
        "listeners": [{"name": "http-8899", "address": "127.0.0.1", "port": 8899}],
        "providers": {
            "defaults": {"model": base},
            "models": [{"name": base, "backend_refs": [backend]}],
        },
        "routing": {
            "modelCards": [{"name": base, "loras": adapters}],
            "signals": {"embeddings": signals},
            "decisions": decisions,
        },
    }


def decision(base: str, adapter: str, priority: int, conditions: list[dict]) -> dict:
    """A decision that sends prompts that meet the conditions to an adapter."""
    return {
        "name": f"{adapter}-route",
        "priority": priority,
        "rules": {"operator": "AND", "conditions": conditions},
        "modelRefs": [{"model": base, "lora_name": adapter, "use_reasoning": False}],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    result = json.loads((options.run / "result.json").read_text(encoding="utf-8"))
    run = json.loads((options.run / "run.json").read_text(encoding="utf-8"))
    gained = {}
    for task in result["objectives"]:
        for name, prompts in gains(result, task, dev_prompts(run["config"], task)).items():
            gained.setdefault(name, []).extend(prompts)
    for name, prompts in gained.items():
        print(f"{name} answers {len(prompts)} dev examples that the merged model gets wrong")
    if not gained:
        raise SystemExit(
            f"no expert gains {LEAST} dev examples over the merged model; a router is not needed"
        )
    document = configuration(run["base_name"], gained)
    options.out.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
