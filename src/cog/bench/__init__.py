"""Measures a model behind a server: what to try, load, figures of it, what to set because of them, a report."""
