"""The running prediction as the model sees it: its context, and the figures it records."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, TypeAlias

Report: TypeAlias = Callable[[str, object, str], None]
Undo: TypeAlias = Callable[[], None]

# From the contract: names as long and as deep as this, and these ways to combine a value with the one before.
LONGEST: Final = 128
DEEPEST: Final = 4
# Levels of lists and dicts in one value: every Python, in the worker and in the server, reads and writes as many.
NESTED: Final = 300
# Characters of one value as JSON text. The server keeps 16 MiB of all the metrics of one prediction.
LARGEST_VALUE: Final = 64 * 1024 * 1024
_SEGMENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_MODES: Final = {"replace": "replace", "incr": "increment", "increment": "increment", "append": "append"}
_TYPES: Final = (bool, int, float, str, list, dict)  # bool first: it is an int too
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Name:
    """What is known of a name, or of a part of one; `inner` has those that are nested under it.

    `kind` is the type that it keeps, `item` that of the items of a list that was made by "append".
    """

    __slots__ = ("inner", "item", "kind")

    def __init__(self) -> None:
        self.kind: type | None = None
        self.item: type | None = None
        self.inner: dict[str, _Name] = {}


class Metrics:
    """The figures of one prediction: `record`, `delete`, `metrics[name] = value`, `del metrics[name]`.

    It may be used from several threads. A name keeps the type of its first value until it is deleted.
    """

    __slots__ = ("_lock", "_names", "_report")

    def __init__(self, report: Report) -> None:
        """`report(name, value, mode)` is called for each accepted record; see `Scope`."""
        self._report = report
        self._names: dict[str, _Name] = {}
        self._lock = threading.Lock()

    def record(self, key: str, value: object, mode: str = "replace") -> None:
        """Record `value` under `key`; None deletes it.

        `mode` is "replace", "incr" ("increment"): add to the number there, or "append": add to a list, which
        is made when there is none. Dots in the key make nested objects.

        Raises:
            ValueError: the name breaks a rule, or a number in the value is NaN or infinite.
            TypeError: the value or the mode is of an unknown kind, or the type changed without a deletion.
        """
        if self._report is _discard:
            return
        if value is None:
            self.delete(key)
            return
        _check_name(key)
        way = _MODES.get(mode)
        if way is None:
            raise TypeError(
                f"metric {key!r} has the unknown mode {mode!r}: use 'replace', 'incr' or 'append'."
            )
        kind, plain = _plain(key, value)
        if way == "increment" and kind not in (int, float):
            raise TypeError(
                f"metric {key!r} cannot be incremented by a {kind.__name__}: use an int or a float."
            )
        with self._lock:
            self._fit(key, kind, way)
            self._report(key, plain, way)

    def delete(self, key: str) -> None:
        """Remove `key` and what is nested under it; afterwards it may have another type.

        Raises:
            ValueError: the name breaks a rule.
        """
        if self._report is _discard:
            return
        _check_name(key)
        with self._lock:
            self._forget(key)
            self._report(key, None, "replace")

    def __setitem__(self, key: str, value: object) -> None:
        self.record(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def _fit(self, key: str, kind: type, way: str) -> None:
        """Hold the type lock of `key`, and take over the names that this record replaces."""
        *above, last = key.split(".")
        found = self._find(key)
        expected = None if found is None else found.kind
        if found is not None and way == "append" and found.kind is list:
            expected = (
                found.item
            )  # None for a list that was recorded as a whole: nothing is known of its items
        if expected is not None and expected is not kind:
            raise TypeError(
                f"metric {key!r} holds {expected.__name__} values and cannot take a {kind.__name__}: "
                "use another name, "
                f"or delete it first (del metrics[{key!r}])."
            )
        names = self._names
        for part in above:
            name = names.setdefault(part, _Name())
            if name.kind is not dict:  # a scalar in the way is replaced by an object
                name.kind = name.item = None
            names = name.inner
        if found is None or found.kind is None:
            found = names[last] = _Name()  # what was nested under it is replaced
        found.kind = list if way == "append" else kind
        found.item = kind if way == "append" else None

    def _find(self, key: str) -> _Name | None:
        names, found = self._names, None
        for part in key.split("."):
            found = names.get(part)
            if found is None:
                return None
            names = found.inner
        return found

    def _forget(self, key: str) -> None:
        above, _, last = key.rpartition(".")
        holder = self._find(above) if above else None
        if holder is not None or not above:
            (self._names if holder is None else holder.inner).pop(last, None)


class Scope:
    """One running prediction. `context` is what the client sent along with the request.

    In a call for several predictions (`@batch`) it stands for all of them: a figure is recorded for each, and `context`
    has what they have in common. `current_batch()` gives the scope of each; in a `with` statement it is the current one,
    so that what is printed and recorded inside belongs to that prediction alone.
    """

    __slots__ = ("_claim", "context", "members", "metrics")

    def __init__(
        self, context: Mapping[str, str], report: Report, claim: Callable[[], Undo] | None = None
    ) -> None:
        """`report(name, value, mode)` gets each accepted metric: `value` is plain JSON and belongs to the
        receiver, `mode` is replace, increment or append; (name, None, "replace") is a deletion. Calls come
        one at a time, from any thread of the model. `claim()` lets what is printed from here on belong to this prediction,
        until what it returns is called."""
        self.context = dict(context)
        self.metrics = Metrics(report)
        self.members: tuple[Scope, ...] = ()
        self._claim = claim

    def __enter__(self) -> Scope:
        undo = None if self._claim is None else self._claim()
        _entered.set((*_entered.get(), (active.get(), undo)))
        active.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        *others, (before, undo) = _entered.get()
        _entered.set(tuple(others))
        active.set(before)
        if undo is not None:
            undo()

    def record_metric(self, key: str, value: object, mode: str = "replace") -> None:
        """Record a figure of this prediction; see `Metrics.record` for the rules and errors."""
        self.metrics.record(key, value, mode)


def _discard(_name: str, _value: object, _mode: str) -> None:
    """Outside a prediction nothing is recorded."""


_SILENT: Final = Scope({}, _discard)

active: Final[ContextVar[Scope | None]] = ContextVar("cog.scope", default=None)
# What each `with scope:` that has not ended has found: of this context, since several tasks may be inside of the same one.
_entered: Final[ContextVar[tuple[tuple[Scope | None, Undo | None], ...]]] = ContextVar(
    "cog.entered", default=()
)
_process: Scope | None = None


def leave_all() -> None:
    """Whatever `with scope:` code in this context has not left is left."""
    _entered.set(())
    active.set(None)


def set_process_scope(scope: Scope | None) -> None:
    """Say which prediction runs in this process, for the threads of a sync model, which inherit no
    context."""
    global _process
    _process = scope


def current_scope() -> Scope:
    """The prediction that is running; outside one, a scope in which nothing has an effect."""
    scope = active.get()
    if scope is None:
        scope = _process
    if scope is None:
        scope = _SILENT
        scope.context.clear()  # whatever somebody put there outside a prediction
    return scope


def current_batch() -> list[Scope]:
    """The scope of each prediction that the current call of `run()` is for, in the order of the items of its parameters;
    without `@batch` only the one of `current_scope()`."""
    scope = current_scope()
    return list(scope.members) or [scope]


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a metric is a str, not {name!r}.")
    parts = name.split(".")
    if not 1 <= len(name) <= LONGEST or len(parts) > DEEPEST or not all(map(_SEGMENT.fullmatch, parts)):
        raise ValueError(
            f"{name[: LONGEST + 1]!r} cannot be the name of a metric: use 1 to {LONGEST} characters, "
            f"at most {DEEPEST} "
            "parts joined by dots, each of ASCII letters, digits and single underscores, beginning "
            "with a letter "
            "and not ending with an underscore."
        )
    if parts[0] == "predict_time" or (parts[0] == "cog" and len(parts) > 1):
        raise ValueError(f"the metric name {name!r} is reserved for Cog itself: use another one.")


def _plain(name: str, value: object) -> tuple[type, object]:
    """The type that `name` is locked to, and `value` as plain JSON that the model cannot change
    afterwards."""
    kind = next((known for known in _TYPES if isinstance(value, known)), None)
    if kind is None:
        raise TypeError(
            f"metric {name!r} is a {type(value).__name__}: only bool, int, float, str, list and dict "
            "can be recorded."
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"metric {name!r} is {value}, which JSON cannot express: check what it was computed from."
        )
    import json  # a model that records nothing does not wait for it

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if len(text) > LARGEST_VALUE:
            raise ValueError(
                f"that would be {len(text):,} characters, and {LARGEST_VALUE:,} are allowed; return large data as output"
            )
        plain = json.loads(_SURROGATE.sub("\ufffd", text))
        if _deeper(plain, NESTED):
            raise RecursionError
        return kind, plain
    except RecursionError:
        raise ValueError(f"metric {name!r} is nested too deeply: record a flatter value.") from None
    except (TypeError, ValueError) as error:
        message = f"metric {name!r} cannot be turned into JSON: {error}."
        raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from None


def _deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper(item, levels - 1) for item in inner)
