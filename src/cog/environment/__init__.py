"""A local virtual environment with what a model needs, made by uv from cog.yaml and kept under `.cog/`."""
