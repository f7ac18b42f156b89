"""From a reference such as `run.py:Runner` to the object that it names."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from cog.errors import LoadError
from cog.sdk.runner import BasePredictor, BaseRunner
from cog.signature import places

# What the method is called that does the work of a model, and of one that is trained.
METHODS: Final = ("run", "predict")
TRAINING: Final = ("train",)
_noted: set[str] = set()


def load(reference: str, folder: Path, names: Sequence[str] = METHODS) -> type | Callable[..., object]:
    """The class or function that `reference` names: `run.py:Runner`, or `run.py` for its Runner (or
    Predictor). A class must have one method of these `names`: METHODS, or TRAINING, where `train.py` stands for its
    `train`.

    The file is looked up in `folder`, which becomes importable; the module is found in `sys.modules` under
    its base name. Deprecated forms are noted on stderr, once each. What the model's own code raises while it
    is imported rises as it is, a SyntaxError included.

    Raises:
        LoadError: no such file, no such name, or a class that does not have exactly one of the methods.
    """
    file, colon, name = reference.rpartition(":")
    if not colon or name.endswith(".py"):
        file, name = reference, ""
    path = folder / file
    if not path.is_file():
        raise LoadError(_no_file(reference, path, folder))
    module = _execute(path, folder)
    name = name or (_default_name(module, path) if "run" in names else names[0])
    found: object = getattr(module, name, None)
    if found is None:
        raise LoadError(_no_name(module, path, name, names[0]))
    if isinstance(found, type):
        fault = class_fault(found, names)
        if fault is not None:
            raise LoadError(f"{places.of_class(found)}: {fault}")
        _note_deprecated(found)
        return found
    if not callable(found):
        raise LoadError(
            f"{name} in {path.name} is {_kind(found)}, not a class or a function. "
            f"Name the class that has {names[0]}(), for example {path.name}:{_candidate(module, names) or 'Runner'}."
        )
    return found


def methods(cls: type, names: Sequence[str] = METHODS) -> list[str]:
    """Which of `names` the class defines itself or inherits from another class than the framework's."""
    own = [base for base in cls.__mro__ if base not in (BaseRunner, BasePredictor, object)]
    return [name for name in names if any(name in vars(base) for base in own)]


def class_fault(cls: type, names: Sequence[str] = METHODS) -> str | None:
    """What keeps the class from being a model: it needs exactly one method of `names`. None: nothing."""
    defined = methods(cls, names)
    if not defined and "train" in names:
        return (
            f"train method not found: {cls.__name__}. "
            "Define the method that makes one training, for example: def train(self, data: Path) -> Path"
        )
    if len(defined) > 1:
        return (
            f"{cls.__name__} must define either run() or predict(), not both. "
            "Keep run(); predict() is its old name."
        )
    if not defined:
        return (
            f"run or predict method not found: {cls.__name__}. "
            "Define the method that makes one prediction, for example: def run(self, prompt: str) -> str"
        )
    return None


def _execute(path: Path, folder: Path) -> ModuleType:
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)
    name = path.name.removesuffix(".py")
    if name in sys.stdlib_module_names or name == "cog":
        name = f"_model_{name}"  # a model's types.py must not take the place of Python's own
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise LoadError(f"{path} cannot be imported as a Python module: name a .py file.")
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        if previous is None:
            del sys.modules[name]
        else:
            sys.modules[name] = previous
        raise
    return sys.modules.get(name, module)


def _default_name(module: ModuleType, path: Path) -> str:
    runner, predictor = hasattr(module, "Runner"), hasattr(module, "Predictor")
    if runner and predictor:
        warnings.warn(
            f"{path.name} defines both Runner and Predictor: Runner is used. "
            f"Say which one you mean, for example {path.name}:Runner.",
            UserWarning,
            stacklevel=3,
        )
    if runner:
        return "Runner"
    if predictor:
        _note(f"{path.name} was named without a class, and has a Predictor: name it, {path.name}:Predictor.")
        return "Predictor"
    raise LoadError(
        f"{path.name} has no class called Runner, and the reference names no other. "
        f"Write the name behind a colon, for example {path.name}:{_candidate(module) or 'Runner'}."
    )


def _note_deprecated(cls: type) -> None:
    if "predict" in methods(cls):
        _note(f"{cls.__name__}.predict() is deprecated: rename it to run().")
    if issubclass(cls, BasePredictor):
        _note(f"BasePredictor is deprecated: derive {cls.__name__} from BaseRunner.")


def _note(text: str) -> None:
    if text not in _noted:
        _noted.add(text)
        sys.stderr.write(f"DeprecationWarning: {text}\n")


def _no_file(reference: str, path: Path, folder: Path) -> str:
    text = f"{path} does not exist, but {reference!r} names it."
    near = _near(path.name, (found.name for found in folder.glob("*.py"))) if folder.is_dir() else ""
    return text + (near or " Check the path: it is taken relative to the folder of cog.yaml.")


def _no_name(module: ModuleType, path: Path, name: str, method: str) -> str:
    names = [key for key, value in vars(module).items() if not key.startswith("_") and _local(value, module)]
    near = _near(name, names)
    if not near and names:
        near = f" It defines {', '.join(sorted(names)[:10])}."
    return f"{path.name} has nothing called {name}.{near or f' Define it there: a class with a {method}() method.'}"


def _near(wanted: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(wanted, list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _local(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _candidate(module: ModuleType, names: Sequence[str] = METHODS) -> str | None:
    for name, value in vars(module).items():
        if _local(value, module) and isinstance(value, type) and class_fault(value, names) is None:
            return name
    return None


def _kind(value: Any) -> str:
    if inspect.ismodule(value):
        return "a module"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
