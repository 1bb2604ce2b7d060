"""The model card of a result: origin, scores, reproduction.

The fields of its header: https://huggingface.co/docs/hub/model-cards and
https://huggingface.co/docs/hub/model-release-checklist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import SMALL, split_small_weights
from pyswarmopt_llm.report import remarks, words
from pyswarmopt_llm.report.commands import labelled, labelling_code, user_turn
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.pages import code, front_matter, plain, render
from pyswarmopt_llm.report.phrases import mixture_name, one_line, versions_text
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.parents import OTHER, Parent, may_be_on_hub
from pyswarmopt_llm.searching.scoring.result import Iterated, Result
from pyswarmopt_llm.searching.scoring.run_directory import About

MOST_CHOICES = 20  # most names in a card
_GENERATE = 'swarm-llm generate --base THIS_DIRECTORY "What do you want to know?"'
# Licences whose works may be relicensed under another of them, least demanding first.
_PERMISSIVE = (
    "cc0-1.0",
    "unlicense",
    "mit",
    "isc",
    "bsd-2-clause",
    "bsd-3-clause",
    "apache-2.0",
    "cc-by-4.0",
)


@dataclass(frozen=True)
class FileKind:
    """A kind of model files beside a card.

    Attributes:
        library: library that loads the files: peft or transformers.
        relation: relation to the base: adapter, merge or quantized.
        tags: tags of the format.
        sentence: how the files were made from the search's files; "" for the latter.
    """

    library: str
    relation: str
    tags: tuple[str, ...]
    sentence: str = ""


ADAPTER = FileKind("peft", "adapter", ("lora",))
MODEL = FileKind("transformers", "merge", ())


def licence_of(parents: Sequence[Parent]) -> tuple[str | None, str | None]:
    """The licence of a work derived from all parents, as far as stated; and a sentence about
    licences that conflict.

    A permissive licence gives way to a restrictive one; two different restrictive ones conflict.

    Example:
        >>> licence_of([Parent("base", "llama3.1"), Parent("a", "mit"), Parent("b", None)])
        ('llama3.1', None)
        >>> licence_of([Parent("b", "llama3.1"), Parent("a", "cc-by-nc-4.0")])[1]
        'Licences conflict (b: llama3.1, a: cc-by-nc-4.0); ask the authors before you publish this.'
    """
    stated = {parent.name: parent.licence for parent in parents if parent.licence is not None}
    strict = {name: licence for name, licence in stated.items() if licence not in _PERMISSIVE}
    if len({*strict.values()}) > 1:
        each = ", ".join(f"{name}: {licence}" for name, licence in strict.items())
        return None, f"Licences conflict ({each}); ask the authors before you publish this."
    if strict:
        return next(iter(strict.values())), None
    return max(stated.values(), key=_PERMISSIVE.index, default=None), None


def model_card(
    about: About, result: Result, parents: Sequence[Parent] = (), form: FileKind | None = None
) -> str:
    """The README.md of ``best/``, or of its export.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        parents: base and experts; the result inherits their licences.
        form: kind of the files; None: as in ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped. A card is published, so
        it contains no questions and nothing that needs the run.
    """
    form = form or (ADAPTER if about.kind.adapters else MODEL)
    found = findings(about, result)
    asked = labelled(about, result)
    task, questions = asked or _written(about)
    scoring = (result.objectives[task].answer_format if asked else None) or "likelihood"
    labelling = labelling_code(about, result, "THIS_DIRECTORY")
    loads_with_peft = form.relation == "adapter" and form.library == "peft"
    text = render(
        "pyswarmopt_llm/report/card.md.j2",
        **vars(found),
        header=_header(form, parents, about, result) if about.kind.library else "",
        form=form,
        title=_title(about, result),
        origin=_origin(about, result),
        example="" if about.kind.library or asked else _GENERATE,
        use=_use(about, task, questions, scoring) if task else "",
        prompt=user_turn(questions, scoring).splitlines() if task else [],
        about_scores=list(_about_scores(result)),
        lines=[*found.verdict.reasons, *found.remarks],
        code=labelling.splitlines() if loads_with_peft else [],
        weights=list(_weights(result)),
        licences=list(_licences(parents)),
        versions=versions_text(about.versions),
    )
    return text.rstrip() + "\n"


# Its parts


def _is_source(about: About, result: Result) -> bool:
    """Whether the mixture is the base or an expert itself, in files that a library loads."""
    mixture = mixture_name(result)
    return bool(about.kind.library) and (mixture == "base" or mixture.startswith("expert "))


def _title(about: About, result: Result) -> str:
    if not _is_source(about, result):
        return about.kind.title
    if result.best.trained:
        return f"A fine-tuned {'adapter' if about.kind.adapters else 'model'}"
    return f"{'An adapter' if about.kind.adapters else 'A model'} chosen by a search"


def _origin(about: About, result: Result) -> str:
    """The origin of the result, in Markdown."""
    if not _is_source(about, result):
        experts = _found_experts(about, result)
        return about.kind.description.format(base=code(about.base), experts=experts)
    what = "A LoRA adapter for" if about.kind.adapters else "A model like"
    experts = counted(len(result.coefficients), "expert")
    return (
        f"{what} {code(about.base)}: {_source(result)}, {_training(result)}. Chosen among mixtures "
        f"of {experts} by {_search(about, result)}"
    )


def _source(result: Result) -> str:
    mixture = mixture_name(result)
    if mixture != "base":
        return f"expert {code(mixture.removeprefix('expert '))}"
    return "a new one" if result.best.trained else "the base itself"


def _training(result: Result) -> str:
    if not result.best.trained:
        return "unchanged"
    use = result.expert_iteration
    return f"trained on {'the dev examples' if use is None else _replies(use)}"


def _found_experts(about: About, result: Result) -> str:
    """The experts of a mixture, how it was found, and its training."""
    weights = list(result.coefficients.values())
    used = sum(map(bool, weights))
    of = f"{used} of " if used < len(weights) else ""
    trained = "Nothing was trained."
    if result.best.trained:
        trained = f"What it found was {_training(result)}."
    experts = counted(len(weights), "expert")
    return f"{of}{experts}, found by {_search(about, result)} {trained}"


def _search(about: About, result: Result) -> str:
    evaluations = counted(result.cost.evaluations, "evaluation")
    config = about.config
    is_paper = config.method == "swarm" and config.optimizer == "model-swarms"
    source = "; Feng et al., 2024, arXiv:2410.11163" if is_paper else ""
    return f"a search in {evaluations} with {plain(remarks.method(about))}{source}."


def _replies(use: Iterated) -> str:
    """The replies used for training.

    Example:
        >>> from pyswarmopt_llm.searching.scoring.result import Iterated
        >>> _replies(Iterated(rounds=2, round=1, kept=40, replies=1600, tokens=64000))
        'its best replies to 40 prompts (expert iteration: 1 round, 1,600 replies written)'
    """
    rounds = counted(use.round, "round")
    written = f"(expert iteration: {rounds}, {use.replies:,} replies written)"
    return f"its best replies to {counted(use.kept, 'prompt')} {written}"


def _written(about: About) -> tuple[str, Form | None]:
    """The first task with written answers whose questions have a wording, and its form."""
    for name, form in (about.forms or {}).items():
        if form.written and form.prompt != "{question}":
            return name, form
    return "", None


def _use(about: About, task: str, questions: Form | None, scoring: Scoring) -> str:
    """How to ask a task, in Markdown."""
    system = about.config.system
    after = f" after the system turn {code(system)}" if system else ""
    turn = f"user turn of the chat{after}, with the question in place of `{{question}}`, is below"
    if questions and questions.written:
        return f"It writes answers ({code(task)}). The {turn}:"
    choices = list(questions.choices.values()) if questions and questions.choices else []
    named = "one of a question's options"
    if choices:
        more = len(choices) - MOST_CHOICES
        named = f"one of {', '.join(map(code, choices[:MOST_CHOICES]))}"
        named += f" and {more} more" if more > 0 else ""
    compared = "letter" if scoring == "letter" else "text, per byte,"
    return (
        f"It chooses {named}, by the {scoring} of each ({code(task)}), and is not meant to write. "
        f"The {turn}; of each option, the log-probability of its {compared} as the reply is compared:"
    )


def _about_scores(result: Result) -> Iterator[str]:
    if about_dev := words.about_dev(result):
        yield about_dev
    combination = words.combination(result)
    each = f"Each score is the {combination}. " if combination else ""
    yield f"{each}The search did not use test. Scoring: {result.scoring}."


def _weights(result: Result) -> Iterator[tuple[str, str]]:
    """Expert and weight as text; small weights are only counted."""
    weights, small = split_small_weights(result.coefficients)
    yield from ((name, f"{weight:.2f}") for name, weight in weights)
    if small:
        yield f"{len(small)} more", f"below {SMALL}"


def _licences(parents: Sequence[Parent]) -> Iterator[str]:
    """Known licences, if they conflict or one is missing."""
    conflict = licence_of(parents)[1]
    unstated = [parent.name for parent in parents if parent.licence is None]
    stated = [f"{parent.name}: {parent.licence}" for parent in parents if parent.licence]
    if conflict:
        yield conflict
    if stated and (conflict or unstated):
        yield f"Stated: {', '.join(stated)}."
    if unstated:
        yield f"No licence is stated by {', '.join(unstated)}; check before you publish this."


def _header(form: FileKind, parents: Sequence[Parent], about: About, result: Result) -> str:
    """The YAML header; it names a licence only if all parents state one and agree, and a base only
    by its id on the Hub, which takes no card with another name.
    """
    from huggingface_hub import EvalResult, ModelCardData

    base = about.base if may_be_on_hub(about.base) else None
    on_hub = [parent.name for parent in parents if parent.on_hub]
    experts = [one_line(name) for name in on_hub if name != base]
    bases = [base, *experts] if base and experts and form.relation == "merge" else base
    tests = {} if result.best.test is None else result.best.test.tasks
    scores = [
        EvalResult(
            task_type="text-generation",
            dataset_type=one_line(name),
            dataset_name=one_line(name),
            dataset_split="test",
            metric_type=one_line(result.objectives[name].metric),
            metric_value=outcome.value,
        )
        for name, outcome in tests.items()
    ]
    all_stated = all(parent.licence for parent in parents)
    licence = (all_stated and licence_of(parents)[0]) or ""
    named = licence.removesuffix(")").partition(f"{OTHER} (")[2]
    data = ModelCardData(
        base_model=bases,
        base_model_relation=base and form.relation,
        parents=experts or None,
        license=(OTHER if named else licence) or None,
        license_name=named or None,
        library_name=form.library,
        pipeline_tag="text-generation",
        tags=sorted({*form.tags, "merge", "model-swarms", "pyswarmopt"}),
        model_name=one_line(Path(about.config.out).name or "model") if scores else None,
        eval_results=scores or None,
    )
    return front_matter(data.to_dict())
