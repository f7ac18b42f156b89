"""The version of this distribution, in one place for the server, the SDK and the build."""

__version__ = "0.1.0"
