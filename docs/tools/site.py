"""What the site takes from elsewhere: the reference from the code, the changelog and its like from
the top folder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import pyswarmopt
import pyswarmopt_groups
import pyswarmopt_llm
import pyswarmopt_rivals
from pyswarmopt.cli.app import app as pyswarmopt_app
from pyswarmopt.cli.help import default_of, grouped
from pyswarmopt_llm.cli.app import app as swarm_llm_app

ROOT = Path(__file__).resolve().parents[2]
# Files of the top folder that are pages of the site.
INCLUDED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FIRST = ("minimize", "Swarm", "Result")  # what readers of the reference look for
# What pymdownx.arithmatex makes of $...$ and $$...$$.
EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\[(\[](?P<tex>.*?)\\[)\]]\s*</(?P=tag)>',
    flags=re.DOTALL,
)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the rooms of the code in the reference's navigation."""
    (section,) = [entry["Reference"] for entry in config.nav or () if "Reference" in entry]
    section += [
        {content.partition("\n")[0].removeprefix("# "): page}
        for page, content in reference()
        if "/code/" in page
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        **{page: (ROOT / name).read_text(encoding="utf-8") for name, page in INCLUDED.items()},
        "reference/command-line.md": command_line(),
        **dict(reference()),
    }
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


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

    return "".join(
        part if fenced else LINK.sub(rewrite, part) for fenced, part in split_fences(markdown)
    )


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
        "Both programs exit with 0 when they are done, with 2 when the input is wrong (one line "
        "on stderr; nothing is "
        "written) and with 130 when they are interrupted. `--install-completion` installs shell "
        "completion.",
    ]
    for app, intro in (
        (
            swarm_llm_app,
            "Options of a command can also stand in a file, see `swarm-llm init` and `--config`.",
        ),
        (pyswarmopt_app, "Needs the extra `toy`."),
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
    for heading, params in grouped(command, ctx, hidden=True):
        yield from (f"| {heading} | | default |", "|---|---|---|")
        for param in params:
            yield option_row(param)
        yield ""


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
    """(page, content) for the public names of `pyswarmopt` and for each room of the packages."""
    names = [name for name in pyswarmopt.__all__ if not name.startswith("_")]
    parts = [name for name in names if isinstance(getattr(pyswarmopt, name), type(pyswarmopt))]
    lines = [
        "# pyswarmopt",
        "",
        "`import pyswarmopt as pso`. What is public is listed in `pyswarmopt.__all__`.",
        "",
    ]
    own = sorted(
        set(names) - set(parts) - set(FIRST), key=lambda name: (_is_class(name), name.lower())
    )
    lines += [f"::: pyswarmopt.{name}\n" for name in (*FIRST, *own)]
    yield "reference/pyswarmopt.md", "\n".join(lines)
    for package in (pyswarmopt, pyswarmopt_llm, pyswarmopt_groups, pyswarmopt_rivals):
        top = Path(str(package.__file__)).parent
        for folder in [
            top,
            *sorted(path for path in top.iterdir() if (path / "__init__.py").is_file()),
        ]:
            if folder.name != "cli":
                yield room(folder, top)


def _is_class(name: str) -> bool:
    """Whether a public name of `pyswarmopt` is a class: these come after the functions."""
    return isinstance(getattr(pyswarmopt, name), type)


def room(folder: Path, top: Path) -> tuple[str, str]:
    """The page of a folder of the code: its modules, each with its public names."""
    dotted = ".".join([top.name, *folder.relative_to(top).parts])
    files = folder.glob("*.py") if folder == top else folder.rglob("*.py")
    modules = sorted(
        ".".join([top.name, *path.relative_to(top).with_suffix("").parts]).removesuffix(".__init__")
        for path in files
        if not path.name.startswith("_") or (path.name == "__init__.py" and path.parent != top)
    )
    title = f"{dotted}: modules" if folder == top else dotted
    options = "    options:\n      show_root_full_path: true\n"
    body = "\n".join(f"::: {module}\n{options}" for module in modules)
    return f"reference/code/{dotted}.md", f"# {title}\n\n{body}"
