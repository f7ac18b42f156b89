"""What pip's configuration files say of where packages come from: uv does not read them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

# In the order in which pip lets one go before the other; later sections and files win.
_SECTIONS: Final = ("global", "install")
# Set for all of pip, or for an installation: pip's name of the option, and of the variable that means the same.
_OPTIONS: Final = {
    "index-url": "PIP_INDEX_URL",
    "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "find-links": "PIP_FIND_LINKS",
    "no-index": "PIP_NO_INDEX",
    "trusted-host": "PIP_TRUSTED_HOST",
    "cert": "PIP_CERT",
}


def configured(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings in pip's files as variables of pip, `{"PIP_INDEX_URL": "https://..."}`; none where uv has a
    configuration of its own, which has to count then. A file that cannot be read says nothing.

    The files are those of pip's documentation ("Configuration", section "Location"): of the machine, of the user, of
    the Python that runs cog, and PIP_CONFIG_FILE, each of which overrides the ones before; PIP_CONFIG_FILE=/dev/null is
    for none, and any other one of it that is there goes in the place of the user's.
    """
    if environ.get("PIP_CONFIG_FILE") == os.devnull or any(path.is_file() for path in _of_uv(environ)):
        return {}
    found: dict[str, str] = {}
    for path in _files(environ):
        if path.is_file():
            found.update(_read(path))
    return found


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    mac = sys.platform == "darwin"
    if mac:
        yield Path("/Library/Application Support/pip/pip.conf")
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    home = environ.get("HOME")
    if home and not (named and os.path.exists(named)):
        yield Path(home, ".pip", "pip.conf")
        own = Path(home, "Library", "Application Support", "pip")
        yield (own if mac and own.is_dir() else _user(environ, home) / "pip") / "pip.conf"
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)


def _of_uv(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("UV_CONFIG_FILE"):
        yield Path(named)
    if home := environ.get("HOME"):
        yield _user(environ, home) / "uv" / "uv.toml"
    yield Path("/etc/uv/uv.toml")


def _user(environ: Mapping[str, str], home: str) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or Path(home, ".config"))


def _read(path: Path) -> dict[str, str]:
    import configparser  # here: most machines have no such file

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):  # pip itself tells what is wrong with it
        return {}
    found = {}
    for section in _SECTIONS:
        for name, value in parser.items(section) if parser.has_section(section) else ():
            variable = _OPTIONS.get(name.removeprefix("--").replace("_", "-"))
            if variable is not None:
                found[variable] = " ".join(value.split())  # a list has an item a line
    return found
