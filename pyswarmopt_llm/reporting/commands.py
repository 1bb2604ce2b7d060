"""Commands and code to copy: the search again, its result in use, and what to do after the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pyswarmopt_llm.common.config import DEV_EXPERT, RETIRED, SearchConfig
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.spaces import space_kind

Json = Mapping[str, Any]
_IMPORT = "from transformers import AutoModelForCausalLM, AutoTokenizer"


def command_line(config: Json) -> str:
    """The `swarm-llm search` command of a `SearchConfig` (as a dict), without default values.

    Example:
        >>> command_line({"base": "b", "experts": ["x", "y z"], "tasks": ["t.json"], "out": "r", "seed": 3})
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    options = options_of(SearchConfig)
    base = ["--base", config["base"]] if config["base"] else []
    words = ["swarm-llm", "search", *base, "--experts", *config["experts"]]
    for task in config["tasks"]:
        words += ["--task", task]
    words += ["--out", config["out"]]
    for key, value in config.items():
        if key in ("base", "experts", "tasks", "out", *RETIRED) or value in (getattr(SearchConfig, key), []):
            continue
        option = f"--{option_name(key, options.get(key))}"
        if key in options and options[key].commas:
            value = ",".join(value)
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [option] + ([] if one is True else [str(one)])
    return shlex.join(words)


def evaluation(base: str | None, model: str, task: str) -> str:
    """The command that scores an adapter of a base, or without a base a model, on test.

    Example:
        >>> evaluation("b", "runs/a/best", "t.json"), evaluation(None, "m", "t.json")
        ('swarm-llm eval --base b --adapter runs/a/best --task t.json', 'swarm-llm eval --base m --task t.json')
    """
    words = ["--base", model] if base is None else ["--base", base, "--adapter", model]
    return shlex.join(["swarm-llm", "eval", *words, "--task", task])


def usage(config: Json, base: str) -> list[tuple[str, str]]:
    """How to use the result: (purpose, code to copy).

    Args:
        config: the run's configuration.
        base: the base's public name.
    """
    best, library = f"{_run(config)}/best", _library(config)
    found = []
    if library == "transformers":
        found.append(("Load it with transformers", "\n".join([_IMPORT, "", *_loading("model", best)])))
    elif library == "peft":
        code = ["from peft import PeftModel", _IMPORT, "", *_loading("base", base)]
        code.append(f"model = PeftModel.from_pretrained(base, {best!r})")
        found.append(("Load it with peft", "\n".join(code)))
    run = shlex.quote(config["out"])
    found.append(("Ask a question", f'swarm-llm generate --run {run} "Which planet is the largest?"'))
    again = [("Evaluate it again", evaluation(_base(config), best, task)) for task in config["tasks"][:1]]
    return found + again


def next_steps(kind: str, result: Json, config: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): what to do after a verdict of that kind, two or three things.

    Args:
        kind: of the `Verdict`.
        result: ``result.json``.
        config: the configuration in ``run.json``.
    """
    run = _run(config)
    yield "read the report", f"open {shlex.quote(f'{run}/report.html')}"
    if kind in ("worse", "same", "trained"):
        trained = kind == "trained" or result["coefficients"].get(DEV_EXPERT) == 1.0
        own = f"{run}/dev-expert/whole" if trained else _given(result["best_single"], result, config)
        if config["tasks"] and own:
            yield "score that expert", evaluation(_base(config), own, config["tasks"][0])
    elif kind == "better":
        if config["tasks"] and config.get("test") is not None:
            yield "score it on all test items", evaluation(_base(config), f"{run}/best", config["tasks"][0])
        elif _library(config):
            words = ["swarm-llm", "export", run, "--format", "gguf", "--out", f"{run}-gguf"]
            yield "run it in llama.cpp or Ollama", shlex.join(words)
        yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
        return
    yield _again(config)


def advised_steps(kind: str, expert: str, config: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): what to do after an advice of that kind.

    Args:
        kind: of `advice.advice`.
        expert: path of the best one.
        config: of the search that the advice is about; its `out` is the trial's directory.
    """
    out, base, task = _run(config), config["base"], config["tasks"][0]
    if kind == "take":
        yield "score that expert", evaluation(base, expert, task)
    elif kind == "merge":
        words = ["--base", base, "--experts", *config["experts"], "--method", "uniform-soup"]
        yield "merge them", shlex.join(["swarm-llm", "merge", *words, "--out", f"{out}-average"])
        yield "score the average", evaluation(base, f"{out}-average", task)
    elif kind == "train":
        yield "score the adapter that was trained", evaluation(base, f"{out}/dev-expert/whole", task)
    if kind in ("train", "search", "collect"):
        yield "search all the same" if kind != "search" else "search", command_line({**config, "out": f"{out}-search"})


def _again(config: Json) -> tuple[str, str]:
    """A search on more dev items where ``--dev`` held some back, else with another seed."""
    if config.get("dev") is not None:
        more = {**config, "dev": 2 * config["dev"], "out": f"{_run(config)}-more"}
        return "search on more dev items", command_line(more)
    seed = config.get("seed", 0) + 1
    return "search with another seed", command_line({**config, "seed": seed, "out": f"{_run(config)}-seed{seed}"})


def _given(expert: str, result: Json, config: Json) -> str | None:
    """The path of one of the experts that the search was given."""
    return dict(zip(result["coefficients"], config["experts"], strict=False)).get(expert)


def _run(config: Json) -> str:
    return str(config["out"]).rstrip("/")


def _base(config: Json) -> str | None:
    """The base of its adapters; None where the result is a model."""
    return str(config["base"]) if _library(config) == "peft" else None


def _library(config: Json) -> str | None:
    return space_kind(config.get("space", "factor")).library


def _loading(variable: str, name: str) -> list[str]:
    return [
        f"{variable} = AutoModelForCausalLM.from_pretrained({name!r})",
        f"tokenizer = AutoTokenizer.from_pretrained({name!r})",
    ]
