"""What the site takes from elsewhere: the reference from the code, the changelog and its like from
the top folder.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import pyswarmopt
import pyswarmopt_llm
from pyswarmopt.cli.app import app as pyswarmopt_app
from pyswarmopt_llm.cli.app import app as swarm_llm_app
from pyswarmopt_llm.common.registry import plugins

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "examples" / "gallery"
PICTURES = "pictures/gallery"
EXAMPLE = re.compile(r"<!-- gallery: (?P<name>\w+) -->")
# Files of the top folder that are pages of the site.
INCLUDED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FIRST = ("minimize", "Swarm", "Result")  # what readers of the reference look for
# The same of `pyswarmopt_llm`: from a search to its use, then what a comparison needs.
FIRST_LLM = (
    *("search", "resume", "SearchConfig", "evaluate", "predict", "generate", "open_model"),
    *("load_task", "check", "train_expert", "merge", "compare", "ensemble", "vote"),
)
# What pymdownx.arithmatex makes of $...$ and $$...$$.
EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\[(\[](?P<tex>.*?)\\[)\]]\s*</(?P=tag)>',
    flags=re.DOTALL,
)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        **{page: (ROOT / name).read_text(encoding="utf-8") for name, page in INCLUDED.items()},
        "reference/command-line.md": command_line(),
        **dict(reference()),
    }
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    for name, picture in gallery():
        files.append(File.generated(config, f"{PICTURES}/{name}.png", content=picture))
    return files


def gallery() -> Iterator[tuple[str, bytes]]:
    """The gallery's scripts, each run by itself, and the pictures that they drew."""
    scripts = sorted(GALLERY.glob("*.py"))
    with TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        pictures = [Path(folder) / f"{script.stem}.png" for script in scripts]
        for picture in pool.map(_draw, scripts, pictures):
            yield picture.stem, picture.read_bytes()


def _draw(script: Path, picture: Path) -> Path:
    """Run a script of the gallery.

    Raises:
        PluginError: it failed.
    """
    environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, picture], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise PluginError(f"{script.name} failed: {done.stderr[-2000:]}")
    return picture


def shown(match: re.Match[str]) -> str:
    """A script of the gallery: what its docstring says, its picture and its code."""
    code = (GALLERY / f"{match['name']}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(code)) or ""
    title, _, notes = docstring.partition("\n\n")
    notes = notes.partition("\n\n")[2]  # behind the command
    picture = f"![{title}](../{PICTURES}/{match['name']}.png)"
    code = code.split('"""\n\n', 1)[1]
    return f"{title} {notes}\n\n{picture}\n\n```python\n{code}```"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files that are no pages become the files' names: the site works without the
    repository.
    """
    folder = posixpath.dirname(page.file.src_uri)
    origin = "" if page.file.src_uri in INCLUDED.values() else f"docs/{folder}"

    def rewrite(match: re.Match[str]) -> str:
        text, target = match["text"], match["target"]
        if "://" in target or target.startswith("#"):
            return match[0]
        path, _, anchor = target.partition("#")
        inside = posixpath.normpath(posixpath.join(origin, path))
        uri = INCLUDED.get(
            inside, inside.removeprefix("docs/") if inside.startswith("docs/") else None
        )
        if uri is None or inside.startswith(".."):
            return f"`{inside}`" if text == target else text
        return f"[{text}]({posixpath.relpath(uri, folder or '.')}{'#' + anchor if anchor else ''})"

    linked = "".join(
        part if fenced else LINK.sub(rewrite, part) for fenced, part in split_fences(markdown)
    )
    return EXAMPLE.sub(shown, linked)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations become MathML, which browsers draw by themselves: no script, no fonts, nothing from
    the network.
    """

    def rendered(match: re.Match[str]) -> str:
        if match["tag"] == "span":
            return str(convert(unescape(match["tex"])))
        return f'<div class="equation">{convert(unescape(match["tex"]), display="block")}</div>'

    return EQUATION.sub(rendered, html)


def split_fences(markdown: str) -> Iterator[tuple[bool, str]]:
    """(whether it is a fenced block, text) in order."""
    for k, part in enumerate(re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)):
        yield k % 2 == 1, part


def command_line() -> str:
    """Every command and option of both programs, from the programs themselves."""
    lines = [
        "# Command line",
        "",
        "Both programs exit with code 0 on success, 2 if the input is invalid (one line on stderr; "
        "nothing is written) and 130 if interrupted. `--install-completion` installs shell "
        "completion.",
    ]
    for app, intro in (
        (
            swarm_llm_app,
            "You can also put the options of a command in a file; see `--config`.",
        ),
        (pyswarmopt_app, "Requires the `toy` extra."),
    ):
        group: Any = typer.main.get_command(app)
        ctx = typer.Context(group, info_name=group.name)
        lines += ["", f"## {group.name}", "", f"{group.help} {intro}"]
        for name in group.list_commands(ctx):
            lines += command_page(
                group.get_command(ctx, name), typer.Context(group, info_name=group.name), name
            )
    return "\n".join(lines) + "\n"


def command_page(command: Any, parent: Any, name: str) -> Iterator[str]:
    """A command: what it does, and a table of its options under the headings of its help."""
    ctx = typer.Context(command, parent=parent, info_name=name)
    yield from ("", f"### {parent.info_name} {name}", "")
    for paragraph in (command.help or "").split("\n\n"):
        text = paragraph.strip("\n").removeprefix("\b\n")
        example, _, rest = text.partition("\n")
        if text.startswith("Example: "):
            yield from ("```bash", example.removeprefix("Example: "), "```", "")
            text = rest
        if text.strip():
            yield from (
                ("```text", text, "```", "") if "\n  " in text else (" ".join(text.split()), "")
            )
    for heading, params in grouped(command.get_params(ctx)).items():
        yield from (f"| {heading} | | default |", "|---|---|---|")
        for param in params:
            yield option_row(param)
        yield ""


def grouped(params: list[Any]) -> dict[str, list[Any]]:
    """A command's arguments and options under the headings of its help."""
    groups: dict[str, list[Any]] = {}
    for param in params:
        usual = "Arguments" if param.param_type_name == "argument" else "Options"
        groups.setdefault(param.rich_help_panel or usual, []).append(param)
    return groups


def default_of(param: Any) -> Any:
    """The default worth showing: none for switches, and for options that are simply not given."""
    if param.param_type_name == "argument" or param.is_flag or callable(param.default):
        return None
    return None if param.default in ("", [], ()) else param.default


def option_row(param: Any) -> str:
    """A row of the table; a pipe would end its cell."""
    if param.param_type_name == "argument":
        typed = str(param.metavar or param.name.upper())
    else:
        names = sorted([*param.opts, *param.secondary_opts], key=lambda name: name.startswith("--"))
        typed = ", ".join(names) + (
            f" {param.metavar}" if param.metavar and not param.is_flag else ""
        )
    default = default_of(param)
    told = "required" if param.required else "" if default is None else f"`{default}`"
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in (f'`{typed}`', param.help or '', told))} |"


def reference() -> Iterator[tuple[str, str]]:
    """(page, content) for the public names of `pyswarmopt`, of its modules, and of `swarm-llm`'s
    packages.
    """
    names = [name for name in pyswarmopt.__all__ if not name.startswith("_")]
    parts = [name for name in names if isinstance(getattr(pyswarmopt, name), ModuleType)]
    own = sorted(
        set(names) - set(parts) - set(FIRST), key=lambda name: (_is_class(name), name.lower())
    )
    yield (
        "reference/pyswarmopt.md",
        _page(
            "pyswarmopt",
            "`import pyswarmopt as pso`. All public names are in `pyswarmopt.__all__`.",
            [f"pyswarmopt.{name}" for name in (*FIRST, *own)],
        ),
    )
    modules = [module for name in parts for module in _modules(getattr(pyswarmopt, name))]
    yield (
        "reference/pyswarmopt-modules.md",
        _page(
            "pyswarmopt: modules",
            f"These modules are attributes of `pso`: {_spans(f'pso.{n}' for n in parts)}.",
            modules,
        ),
    )
    added = plugins("api")
    homes = {name: _home(getattr(pyswarmopt_llm, name)) for name in pyswarmopt_llm.__all__}
    homes |= {name: entry.value.replace(":", ".") for name, entry in sorted(added.items())}
    others = [
        f"`sl.{name}` is `{home.rpartition('.')[2]}`"
        for name, home in homes.items()
        if not home.endswith(f".{name}")
    ]
    yield (
        "reference/pyswarmopt_llm.md",
        _page(
            "pyswarmopt_llm",
            f"`import pyswarmopt_llm as sl`. {_spans(sorted(added))} come with `pyswarmopt_rivals` "
            f"and `pyswarmopt_groups`. {', '.join(others)}.",
            [homes[name] for name in (*FIRST_LLM, *sorted(set(homes) - set(FIRST_LLM)))],
        ),
    )


def _page(title: str, intro: str, objects: list[str]) -> str:
    """A page of objects, in this order, by mkdocstrings."""
    return "\n".join([f"# {title}", "", intro, "", *(f"::: {name}\n" for name in objects)])


def _spans(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def _home(thing: Any) -> str:
    """The place where a function or class is written."""
    return f"{thing.__module__}.{thing.__qualname__}"


def _modules(module: ModuleType) -> list[str]:
    """A module, and those in it if it is a package."""
    inside = [
        f"{module.__name__}.{entry.name}"
        for entry in iter_modules(getattr(module, "__path__", []))
        if not entry.name.startswith("_")
    ]
    return [module.__name__, *inside]


def _is_class(name: str) -> bool:
    """Whether a public name of `pyswarmopt` is a class: these come after the functions."""
    return isinstance(getattr(pyswarmopt, name), type)
