"""Commands and code to copy: the search again, its result in use, and what to do after the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pyswarmopt_llm.common.config import RETIRED, SearchConfig
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.spaces import space_kind

Json = Mapping[str, Any]
_IMPORT = "from transformers import AutoModelForCausalLM, AutoTokenizer"
_READING = ("metrics", "columns", "template", "split_seed", "scoring", "allow_overlap")  # of a task


def command_line(config: Json) -> str:
    """The `swarm-llm search` command of a `SearchConfig` (as a dict), without default values.

    Example:
        >>> command_line({"base": "b", "experts": ["x", "y z"], "tasks": ["t.json"], "out": "r", "seed": 3})
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    base = ["--base", config["base"]] if config["base"] else []
    words = ["swarm-llm", "search", *base, "--experts", *config["experts"]]
    for task in config["tasks"]:
        words += ["--task", task]
    words += ["--out", config["out"]]
    own = ("base", "experts", "tasks", "out", *RETIRED)
    return shlex.join([*words, *option_words({key: value for key, value in config.items() if key not in own})])


def evaluation(config: Json, model: str, against: str | None = None) -> str:
    """The command that scores an adapter of a search's base, or a model, on test of its first task.

    Args:
        config: of the search.
        model: what is scored.
        against: what it is compared with.

    Example:
        >>> evaluation({"base": "b", "tasks": ["t.csv"], "columns": ["label=team"]}, "runs/a/best")
        'swarm-llm eval --base b --adapter runs/a/best --task t.csv --columns label=team'
        >>> evaluation({"base": None, "tasks": ["t.json"], "space": "full"}, "m", against="n")
        'swarm-llm eval --base m --task t.json --against n'
    """
    base = _base(config)
    words = ["--base", model] if base is None else ["--base", base, "--adapter", model]
    words += ["--task", config["tasks"][0], *([] if against is None else ["--against", against])]
    known = _READING if len(config["tasks"]) == 1 else ()  # of several tasks each may have its own
    words += option_words({key: config[key] for key in known if key in config})
    return shlex.join(["swarm-llm", "eval", *words])


def option_words(config: Json) -> Iterator[str]:
    """The words of those fields of a `SearchConfig` that do not have their default values.

    Example:
        >>> list(option_words({"columns": ["question=body", "label=team"], "dev": 40, "test": None}))
        ['--columns', 'question=body,label=team', '--dev', '40']
    """
    options = options_of(SearchConfig)
    for key, value in config.items():
        if value in (getattr(SearchConfig, key), []):
            continue
        if key in options and options[key].commas:
            value = ",".join(value)
        for one in value if isinstance(value, list | tuple) else [value]:
            yield f"--{option_name(key, options.get(key))}"
            if one is not True:
                yield str(one)


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
    if len(config["tasks"]) == 1:
        found.append(("Evaluate it again", f"swarm-llm eval --run {run}"))
    return found


def next_steps(kind: str, result: Json, config: Json, chosen: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """(purpose, command): what to do after a verdict of that kind beside reading the report, one or two things.

    Args:
        kind: of the `Verdict`.
        result: ``result.json``.
        config: the configuration in ``run.json``.
        chosen: those of its settings that a preset chose.
    """
    run = _run(config)
    if kind in ("worse", "same"):
        own = _given(result["best_single"], result, config)
        if config["tasks"] and own:
            yield "score that expert", evaluation(config, own)
    elif kind == "better":
        if config["tasks"] and config.get("test") is not None:
            yield "score it on all test items", evaluation(config, f"{run}/best")
        elif _library(config):
            words = ["swarm-llm", "export", run, "--format", "gguf", "--out", f"{run}-gguf"]
            yield "run it in llama.cpp or Ollama", shlex.join(words)
        yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
        return
    elif kind == "level" and config["tasks"] and config.get("test") is not None:
        single = _given(result["best_single"], result, config)
        if single is not None:
            yield "compare them on all test items", evaluation(config, f"{run}/best", against=single)
    yield _again({key: value for key, value in config.items() if key not in chosen})


def advised_steps(kind: str, expert: str, config: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): what to do after an advice of that kind.

    Args:
        kind: of `advice.advice`.
        expert: path of the best one.
        config: of the search that the advice is about; its `out` is the trial's directory.
    """
    out, base, known = _run(config), config["base"], {**config, "space": "delta"}  # its experts are adapters
    if kind == "take":
        yield "score that expert", evaluation(known, expert)
    elif kind == "merge":
        words = ["--base", base, "--experts", *config["experts"], "--method", "uniform-soup"]
        yield "merge them", shlex.join(["swarm-llm", "merge", *words, "--out", f"{out}-average"])
        yield "score the average", evaluation(known, f"{out}-average")
    elif kind == "train" and not config.get("columns"):
        words = ["--base", base, "--loss", "options", "--data", *config["tasks"], "--out", f"{out}-trained"]
        yield "train on them alone", shlex.join(["swarm-llm", "train-expert", *words])
    if kind in ("train", "search", "collect"):
        yield "search all the same" if kind != "search" else "search", command_line({**config, "out": f"{out}-search"})


def _again(config: Json) -> tuple[str, str]:
    """A search on more dev items where ``--dev`` held some back, else with another seed."""
    if config.get("dev") is not None:
        more = {**config, "dev": 2 * config["dev"], "out": f"{_run(config)}-more"}
        if config.get("budget_items") is not None:
            more["budget_items"] = 2 * config["budget_items"]
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
