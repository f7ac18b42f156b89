"""Names of earlier versions, kept so that models which use them go on to run. [compat]"""

from __future__ import annotations

import sys

from cog.sdk.scope import current_scope

NAMES = ("ExperimentalFeatureWarning", "emit_metric")
_ADVICE = {
    "ExperimentalFeatureWarning": "nothing warns with it any more: remove it",
    "emit_metric": "call self.record_metric(name, value) or current_scope().record_metric(name, "
    "value) instead",
}
_noted: set[str] = set()


class ExperimentalFeatureWarning(FutureWarning):
    """Once the warning for features that might change."""


def emit_metric(name: str, value: object) -> None:
    """Record a figure of the running prediction, as `current_scope().record_metric(name, value)` does."""
    current_scope().record_metric(name, value)


def find(name: str) -> object:
    """The deprecated object of this name; the first time it is asked for, a note goes to stderr.

    Raises:
        KeyError: there is no such name.
    """
    advice = _ADVICE[name]
    if name not in _noted:
        _noted.add(name)
        sys.stderr.write(f"DeprecationWarning: cog.{name} is deprecated; {advice}.\n")
    found: object = globals()[name]
    return found
