"""Commands and code to copy: repeating the search, using its result, next steps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from string import Template

from pyswarmopt_llm.common.config import PROMPTS, SearchConfig, changed, command, search_command
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Form, Item
from pyswarmopt_llm.searching.scoring.result import Result, read_result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About, read_about

Step = tuple[str, str]  # purpose and command
Labelling = tuple[str, Form | None] | None  # a task with choices, and the form of its questions
_READING = (  # first lines of a task file
    "metrics", "max_new_tokens", "columns", "template", "system", "thinking",
    "split_seed", "skip_bad_rows", "scoring", "allow_overlap",
)  # fmt: skip
_LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained($base)
tokenizer = AutoTokenizer.from_pretrained($base)
model = PeftModel.from_pretrained(base, $best)"""
_LOAD_MODEL = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained($best)
tokenizer = AutoTokenizer.from_pretrained($best)"""
_LABEL = '''\
import torch
from peft import AutoPeftModelForCausalLM  # or AutoModelForCausalLM of transformers, with the same directory
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained($best, dtype="auto").eval()
tokenizer = AutoTokenizer.from_pretrained($base)
REPLIES = $replies
SYSTEM = $system
PROMPT = $prompt

def label(row):
    """The answer to a row, {column: text}; a column stands for its name in braces."""
    text = PROMPT
    for name, value in row.items():
        text = text.replace("{" + name + "}", value)
    turns = [{"role": "system", "content": SYSTEM}] if SYSTEM else []
    turns.append({"role": "user", "content": text})
    chat = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return max(REPLIES, key=lambda answer: score(chat, REPLIES[answer]))

def score(chat, reply):
    head, tail, ids = tokenizer([chat, reply, chat + reply], add_special_tokens=False).input_ids
    start = len(head)
    if ids[:start] != head:  # a token would cross the border
        ids = head + tail
    with torch.inference_mode():
        found = model(torch.tensor([ids])).logits[0, start - 1 : -1].float().log_softmax(-1)
    return sum(float(row[token]) for row, token in zip(found, ids[start:]))$per_byte'''


def evaluation(about: About, model: str, against: str | None = None) -> str:
    """The command that scores an adapter of a search's base, or a model, on test of its first task.

    Args:
        about: content of ``run.json``.
        model: the model to score.
        against: model to compare with.

    Example:
        >>> config = SearchConfig("b", (), ("t.csv",), "r", space="delta", columns=("label=team",))
        >>> evaluation(About(config, {}), "runs/a/best")
        'swarm-llm eval --base b --adapter runs/a/best --task t.csv --columns label=team'
        >>> evaluation(About(SearchConfig("", (), ("t.json",), "r", space="full"), {}), "m", against="n")
        'swarm-llm eval --base m --task t.json --against n'
        >>> two = SearchConfig("b", (), ("t",), "r", space="delta", metrics=("f1", "bleu"))
        >>> evaluation(About(two, {}), "a")
        'swarm-llm eval --base b --adapter a --task t --metric f1'
    """
    config = about.config
    adapter = about.kind.adapters
    config = replace(config, metrics=config.metrics[:1])  # an evaluation takes one metric
    reading = _READING if len(config.tasks) == 1 else ()  # each of several tasks may have its own
    return command(
        "eval",
        base=config.base if adapter else model,
        adapter=model if adapter else None,
        tasks=config.tasks[:1],
        against=against,
        **changed({name: getattr(config, name) for name in reading}),
    )


def with_relative_paths(config: SearchConfig) -> SearchConfig:
    """The configuration with paths relative to the working directory, if below it.

    Example:
        >>> with_relative_paths(SearchConfig("org/base", ("/x/y",), (str(Path.cwd() / "t.csv"),), "r")).tasks
        ('t.csv',)
    """
    experts = tuple(map(_near, config.experts))
    tasks = tuple(map(_near, config.tasks))
    base = _near(config.base)
    out = _near(config.out)
    return replace(config, experts=experts, tasks=tasks, base=base, out=out)


def _near(path: str) -> str:
    prefix = PROMPTS if path.startswith(PROMPTS) else ""
    here = Path.cwd()
    below = Path(path.removeprefix(prefix))
    inside = below.is_absolute() and here in below.parents
    return f"{prefix}{below.relative_to(here)}" if inside else path


def usage(about: About, result: Result) -> Iterator[Step]:
    """Uses of the result: (purpose, code to copy)."""
    config = with_relative_paths(about.config)
    best = f"{_run(config)}/best"
    library = about.kind.library
    if library:
        base = about.base_name or config.base
        yield f"Load it with {library}", loading(library, base, best)
    if (labelling := labelled(about, result)) is None:
        yield "Ask a question", f"{command('generate', run=config.out)} 'YOUR QUESTION'"
    else:
        yield from labelling_commands(config, *labelling)
        if code := labelling_code(about, result, best):
            yield "Label with PEFT or transformers", code
    if len(config.tasks) == 1:
        yield "Evaluate it again", command("eval", run=config.out, metrics=_metric(config))


def _metric(config: SearchConfig) -> str | None:
    """The metric that the command has to name again."""
    if not config.metrics:
        return None
    from pyswarmopt_llm.scores.metrics.named_again import metric_to_name

    return metric_to_name(config)


def labelled(about: About, result: Result) -> Labelling:
    """The first task with choices, and its form (None if unknown); None without such a task."""
    for name in about.task_names or about.forms or ():
        objective = result.objectives.get(name)
        if objective is None or objective.scoring not in ("letter", "likelihood"):
            continue
        form = (about.forms or {}).get(name)
        if objective.metric != "perplexity" if about.forms is None else form and not form.written:
            return name, form
    return None


def chooses(run: Path) -> bool:
    """Whether a run has a result that compares options: its replies were never scored."""
    result = read_result(run)
    return result is not None and labelled(read_about(run), result) is not None


def labelling_code(about: About, result: Result, best: str) -> str:
    """Python that labels with the files in `best`; "" if labels are unknown or differ between rows."""
    task, form = labelled(about, result) or ("", None)
    if not about.kind.adapters or form is None or not form.choices:
        return ""
    scoring = result.objectives[task].answer_format or "likelihood"
    letters = scoring == "letter"
    replies = {text: letter if letters else text for letter, text in form.choices.items()}
    prompt = user_turn(form, scoring).replace("{question}", f"{{{form.column}}}")
    system = about.config.system
    return labels_in_python(about.base, best, replies, prompt, system, per_byte=not letters)


def user_turn(form: Form | None, scoring: Scoring) -> str:
    """The user turn, with column names in braces for the parts of a question."""
    unknown = {} if form and form.written else {"A": "{option A}", "B": "{option B}"}
    choices = (form and form.choices) or unknown
    template = form.prompt if form else None
    columns = {name: f"{{{name}}}" for name in placeholders(template)} if template else {}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return render_prompt(item, scoring, template)


def labelling_commands(config: SearchConfig, task: str, form: Form | None) -> Iterator[Step]:
    """(purpose, command): for a question of the search, if known, and last for a file.

    Args:
        config: the run's configuration.
        task: name of the task.
        form: form of its questions, see `labelled`.

    Example:
        >>> form = Form("body", {"A": "card", "B": "loan"}, None, "Lost it!")
        >>> [command for _, command in labelling_commands(SearchConfig("b", (), ("t.csv",), "r"), "t", form)]
        ["swarm-llm predict --run r --text 'Lost it!'", 'swarm-llm predict --run r new.csv --out labelled.csv']
    """
    predict = command("predict", run=config.out, task=task if len(config.tasks) > 1 else None)
    if form is not None and form.choices and form.example:
        yield "Label a question", f"{predict} {shlex.join(['--text', form.example])}"
    yield "Label new rows", f"{predict} new.csv --out labelled.csv"


def next_steps(kind: str, about: About, result: Result, out: str | None = None) -> Iterator[Step]:
    """(purpose, command): one or two next steps for a verdict, besides reading the report.

    Args:
        kind: kind of the `Verdict`.
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it started.
    """
    config = with_relative_paths(replace(about.config, out=out or about.config.out))
    here = replace(about, config=config)
    run = _run(config)
    typed = replace(with_relative_paths(about.typed), out=config.out)
    if kind == "gamed":
        yield "read the replies", command("report", run)
        return
    if UNTRAINED in about.notes:
        more = replace(typed, dev=None, out=f"{run}-more")  # `--dev` may have left some out
        yield "train the result, too, with more examples", search_command(more)
    if kind == "better":
        yield from _after_success(here, labelled(about, result))
        return
    single = dict(zip(result.coefficients, config.experts, strict=False)).get(result.best_single)
    if kind in ("worse", "same") and config.tasks and single and about.kind.adapters:
        yield "score the best adapter", evaluation(here, single)
    if UNTRAINED not in about.notes:
        seed = config.seed + 1
        other = replace(typed, seed=seed, out=f"{run}-seed{seed}")
        yield "search with another seed", search_command(other)


def _after_success(about: About, labelling: Labelling) -> Iterator[Step]:
    """Use and publish the result."""
    run = _run(about.config)
    if labelling is not None:
        *_, (purpose, line) = labelling_commands(about.config, *labelling)
        yield purpose[0].lower() + purpose[1:], line
    elif about.kind.library:
        yield "merge it for Ollama or vLLM", command("export", run, out=f"{run}-merged")
    if about.kind.library:  # else its files contain paths of this machine
        yield "publish it", shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
    else:
        yield "score it again", command("eval", run=run)


def _run(config: SearchConfig) -> str:
    return config.out.rstrip("/")


# Code to copy


def loading(library: str, base: str, best: str) -> str:
    """Python that loads a search's files.

    Args:
        library: peft or transformers.
        base: the adapter's base; "" for a whole model.
        best: the directory.

    Example:
        >>> print(loading("transformers", "", "runs/a/best").splitlines()[2])
        model = AutoModelForCausalLM.from_pretrained('runs/a/best')
    """
    template = _LOAD_ADAPTER if library == "peft" else _LOAD_MODEL
    return Template(template).substitute(base=repr(base), best=repr(best))


def labels_in_python(
    base: str,
    best: str,
    replies: Mapping[str, str],
    prompt: str,
    system: str | None,
    per_byte: bool,
) -> str:
    """Python that labels with a search's files.

    Args:
        base: base; its tokenizer is used.
        best: directory of the adapter.
        replies: label -> reply whose probability is compared.
        prompt: user turn, with column names in braces.
        system: the system turn.
        per_byte: whether a reply's log-probability is divided by its length.

    Example:
        >>> text = labels_in_python("org/b", "best", {"card": "A"}, "{question}", None, per_byte=False)
        >>> print(text.splitlines()[6])
        REPLIES = {'card': 'A'}
    """
    return Template(_LABEL).substitute(
        base=repr(base),
        best=repr(best),
        replies=repr(replies),
        prompt=repr(prompt),
        system=repr(system),
        per_byte=" / len(reply.encode())" if per_byte else "",
    )
