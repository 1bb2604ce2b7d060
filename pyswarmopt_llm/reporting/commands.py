"""Commands and code to copy: the search again, its result in use, and what to do after the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.options import option_form, options_of
from pyswarmopt_llm.spaces import space_kind
from pyswarmopt_llm.tasks.prompt_lists import PROMPTS

Json = Mapping[str, Any]
_IMPORT = "from transformers import AutoModelForCausalLM, AutoTokenizer"
_READING = (  # of a task
    *("metrics", "max_new_tokens", "columns", "template", "split_seed", "skip_bad_rows", "scoring"),
    "allow_overlap",
)


def command_line(config: Json) -> str:
    """The `swarm-llm search` command of a `SearchConfig` (as a dict), without default values.

    Example:
        >>> command_line({"base": "b", "experts": ["x", "y z"], "tasks": ["t.json"], "out": "r", "seed": 3})
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    base = ["--base", config["base"]] if config["base"] else []
    words = ["swarm-llm", "search", *base, "--experts", *config["experts"]]
    for task in config["tasks"]:
        words += task_words(task)
    words += ["--out", config["out"]]
    own = ("base", "experts", "tasks", "out")
    return shlex.join([*words, *option_words({key: value for key, value in config.items() if key not in own})])


def task_words(task: str) -> list[str]:
    """How the command line names a task.

    Example:
        >>> task_words("quiz.csv"), task_words("prompts:asks.txt")
        (['--task', 'quiz.csv'], ['--prompts', 'asks.txt'])
    """
    file = task.removeprefix(PROMPTS)
    return ["--task", task] if file == task else ["--prompts", file]


def as_typed(run: Json) -> Json:
    """The configuration in ``run.json`` without what the preset chose: what was given.

    Example:
        >>> config = {"base": "b", "preset": "auto", "space": "delta", "particles": 8}
        >>> as_typed({"config": config, "given": {"particles": 8}, "chosen": {"preset": "auto", "space": "delta"}})
        {'base': 'b', 'particles': 8}
    """
    chosen = run.get("chosen", {})
    return {name: value for name, value in run["config"].items() if name not in chosen} | run.get("given", {})


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
    words += [*task_words(config["tasks"][0]), *([] if against is None else ["--against", against])]
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
        option = options.get(key)
        for one in value if isinstance(value, list | tuple) else [value]:
            yield from option_form(key, option)
            if one is not True:
                yield str(one)


def near(config: Json) -> dict[str, Any]:
    """A `SearchConfig` with paths below the working directory as seen from there.

    Example:
        >>> near({"base": "org/base", "tasks": [str(Path.cwd() / "t.csv")], "experts": ["/x/y"], "out": "r"})["tasks"]
        ['t.csv']
    """
    shown = dict(config)
    for name in ("experts", "tasks"):
        shown[name] = [_near(path) for path in config.get(name, ())]
    for name in ("base", "out"):
        if config.get(name):
            shown[name] = _near(config[name])
    return shown


def _near(path: str) -> str:
    if path.startswith(PROMPTS):
        return PROMPTS + _near(path.removeprefix(PROMPTS))
    here, below = Path.cwd(), Path(path)
    return str(below.relative_to(here)) if below.is_absolute() and below != here and here in below.parents else path


def usage(config: Json, base: str, run: Json | None = None, result: Json | None = None) -> list[tuple[str, str]]:
    """How to use the result: (purpose, code to copy).

    Args:
        config: the run's configuration.
        base: the base's public name.
        run: ``run.json``, for what its tasks ask.
        result: ``result.json``.
    """
    best, library = f"{_run(config)}/best", _library(config)
    found = []
    if library == "transformers":
        found.append(("Load it with transformers", "\n".join([_IMPORT, "", *_loading("model", best)])))
    elif library == "peft":
        code = ["from peft import PeftModel", _IMPORT, "", *_loading("base", base)]
        code.append(f"model = PeftModel.from_pretrained(base, {best!r})")
        found.append(("Load it with peft", "\n".join(code)))
    labelling = labelled(run or {}, result or {})
    if labelling is None:
        words = ["swarm-llm", "generate", "--run", config["out"], "YOUR QUESTION"]
        found.append(("Ask a question", shlex.join(words)))
    else:
        found += list(labelling_commands(config, *labelling))
    if len(config["tasks"]) == 1:
        found.append(("Evaluate it again", shlex.join(["swarm-llm", "eval", "--run", config["out"]])))
    return found


def labelled(run: Json, result: Json) -> tuple[str, Json] | None:
    """The first task whose items have choices, and its form in ``run.json``, empty if unknown; None if there is none.

    Args:
        run: ``run.json``.
        result: ``result.json``.
    """
    names = list(run.get("fingerprints", {}).get("tasks", {})) or list(run.get("forms", {}))
    for name in names:
        scored = result.get("tasks", {}).get(name, result).get("scoring")
        written = result.get("metrics", {}).get(name) == "perplexity"
        known = run["forms"].get(name) if "forms" in run else {} if not written else None
        if scored in ("letter", "likelihood") and known is not None:
            return name, known
    return None


def labelling_commands(config: Json, task: str, form: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): for a question of the search, where it is known, and, the last, for a file.

    Args:
        config: the run's configuration.
        task: its name.
        form: of its questions, see `labelled`.

    Example:
        >>> form = {"choices": {"A": "card", "B": "loan"}, "example": "Lost it!"}
        >>> [command for _, command in labelling_commands({"out": "r", "tasks": ["t.csv"]}, "t", form)]
        ["swarm-llm predict --run r --text 'Lost it!'", 'swarm-llm predict --run r new.csv --out labelled.csv']
    """
    words = ["swarm-llm", "predict", "--run", config["out"]]
    several = ["--task", task] if len(config["tasks"]) > 1 else []
    if form.get("choices") and form.get("example"):
        yield "Label a question", shlex.join([*words, *several, "--text", form["example"]])
    yield "Label new rows", shlex.join([*words, *several, "new.csv", "--out", "labelled.csv"])


def next_steps(
    kind: str, result: Json, config: Json, typed: Json | None = None, about: Json | None = None
) -> Iterator[tuple[str, str]]:
    """(purpose, command): what to do after a verdict of that kind beside reading the report, one to three things.

    Args:
        kind: of the `Verdict`.
        result: ``result.json``.
        config: the configuration in ``run.json``.
        typed: what of it was given (`as_typed`); None: all of it.
        about: ``run.json``.
    """
    run, partly = _run(config), bool(config["tasks"]) and _tested_partly(config, about or {})
    if kind in ("worse", "same"):
        own = _given(result["best_single"], result, config)
        if config["tasks"] and own:
            yield "score that expert", evaluation(config, own)
    elif kind == "better":
        labelling = labelled(about or {}, result)
        if labelling is not None:
            purpose, command = next(labelling_commands(config, *labelling))
            yield purpose[0].lower() + purpose[1:], command
        if partly:
            yield "score it on all test items", evaluation(config, f"{run}/best")
        elif _library(config) and labelling is None:
            words = ["swarm-llm", "export", run, "--format", "gguf", "--out", f"{run}-gguf"]
            yield "run it in llama.cpp or Ollama", shlex.join(words)
        yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
        return
    elif kind == "level" and partly:
        single = _given(result["best_single"], result, config)
        if single is not None:
            yield "compare them on all test items", evaluation(config, f"{run}/best", against=single)
    yield _again({**(config if typed is None else typed), "out": config["out"]})


def _tested_partly(config: Json, about: Json) -> bool:
    """Whether the tasks have test items that were not scored, as far as is known."""
    left = about.get("left", {}).values()
    return any(left) if left else config.get("test") is not None


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
