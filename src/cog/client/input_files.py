"""The files that an input names with `@`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cog.client.input_checks import Unread
from cog.signature.problems import printable

Reader: TypeAlias = Callable[[str], str]
FilesAs: TypeAlias = Literal["data_url", "path"]


class Wrong(Exception):
    """A value cannot be made of what was given; the text says why."""


def data_url(path: str) -> str:
    """The content of a file as a data URL, with the media type of its extension.

    Raises:
        OSError: it cannot be read.
    """
    from cog.files import data_url as urls  # here: most inputs are no files
    from cog.files.media_types import media_type

    with open(path, "rb") as file:
        return urls.encode(file.read(), media_type(path)).decode("ascii")


def unread(path: str) -> str:
    """For a check that comes before the run: the file is not read. `problems` takes it for whatever fits.

    Raises:
        OSError: it could not be read.
    """
    if not os.access(path, os.R_OK):
        raise PermissionError(13, os.strerror(13), path)
    return Unread()


@dataclass(frozen=True, slots=True)
class Files:
    """How files are handed over: `read` makes a text of one; `as_path` says that the server can open it by itself."""

    read: Reader = data_url
    as_path: bool = False

    def take(self, name: str, *, for_path: bool) -> str:
        """The text for the file `name`; its absolute path where that is enough `for_path`, an input of type Path.

        Raises:
            Wrong: there is no such file, or it cannot be read.
        """
        path, mode = located(name, text=not for_path)
        if for_path and self.as_path and stat.S_ISREG(mode):  # a pipe is open in this process only
            return path
        try:
            return self.read(path)
        except OSError as error:
            raise Wrong(
                f"{printable(path)} cannot be read: {error.strerror}. Check its permissions"
            ) from None
        except MemoryError:
            raise Wrong(
                f"{printable(path)} does not fit into memory. Give a URL that the model can fetch"
            ) from None


def located(name: str, *, text: bool = False) -> tuple[str, int]:
    """The absolute path of the file that was written as `name` behind an @, and its mode. Where a `text` is taken too,
    somebody may have meant one that begins with @.

    Raises:
        Wrong: there is none.
    """
    if not name:
        hint = ", or @@ for a text that begins with @" if text else ""
        raise Wrong(f"no file is named behind the @. Write @FILE{hint}")
    path = os.path.abspath(os.path.expanduser(name))
    told = printable(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        hint = "; a text that begins with @ is written @@" if text else ""
        raise Wrong(f"there is no file {told}. Check the name{hint}") from None
    except OSError as error:
        raise Wrong(f"{told} cannot be read: {error.strerror}. Check its permissions") from None
    if stat.S_ISDIR(mode):
        raise Wrong(f"{told} is a folder. Name one file, or pack it first: tar -czf folder.tar.gz {told}")
    return path, mode
