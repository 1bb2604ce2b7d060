"""Every command and every piece of Python in the documentation is run, on models of a few thousand
weights.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_blocks import ROOT, Command, blocks, broken_links, commands, pages, wrong_script
from search_helpers import louder, questions, write_task

from pyswarmopt.cli.app import app as pyswarmopt_app
from pyswarmopt_llm.cli.app import app as swarm_llm_app

PROGRAMS = ("swarm-llm", "pyswarmopt", "python", "make", "pip", "uv", "cat", "head", "ls", "git")
# So that a documented command costs a second; the command line takes the last of two values.
CHEAPER = {
    ("swarm-llm", "search"): "--particles 4 --max-iter 1 --dev 4 --test 4 --threads 1 --quiet",
    ("swarm-llm", "compare"): "--seeds 1 --budget-items 24 --dev 4 --test 4 --threads 1 --quiet",
    ("swarm-llm", "eval"): "--dev 4 --test 4 --threads 1",
    ("swarm-llm", "generate"): "--max-new-tokens 2 --threads 1",
    ("swarm-llm", "predict"): "--threads 1",
    ("swarm-llm", "train-expert"): "--examples 5 --threads 1 --quiet",
    ("swarm-llm", "resume"): "--quiet",
    ("swarm-llm", "ensemble"): "--dev 4 --test 4 --threads 1 --quiet",
    ("swarm-llm", "negotiate"): "--dev 4 --test 4 --threads 1 --quiet",
    ("swarm-llm", "distill"): "--dev 4 --test 4 --threads 1 --quiet",
    ("swarm-llm", "watch"): "--once",
    ("pyswarmopt", "run"): "--max-evals 60",
    ("pyswarmopt", "compare"): "--seeds 2 --max-evals 60",
    ("pyswarmopt", "lesson"): "--no-open",
}
FEW_METHODS = "best-single,uniform-soup,item-model"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def stage(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the documentation takes for granted: a base, adapters, a task, chats, and the folder of
    examples.
    """
    folder = tmp_path_factory.mktemp("stage")
    for name in ("my/base", "B", "models/gpt2", "models/gemma3"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(tiny_base)
    loud = louder(tiny_experts, folder / "loud")
    for expert, name in zip(loud, ("intent", "math", "science"), strict=True):
        shutil.copytree(expert, folder / "adapters" / name)
    for expert, step in zip(loud, (400, 800), strict=False):  # of a training run
        shutil.copytree(expert, folder / "out" / f"checkpoint-{step}")
    # The demos' experts, by name.
    names = ("experts/bank", "experts/library", "experts/travel", "others/reviews",
             "house_style/experts/brief", "house_style/experts/steps")  # fmt: skip
    for name, expert in zip(names, loud * 2, strict=True):
        copy = shutil.copytree(expert, folder / "examples" / name)
        config = json.loads((copy / "adapter_config.json").read_text())
        (copy / "adapter_config.json").write_text(
            json.dumps({**config, "base_model_name_or_path": SMOLLM2})
        )
    shutil.copytree(ROOT / "examples" / "objectives", folder / "examples" / "objectives")
    letters, own = ROOT / "examples" / "letters", folder / "examples" / "letters"
    (own / "experts").mkdir(parents=True)
    for path in [
        *sorted((letters / "experts").iterdir())[:3],
        letters / "base",
        letters / "check.py",
    ]:
        (own / path.relative_to(letters)).symlink_to(path)
    lines = (letters / "prompts.jsonl").read_text().splitlines()
    few = [[line for line in lines if f'"{split}"' in line][:16] for split in ("dev", "test")]
    (own / "prompts.jsonl").write_text("\n".join([*few[0], *few[1]]))
    (folder / "examples" / "unlike").symlink_to(ROOT / "examples" / "unlike")
    for name in ("style.py", "prompts.jsonl"):
        shutil.copy(
            ROOT / "examples" / "house_style" / name, folder / "examples" / "house_style" / name
        )
    shutil.copy(ROOT / "examples" / "new_requests.csv", folder / "examples")
    (folder / ".venv" / "bin").mkdir(parents=True)  # `make` is a stand-in
    (folder / ".venv" / "bin" / "activate").write_text("")
    (folder / ".ci").mkdir()  # named by its path, so no stand-in is found for it
    shutil.copy("/bin/true", folder / ".ci" / "run")
    write_task(folder / "questions.json", questions(8, 1), questions(6, 2))
    for name, seed in (("a.json", 3), ("b.json", 5)):
        write_task(folder / name, questions(6, seed), questions(6, seed + 1))
    tickets = [
        f"{item['question']},{'technical' if i % 2 else 'billing'}"
        for i, item in enumerate(questions(36, 7))
    ]
    (folder / "tickets.csv").write_text("\n".join(["body,team", *tickets]))
    (folder / "prompts.txt").write_text("\n".join(item["question"] for item in questions(9, 11)))
    new = [json.dumps(f"{item['question']}") for item in questions(3, 9)]
    (folder / "new.csv").write_text(
        "\n".join(["question,body,A,B,C,D", *(f"{text},{text},a,b,c,d" for text in new)])
    )
    chat = {"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]}
    (folder / "chats.jsonl").write_text(f"{json.dumps(chat)}\n" * 6)
    return folder


def _smaller(search: Callable[..., Any], sizes: dict[str, int], seed: int, out: Path) -> Any:
    return replace(search(seed, out), **sizes)


@pytest.fixture
def world(
    stage: Path,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: MutableMapping[str, str],
    importable: Callable[[Path], None],
) -> Iterator[Path]:
    """An own copy of the stage, in which the embedded model is the tiny one."""
    from pyswarmopt_llm.cli import demo
    from pyswarmopt_llm.experts import quantised
    from pyswarmopt_llm.searching.written import expert_iteration

    folder = shutil.copytree(stage, tmp_path / "world", symlinks=True)
    with contextlib.chdir(folder):
        environ["MPLBACKEND"] = "agg"
        monkeypatch.setattr(quantised, "dequantised", lambda gguf, who: tiny_base)
        monkeypatch.setattr(expert_iteration, "ROUNDS", 1)  # of training on best replies
        monkeypatch.setattr(demo, "demo_folder", lambda name: folder / "examples" / name)
        few = {
            "demo_search": {"dev": 4, "test": 4},
            "letters_search": {"dev": 6, "proposals": 2},
        }
        few["token_search"] = {"dev": 8, "test": 8, "max_iter": 1}
        for name, sizes in few.items():
            small = partial(_smaller, getattr(demo, name), sizes)
            monkeypatch.setattr(demo, name, small)
        importable(folder)
        yield folder


def run_program(command: Command, main: Callable[[list[str]], None]) -> None:
    """Run one of our programs in this process; it has to succeed."""
    program, *words = command.words
    more = CHEAPER.get((program, words[0] if words else ""), "").split()
    if "--max-new-tokens" in words:
        more += ["--max-new-tokens", "4"]
    if "--front" in words:  # it has no iterations
        more[more.index("--max-iter") : more.index("--dev")] = ["--proposals", "2"]
    if words[:1] == ["merge"] and "--task" in words:
        more += ["--budget-items", "24"]
    if "all" in words and "--methods" in words:
        more += ["--methods", FEW_METHODS]
    with pytest.raises(SystemExit) as end:
        main([*words, *more])
    assert not end.value.code, f"{command.block}: {' '.join(command.words)}"


def check_install(words: list[str], where: str) -> None:
    """`pip install`, or uv's, asks for extras and packages that the project knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = (ROOT / "constraints.txt").read_text()
    for word in [
        word
        for word in words[1:]
        if not word.startswith("-") and word not in ("constraints.txt", "cpu")
    ]:
        name, _, extras = word.rstrip("]").partition("[")
        assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"]), (
            f"{where}: {word}"
        )
        assert name in (".", project["name"]) or f"{name}==" in pinned, (
            f"{where}: {word} is not pinned"
        )


def follow(command: Command, world: Path) -> None:
    """Do what a command of the documentation says, or check it where that would leave the machine
    changed.
    """
    from pyswarmopt.cli import main as pyswarmopt
    from pyswarmopt_llm.cli.app import main as swarm_llm

    program, *words = command.words
    where = str(command.block)
    if program in ("swarm-llm", "pyswarmopt"):
        run_program(command, swarm_llm if program == "swarm-llm" else pyswarmopt)
    elif program == "python":
        assert not (wrong := wrong_script(words)), f"{where}: {wrong}"
    elif program in ("pip", "uv"):
        check_install(words[1:] if program == "uv" else words, where)
    elif program == "make":
        targets = set(
            re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        )
        assert set(words) <= targets, f"{where}: make {words}"
    else:
        for word in [word for word in words if not word.startswith("-")]:
            assert (command.folder / word).exists(), f"{where}: {program} {word}"


SHELL = ("bash", "console", "sh")
FOLLOWED = [page for page in pages() if any(b.language in (*SHELL, "python") for b in blocks(page))]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_the_reader_to_do_works(
    page: Path, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [block for block in blocks(page) if not block.skipped]
    shell = [block for block in wanted if block.language in SHELL]
    called = commands(shell, world, PROGRAMS) if shell else []
    names: dict[str, Any] = {"__name__": "__main__"}
    before = set(sys.modules)
    try:
        for block in wanted:
            if block.language == "python":
                if block.title:
                    (world / block.title).write_text(block.text)
                exec(compile(block.text, str(block), "exec"), names)
            for command in [command for command in called if command.block is block]:
                with contextlib.chdir(command.folder):
                    follow(command, world)
    finally:
        for name in set(sys.modules) - before:  # modules that the page wrote
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(world)):
                del sys.modules[name]


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    skipped = [block for page in pages() for block in blocks(page) if block.skipped]
    assert all(len(block.skipped) > 10 for block in skipped)
    assert len(skipped) <= 31, [str(block) for block in skipped]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_blocks_that_are_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"{block}: say which language it is (text, if none)"
    text = page.read_text(encoding="utf-8")
    assert not re.findall(
        r"^ {4}(?:python (?:research/)?benchmarks|swarm-llm|pyswarmopt) .*$",
        text,
        flags=re.MULTILINE,
    ), page


HELP = {"--help", "--help-all"}


def options_of(app: typer.Typer) -> dict[str, set[str]]:
    group: Any = typer.main.get_command(app)
    context = group.context_class(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {
        name: {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        for name, command in commands.items()
    } | {"": {option for param in group.params for option in param.opts} | HELP}


OPTIONS = {"swarm-llm": options_of(swarm_llm_app), "pyswarmopt": options_of(pyswarmopt_app)}
# of llama.cpp, vLLM, pip and uv
OTHERS = {"--jinja", "--lora", "--max-lora-rank", "--no-deps", "--quick", "--torch-backend"}


@cache
def all_scripts() -> str:
    """The text of all scripts of the benchmarks."""
    folders = (ROOT / "benchmarks", ROOT / "research")
    return "".join(path.read_text() for top in folders for path in top.rglob("*.py"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_options_and_commands_named_in_sentences_exist(page: Path) -> None:
    text = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    everywhere = (
        set().union(*(names for program in OPTIONS.values() for names in program.values())) | OTHERS
    )
    scripts = all_scripts()
    for span in re.findall(r"`([^`\n]+)`", text):
        program, *words = span.split()
        if program in OPTIONS and words and re.fullmatch("[a-z-]+", words[0]):
            assert words[0] in OPTIONS[program] or words[0].startswith("--"), (
                f"`{span}`: no such command"
            )
            known = OPTIONS[program].get(words[0], OPTIONS[program][""]) | HELP
        elif program == "python" or "benchmarks/" in span:
            known = {word for word in words if f'"{word}"' in scripts}
        elif program.startswith("--"):
            words = [program, *words]
            known = everywhere | {word for word in words if f'"{word}"' in scripts}
        else:
            continue
        missing = [
            word
            for word in words
            if re.match("--[a-z]", word) and re.split("[=,|]", word)[0] not in known
        ]
        assert not missing, f"`{span}`: there is no {missing}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []
