"""Looks over a project: what is wrong with it or will be, and how it is mended."""
