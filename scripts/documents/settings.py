"""The page of flags and environment variables of the server, made from `cog.settings.OPTIONS`."""

from __future__ import annotations

from typing import Final

from cog import settings

_PAGE: Final = """\
# Settings of the server

Every flag and environment variable of the server. `python -m cog.server.http --help` says the same; `cog serve` takes the
variables too, and has [flags of its own](cli.md#cog-serve). Where an option has a flag and a variable, the flag wins; a variable
that is empty counts as not set.

A size is a number of bytes, or has a unit: `64KiB`, `100MiB`, `1GB`. Times are in seconds.

{table}
## Other variables

| variable | read by | meaning |
| --- | --- | --- |
{others}
"""
# What is no option of the server, by variable: who reads it, and what it means.
OTHERS: Final = {
    "NO_COLOR": ("commands, server", "Any text: no colours and no live line."),
    "COG_NO_COLOR": ("commands, server", "The same, for cog alone."),
    "TERM": ("commands, server", "`dumb`: the same."),
    "TMPDIR": ("server", "Where the files of predictions lie. Default: `/tmp`."),
    "COG_WEIGHTS": ("model", "A parameter `weights` of `setup()`: a `Path`, a URL or a path, or the text."),
    "KUBERNETES_SERVICE_HOST": (
        "server",
        "Any text: the first `GET /health-check` that finds the model ready makes the file `/var/run/cog/ready`.",
    ),
    "REPLICATE_API_TOKEN": (
        "`cog run --use-replicate-token`",
        "Handed to the model as `replicate_api_token`.",
    ),
    "COG_REGISTRY_API": (
        "`cog login`",
        "Who is asked whose a token for `COG_REGISTRY_HOST` is. Default, for `r8.im` alone: `https://api.replicate.com`.",
    ),
    "COG_SKIP_DOCKER_CHECK": ("`cog doctor`", "Any text: do not look for a container engine."),
    "COG_SKIP_GPU_CHECK": ("`cog doctor`", "Any text: do not look for a GPU."),
    "UV_DEFAULT_INDEX": ("environments", "Where packages come from; `PIP_INDEX_URL` where it is not set."),
    "UV_INDEX": ("environments", "Where else; `PIP_EXTRA_INDEX_URL` where it is not set."),
    "UV_OVERRIDE": ("environments", "Files of versions that hold whatever the requirements say."),
    "UV_PYTHON_DOWNLOADS": ("environments", "`never`: download no Python."),
    "UV_CONFIG_FILE": ("environments", "uv's configuration; with one pip's files are left alone."),
    "PIP_CONFIG_FILE": (
        "environments",
        "pip's configuration, in the place of the user's; `/dev/null`: none.",
    ),
    "XDG_CONFIG_HOME": (
        "environments",
        "Where the user's `pip/pip.conf` and `uv/uv.toml` lie. Default: `~/.config`.",
    ),
    "XDG_CONFIG_DIRS": ("environments", "Where the machine's `pip/pip.conf` lies. Default: `/etc/xdg`."),
    "PYENV_ROOT": ("environments", "Where pyenv keeps its Pythons. Default: `~/.pyenv`."),
    "UV_FIND_LINKS": (
        "environments",
        "Pages or folders with archives; `PIP_FIND_LINKS` where it is not set.",
    ),
}


def page() -> str:
    """The whole page."""
    others = [f"| `{name}` | {reader} | {meaning} |" for name, (reader, meaning) in OTHERS.items()]
    return _PAGE.format(table=settings.reference_markdown(), others="\n".join(others))
