"""The help of `cog run` in the folder of a model: with the inputs of that model."""

from __future__ import annotations

from pathlib import Path

import click

from cog.errors import CogError


class ModelCommand(click.Command):
    """A command that takes the inputs of a model. Its help reads the model's source; nothing of it is run."""

    key = "run"  # of cog.yaml: where the model stands

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The inputs of the model, where there is one, and the options."""
        try:
            self._format_inputs(ctx, formatter)
        except CogError as error:  # the help of the command itself is there
            with formatter.section("Inputs of the model"):
                formatter.write_text(f"They cannot be told: {error}")
        super().format_options(ctx, formatter)

    def _format_inputs(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cog.client.inputs import render_help
        from cog.config.parse import find, load
        from cog.outline.reading import read

        file = ctx.params.get("file")
        path = find(Path.cwd()) if file is None else Path(file).absolute()
        if path is None:
            return
        config = load(path, check_files=False)
        reference = config.train if self.key == "train" else config.run
        if reference is None:
            return
        outline = read(path.parent, reference)
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

    key = "train"
