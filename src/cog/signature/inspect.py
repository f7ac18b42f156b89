"""Reading a model: from its class or function to frozen facts, with everything that is wrong named at
once."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cog.errors import SignatureError
from cog.sdk.field import FieldInfo
from cog.sdk.runner import BaseRunner
from cog.signature import places
from cog.signature.annotations import Unsupported
from cog.signature.batches import batch_of, item_of, result_of, strangers
from cog.signature.entry import Argument, Entry, argument
from cog.signature.facts import Batch, CallStyle, Parameter, Result, Signature
from cog.signature.inputs import input_kind
from cog.signature.kinds import Anything
from cog.signature.load import METHODS, TRAINING, class_fault, methods
from cog.signature.outputs import ASYNC, SYNC, result
from cog.signature.parameters import declared

# A function's Input(...)s are kept here when they are replaced by their values, so that it can be read again.
_INPUTS: Final = "__cog_inputs__"
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Subject:
    """A callable that is read. `bare` is the function behind all wrappers, `title` its name in messages;
    `skip` is the number of leading parameters that are not inputs (self)."""

    call: Callable[..., object]
    bare: Callable[..., object]
    title: str
    skip: int
    names: dict[str, Any] = field(default_factory=dict)
    partial: bool = False

    @functools.cached_property
    def places(self) -> places.Places:
        """Where it stands."""
        return places.find(self.bare)

    def fault(self, text: str, parameter: str | None = None) -> str:
        """A line of the report."""
        what = self.title if parameter is None else f'parameter "{parameter}" of {self.title}'
        return f"{self.places.of(parameter)}: {what} {text}."


def read(target: type | Callable[..., object], names: Sequence[str] = METHODS) -> Entry:
    """The facts of a model; when it is a class, of its method, which is one of `names`. Each `Input(...)` among the
    function's defaults is replaced by its default value.

    Raises:
        SignatureError: something is declared in a way that no request could be checked against; the text has
        a line for each such place, with what to write instead.
    """
    if isinstance(target, type):
        fault = class_fault(target, names)
        if fault is not None:
            raise SignatureError(fault)
        name = methods(target, names)[0]
        subject = _method(target, name)
    else:
        name, subject = "", _function(target)
    faults: list[str] = []
    batch = batch_of(_mark(subject, "__cog_batch__"))
    parameters, arguments = _parameters(subject, batch, faults)
    returned, style = _result(subject, batch, faults)
    setup, weights = _setup(target, faults)
    faults += [subject.fault(text) for text in strangers(batch, (known.name for known in parameters))]
    if batch is not None and names == TRAINING:
        faults.append(
            subject.fault("is decorated with @batch, but trainings are made one by one. Remove the decorator")
        )
    signature = Signature(
        parameters=parameters,
        result=returned,
        style=style,
        streaming=bool(_mark(subject, "__cog_streaming__")),
        max_concurrency=_mark(subject, "__cog_concurrent_max__"),
        healthcheck=isinstance(target, type) and callable(getattr(target, "healthcheck", None)),
        batch=batch,
    )
    if signature.streaming and not returned.iterator:
        faults.append(
            subject.fault(
                "is decorated with @streaming, but it does not yield. "
                "Yield parts of the output and annotate it -> Iterator[str], or remove the decorator"
            )
        )
    if faults:
        raise SignatureError("\n".join(faults))
    _settle(subject.bare)
    return Entry(signature, name, weights, setup, arguments)


def _method(cls: type, name: str) -> Subject:
    raw = inspect.getattr_static(cls, name)
    call: Callable[..., object] = getattr(cls, name)
    bound = isinstance(raw, (staticmethod, classmethod)) or not hasattr(raw, "__get__")
    bare = _bare(call)
    scope = {key: value for base in reversed(cls.__mro__[:-1]) for key, value in vars(base).items()}
    return Subject(call, bare, f"{cls.__name__}.{name}", 0 if bound else 1, scope)


def _function(target: Callable[..., object]) -> Subject:
    bare = _bare(target)
    named = bare if isinstance(target, functools.partial) else target
    name = getattr(named, "__name__", type(target).__name__)
    return Subject(target, bare, name, 0, partial=isinstance(target, functools.partial))


def _bare(call: Any) -> Callable[..., object]:
    """The function behind partials, bound methods, wrappers and callable objects."""
    while True:
        if isinstance(call, functools.partial):
            call = call.func
        elif isinstance(call, types.MethodType):
            call = call.__func__
        elif hasattr(call, "__wrapped__"):
            call = call.__wrapped__
        elif not inspect.isroutine(call) and isinstance(type(call).__call__, types.FunctionType):
            call = type(call).__call__
        else:
            return typing.cast("Callable[..., object]", call)


def _parameters(
    subject: Subject, batch: Batch | None, faults: list[str]
) -> tuple[tuple[Parameter, ...], tuple[Argument, ...]]:
    found: list[Parameter] = []
    arguments: list[Argument] = []
    every = list(inspect.signature(subject.call).parameters.values())
    if subject.skip and (not every or every[0].kind not in _POSITIONAL):
        faults.append(subject.fault("has no self. Write it as the first parameter: def run(self, ...)"))
    inputs: dict[str, FieldInfo] = getattr(subject.bare, _INPUTS, {})
    for parameter in every[subject.skip :]:
        faulty = _form_fault(parameter, subject)
        if faulty is not None:
            faults.append(subject.fault(faulty, parameter.name))
        if parameter.kind in _VARIADIC or parameter.annotation is inspect.Parameter.empty:
            continue
        try:
            annotation = _evaluate(parameter.annotation, subject)
            listed = batch is not None and parameter.name not in batch.same
            kind = input_kind(item_of(annotation) if listed else annotation)
        except Unsupported as error:
            faults.append(subject.fault(f"cannot be used: {str(error).removesuffix('.')}", parameter.name))
            continue
        default = inputs.get(parameter.name, parameter.default)
        made = declared(parameter.name, kind, default)
        faults += [subject.fault(text, parameter.name) for text in made.faults]
        found.append(made.parameter)
        arguments.append(argument(made.parameter, made.opaque))
    return tuple(found), tuple(arguments)


_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _form_fault(parameter: inspect.Parameter, subject: Subject) -> str | None:
    """What is wrong with the way a parameter is written, apart from its type and default."""
    if parameter.kind in _VARIADIC:
        stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
        return f"takes any arguments ({stars}{parameter.name}). Write each input as a parameter of its own"
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not subject.partial:
        return "is keyword-only. Remove the * in front of it: inputs are always passed by name"
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return "is positional-only. Remove the / behind it: inputs are always passed by name"
    if parameter.annotation is inspect.Parameter.empty:
        return f"has no type annotation. Write one, for example: {parameter.name}: str"
    return None


def _evaluate(annotation: object, subject: Subject) -> object:
    """The annotation itself, where the source has its text; what it is made of is resolved too."""
    holder: Any = types.SimpleNamespace(__annotations__={"it": annotation})
    names = getattr(subject.bare, "__globals__", {})
    error: Exception | None = None
    for local in ({}, subject.names):  # the names of the class body come last: one may be called `list`
        try:
            return typing.get_type_hints(holder, names, local, include_extras=True)["it"]
        except (NameError, TypeError, AttributeError, SyntaxError) as caught:
            error = error or caught
    text = annotation if isinstance(annotation, str) else repr(annotation)
    advice = "Correct it."
    if isinstance(error, NameError):
        advice = "Import the name outside `if TYPE_CHECKING:` too, since the annotation is used at run time."
    raise Unsupported(f"its type annotation {text} cannot be evaluated ({error}). {advice}")


def _result(subject: Subject, batch: Batch | None, faults: list[str]) -> tuple[Result, CallStyle]:
    style = _style(subject)
    annotation: Any = inspect.signature(subject.call).return_annotation
    try:
        missing = annotation is inspect.Signature.empty  # [compat] nothing is said of the output then
        evaluated: Any = None if missing else _evaluate(annotation, subject)
        if batch is not None and not missing:
            evaluated = result_of(evaluated)
        returned = Result(Anything()) if missing else result(evaluated)
    except Unsupported as error:
        text = str(error).removesuffix(".")
        faults.append(subject.fault(f"has a return annotation that cannot be used: {text}"))
        return Result(Anything()), style
    origin = typing.get_origin(evaluated) or evaluated
    if style == "coroutine" and origin in ASYNC:
        faults.append(
            subject.fault("is annotated as an async iterator, but it does not yield. Yield the items in it")
        )
    if style == "function" and origin in (*SYNC, *ASYNC):
        # It returns an iterator that something else makes: a wrapper, or a generator that it calls.
        style = "generator" if origin in SYNC else "async generator"
    if style in ("generator", "async generator") and not returned.iterator:
        kind = returned.kind
        returned = Result(getattr(kind, "items", kind), iterator=True)  # [compat] it yields, whatever it says
    return returned, style


def _style(subject: Subject) -> CallStyle:
    """How it is called: by the outermost layer that is no plain function (a wrapper may pass on what it
    got)."""
    call: Any = subject.call
    while True:
        for test, style in _STYLES:
            if test(call) or (not inspect.isroutine(call) and test(type(call).__call__)):
                return style
        inner = getattr(call, "__wrapped__", None) or getattr(call, "func", None)
        if inner is None or inner is call:
            return "function"
        call = inner


_STYLES: Final[tuple[tuple[Callable[[Any], bool], CallStyle], ...]] = (
    (inspect.isasyncgenfunction, "async generator"),
    (inspect.iscoroutinefunction, "coroutine"),
    (inspect.isgeneratorfunction, "generator"),
)


def _mark(subject: Subject, name: str) -> Any:
    """What a decorator left on the callable or on the function behind it; None when there is nothing."""
    found = getattr(subject.call, name, None)
    return getattr(subject.bare, name, None) if found is None else found


def _setup(target: type | Callable[..., object], faults: list[str]) -> tuple[bool, bool]:
    """Whether the model defines setup(), and whether that takes the weights."""
    if not isinstance(target, type) or not callable(getattr(target, "setup", None)):
        return False, False
    if inspect.getattr_static(target, "setup") is vars(BaseRunner)["setup"]:
        return False, False
    subject = _method(target, "setup")
    parameters = list(inspect.signature(subject.call).parameters.values())[subject.skip :]
    faults += list(_setup_faults(subject, parameters))
    return True, any(parameter.name == "weights" for parameter in parameters)


def _setup_faults(subject: Subject, parameters: list[inspect.Parameter]) -> Iterator[str]:
    for parameter in parameters:
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD or parameter.name != "weights":
            yield subject.fault(
                "is never passed. Besides self, setup() can take only weights: "
                "read other settings from files or environment variables",
                parameter.name,
            )


def _settle(function: Any) -> None:
    """Replace each Input(...) among the defaults by its value: that is what a direct call gets."""
    defaults = getattr(function, "__defaults__", None) or ()
    if not any(isinstance(value, FieldInfo) for value in defaults):
        return
    code = function.__code__
    names = code.co_varnames[: code.co_argcount][-len(defaults) :]
    setattr(function, _INPUTS, {
        name: value for name, value in zip(names, defaults, strict=True) if isinstance(value, FieldInfo)
    })  # fmt: skip
    function.__defaults__ = tuple(
        value.default if isinstance(value, FieldInfo) else value for value in defaults
    )
