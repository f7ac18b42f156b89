"""How files and outputs come and go: what a journey needs of `cog.files`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cog.files.data_url import DataUrl
from cog.files.fetch import Fetcher
from cog.files.folders import RuntimeFolder
from cog.files.publish import Publisher
from cog.files.shelf import Shelf
from cog.files.threads import begin
from cog.prediction.events import OutputFile
from cog.service.intake import InputFile


class Courier:
    """Brings input files and delivers outputs; holds the limit of an output."""

    def __init__(
        self,
        folders: RuntimeFolder,
        fetcher: Fetcher,
        publisher: Publisher,
        *,
        max_output: int = 1 << 30,
        shelf: Shelf | None = None,
    ) -> None:
        """`max_output` is in bytes, for all the output of one prediction; `shelf` has the files that were sent ahead."""
        self.folders = folders
        self.fetcher = fetcher
        self.publisher = publisher
        self.max_output = max_output
        self._shelf = shelf

    @property
    def overfull(self) -> str:
        """What is said of an output over the limit."""
        return (
            f"OutputError: the output is larger than the {self.max_output:,} bytes that --max-output "
            "allows for all the output of one prediction, as JSON text. Return a file and let the server "
            "upload it (--upload-url), return less, or allow more."
        )

    async def bring(self, file: InputFile, folder: Path) -> None:
        """Put one input file into `folder`.

        Raises:
            DownloadError: it cannot be had.
        """
        if isinstance(file.source, DataUrl):
            path = await self.fetcher.save(file.source.content, file.source.media_type, folder)
        elif self._shelf is not None and (kept := self._shelf.named_by(file.source)) is not None:
            path = await self.fetcher.copy(kept.path, kept.name, folder)
        else:
            path = await self.fetcher.fetch(file.source, folder)
        file.path = str(path)
        file.source = ""  # a large data URL is not needed twice

    async def deliver(
        self, payload: bytes, files: Sequence[OutputFile], prediction_id: str, room: int
    ) -> bytes:
        """`payload` with URLs in the places of its files; data URLs may take `room` bytes.

        Raises:
            UploadError, OutputError: a file cannot be delivered, or not be read, or is too large.
        """
        return await self.publisher.publish(payload, files, prediction_id, room=room)

    def clear_away(self, folder: str, prediction_id: str) -> None:
        """The prediction is over: its folder is removed, in a thread."""
        self.publisher.forget(prediction_id)
        begin(self.folders.remove, folder)
