"""Talks to a running model: inputs from a command line, predictions as they go on, outputs for people and files."""
