"""`cog init`: writes a model that runs as it is."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cog.config.parse import NAME
from cog.errors import UsageError

if TYPE_CHECKING:
    from cog.cli.main import Session

_FOLDER: Final = Path(__file__).parent / "templates"
# Of another machine, and of no character that means something in the file that it is written into.
_ADDRESS: Final = re.compile(r"(?:\w+\+)?(?:https?|ssh)://[\w.\-~:/@%+=&?]+", re.ASCII)
# Where each file of a new project comes from: out of the template's own folder, or out of the one for all.
_SHARED: Final = {
    NAME: "shared/cog.yaml",
    ".dockerignore": "shared/dockerignore",
    ".github/workflows/push.yaml": "shared/push.yaml",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A model to begin with. `inputs` are the flags with which `cog run` shows what it does."""

    help: str
    inputs: str
    more: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What to type first."""
        return f"cog run {self.inputs}"


TEMPLATES: Final = {
    "plain": Template("A text in, a text out", "-i text=Ada"),
    "image": Template(
        "An image in, an image out (with Pillow)", "-i image=@photo.png -i scale=2", ("photo.png",)
    ),
    "stream": Template("Text that is sent word by word while it is made", '-i prompt="a question"'),
    "embedding": Template(
        "A text in, a vector out; many requests in one call of the model", '-i text="a red apple"'
    ),
}


@click.command()
@click.option(
    "-t",
    "--template",
    "name",
    type=click.Choice(list(TEMPLATES)),
    default="plain",
    show_default=True,
    help="What to begin with.",
)
@click.option("--list", "listing", is_flag=True, help="List the templates.")
@click.argument("folder", required=False)
@click.pass_obj
def command(session: Session, name: str, listing: bool, folder: str | None) -> None:
    """Write a new model into FOLDER, or into this one. It runs as it is. Files that exist are kept."""
    if listing:
        width = max(map(len, TEMPLATES))
        for each, template in TEMPLATES.items():
            click.echo(f"{each:{width}}  {template.help}")
        return
    if folder == "":  # a variable of a script that is not set; nothing is to be strewn about here
        raise UsageError("FOLDER is empty. Name a folder, or leave it out for this one.")
    template = TEMPLATES[name]
    target = Path("." if folder is None else folder)
    kept = []
    for file, data in contents(name).items():
        if _write(target / file, data):
            session.screen.note(f"created {target / file}")
        else:
            kept.append(file)
            session.screen.warn(f"kept {target / file}: it exists already")
    session.screen.succeed(f"A model of the template {name} is in {target.absolute()}")
    session.screen.say(f"Next: {_next(template, folder, kept)}")


def contents(name: str) -> dict[str, bytes]:
    """The files of a new project, by their paths in it."""
    template = TEMPLATES[name]
    own = {file: f"{name}/{file}" for file in ("run.py", "requirements.txt", *template.more)}
    values = {
        b"PYTHON_VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}".encode(),  # one that is surely here
        b"COMMAND": template.command.encode(),
        b"ORIGIN": origin(_installed_from()).encode(),
    }
    found = {}
    for file, source in {**_SHARED, **own}.items():
        data = (_FOLDER / source).read_bytes()
        for word, value in values.items() if source.startswith("shared/") else ():
            data = data.replace(word, value)
        found[file] = data
    return found


def origin(record: str) -> str:
    """Where pip can install this cog from, on another machine too: `git+https://...@...` or the address of an archive.
    `record` is what an installer notes of that, as PEP 610 has it. Empty when it came from a folder, or by its name
    alone, of which nobody else need know what it stands for.
    """
    try:
        noted = json.loads(record)
        url, vcs = str(noted["url"]), noted.get("vcs_info")
        found = url if vcs is None else f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return found if _ADDRESS.fullmatch(found) else ""


def _installed_from() -> str:
    from importlib import metadata

    try:
        return metadata.distribution("cog").read_text("direct_url.json") or ""
    except metadata.PackageNotFoundError:
        return ""


def _write(path: Path, data: bytes) -> bool:
    """Write a file that does not exist yet; False when it does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        if Path(error.filename) == path:
            return False
        raise UsageError(
            f"{error.filename} is a file, and has to be a folder. Choose another FOLDER, or move it away."
        ) from None
    except NotADirectoryError:
        raise UsageError(f"{path.parent} lies below a file. Choose another FOLDER.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}. Choose another FOLDER.") from None
    return True


def _next(template: Template, folder: str | None, kept: list[str]) -> str:
    """What to type: the inputs of a model that was there before are not known."""
    import shlex

    there = "" if folder is None else f"cd {shlex.quote(folder if folder[:1] != '-' else f'./{folder}')} && "
    return there + ("cog run --help" if {"run.py", NAME} & set(kept) else template.command)
