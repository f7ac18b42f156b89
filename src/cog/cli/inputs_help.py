"""The help of `cog run` in the folder of a model: with the inputs of that model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import click

from cog.errors import CogError, ConfigDoesNotExist

if TYPE_CHECKING:
    from cog.config.model import Config

_FILE: Final = "cog.file"  # what stands behind -f


class ModelCommand(click.Command):
    """A command that takes the inputs of a model. Its help reads the model's source; nothing of it is run."""

    train: ClassVar[bool] = False

    def reference(self, config: Config) -> str | None:
        """Where cog.yaml says that the model is."""
        return config.run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for `-f` first: `--help` ends the reading of what stands behind it."""
        found = self.make_parser(ctx).parse_args(list(args))[0].get("file")
        ctx.meta[_FILE] = found if isinstance(found, str) else None
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The inputs of the model, where there is one, and the options."""
        try:
            self._format_inputs(ctx, formatter)
        except CogError as error:  # the help of the command itself is there
            lost = isinstance(error, ConfigDoesNotExist) and ctx.meta[_FILE] is None
            if not lost:  # help may be asked for in any folder
                with formatter.section("Inputs of the model"):
                    formatter.write_text(f"They cannot be told: {error}")
        super().format_options(ctx, formatter)

    def _format_inputs(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cog.client.inputs import render_help
        from cog.config.parse import load, locate
        from cog.outline.reading import read

        path = locate(ctx.meta[_FILE])
        config = load(path, check_files=False)
        reference = self.reference(config)
        if reference is None:
            return
        outline = read(path.parent, reference, train=self.train)
        rows = render_help(outline)
        with formatter.section(f"Inputs of {reference}, for -i"):
            if outline.doc:
                formatter.write_text(outline.doc.split("\n\n")[0])
            if rows:
                formatter.write_dl(rows)
            else:
                formatter.write_text(
                    "none" if outline.complete else "what the source says cannot be told apart"
                )


class TrainCommand(ModelCommand):
    """The same for the training function."""

    train = True

    def reference(self, config: Config) -> str | None:
        """Where cog.yaml says that the training function is."""
        return config.train
