"""Every key of cog.yaml, written down once: the parser, the JSON Schema and the reference page are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from cog.config import rules

Kind: TypeAlias = Literal[
    "text",
    "text or number",
    "true or false",
    "whole number",
    "list of texts",
    "keys",
    "list of keys",
    "list of texts or keys",
    "keys, or a list of them",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a text must look like: `check` decides, `words` say it to people, and `limits` in JSON Schema.

    `limits` may be laxer than `check`, never stricter: an editor must not find fault with what works.
    """

    check: Callable[[str], str | None]
    words: str
    limits: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `path` is its name after those that it stands in, whether they are lists or not.

    `example` and `default` are written as in the file; without a default nothing is meant. `instead` says what took
    the place of a deprecated key. A value of null is as good as none.
    """

    path: str
    kind: Kind
    help: str
    example: str = ""
    rule: Rule | None = None
    default: str = ""
    required: bool = False
    instead: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path of the key that it stands in, empty at the top."""
        return self.path.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Two keys of one place that cannot both be given."""

    parent: str
    one: str
    other: str
    why: str


_FILLED: Final = Rule(rules.filled, "", {"pattern": r"\S"})
_REFERENCE: Final = Rule(
    rules.reference, "`FILE.py:NAME`, or the file alone.", {"pattern": r"^[^:]+\.py(:[^:\s]+)?$"}
)
_COMMAND: Final = Rule(rules.command, "One line.", {"pattern": r"^\n*[^\r\n]*[^\s][^\r\n]*\n*$"})
_PATTERN: Final = Rule(
    rules.pattern, "Not empty, no leading `!`, no backslash.", {"pattern": r"^[^!\\][^\\]*$"}
)
_PYTHON: Final = Rule(
    rules.python_version,
    "Major and minor, perhaps a patch; 3.10 or later. In quotes, or YAML takes 3.10 for 3.1.",
    {"pattern": r"^3\.[1-9][0-9]{1,2}(\.[0-9]{1,3})?$", "minimum": 3.1, "exclusiveMaximum": 4},
)
_CUDA: Final = Rule(
    rules.cuda,
    "Major and minor, perhaps a patch; 11 or later.",
    {"pattern": r"^(1[1-9]|[2-9][0-9]|[1-9][0-9]{2})\.[0-9]{1,3}(\.[0-9]{1,3})?$", "minimum": 11},
)
_CUDNN: Final = Rule(
    rules.cudnn,
    "Up to four numbers with dots; 8 or later, and one that exists for the CUDA.",
    {"pattern": r"^([89]|[1-9][0-9]{1,2})(\.[0-9]{1,3}){0,3}$", "minimum": 8},
)
_SDK: Final = Rule(
    rules.sdk_version,
    "A version after PEP 440 from 0.16.0 on, or `prerelease`.",
    {"pattern": r"^(prerelease|[vV]?[0-9][0-9A-Za-z.!+_-]*)$"},
)
_VARIABLE: Final = Rule(
    rules.variable,
    "`NAME=value`; a name is letters, digits and `_` and does not begin with a digit, is given once, and is none of those "
    f"that the image or the platform sets: {', '.join(f'`{name}`' for name in sorted(rules.DENIED_NAMES))}, and whatever "
    f"begins with {', '.join(f'`{prefix}`' for prefix in rules.DENIED_PREFIXES)}.",
    {
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*=",
        "not": {"pattern": f"^(({'|'.join(sorted(rules.DENIED_NAMES))})=|{'|'.join(rules.DENIED_PREFIXES)})"},
    },
)
_REPOSITORY: Final = Rule(
    rules.repository, "Without a tag or digest.", {"pattern": r"^(?=[\s\S])([^\s@]*/)?[^\s@:/]*$"}
)
_WEIGHT_NAME: Final = Rule(
    rules.weight_name,
    "Lower-case letters and digits, with `.`, `_` or `-` between them; given once.",
    {"pattern": "^[a-z0-9]+([._-][a-z0-9]+)*$"},
)
_TARGET: Final = Rule(
    rules.weight_target,
    "An absolute path below `/`, without `..`; no two overlap.",
    {"pattern": "^/+[^/]", "not": {"pattern": r"(^|/)\.\.(?![^/])"}},
)
_URI: Final = Rule(rules.source_uri, "A `hf://`, `file://` or `https://` URL, or a path.", {"pattern": r"\S"})
_IMAGE: Final = Rule(rules.image, "One word.", {"pattern": r"^\S+$"})
_USER: Final = Rule(
    rules.user,
    "A name or a number, perhaps with a group: `model`, `1000`, `1000:1000`.",
    {"pattern": r"^[a-z0-9_][a-z0-9_-]*(:[a-z0-9_][a-z0-9_-]*)?$"},
)
_MOUNT_TYPE: Final = Rule(rules.mount_type, "`secret`.", {"enum": ["secret"]})
_HEADER_FORMAT: Final = Rule(rules.header_format, "`w3c` or `jaeger`.", {"enum": ["w3c", "jaeger"]})

KEYS: Final[tuple[Key, ...]] = (
    Key("run", "text", "The model: a Python file, and the class or function in it.", '"run.py:Runner"', _REFERENCE),
    Key("predict", "text", "The old name of `run`.", '"predict.py:Predictor"', _REFERENCE, instead="run"),
    Key("train", "text", "The training function.", '"train.py:train"', _REFERENCE),
    Key("build", "keys", "What the model needs around it."),
    Key("build.python_version", "text or number", "The Python that the model runs in.", '"3.12"', _PYTHON,
        "the Python that runs cog"),
    Key("build.python_requirements", "text",
        "A requirements file, relative to cog.yaml. It has to be there. A line of it may be an archive of the project (`.whl`, "
        "`.zip`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tar.xz`), relative to cog.yaml and without options or markers.",
        "requirements.txt", _FILLED),
    Key("build.python_packages", "list of texts", "Packages, in the place of a requirements file.", '["torch==2.7.0"]', _FILLED,
        instead="build.python_requirements"),
    Key("build.system_packages", "list of texts",
        "Debian packages for the image. On a laptop they are not installed: a warning names them.", "[ffmpeg, libgl1]", _FILLED),
    Key("build.gpu", "true or false", "Whether the model computes on a GPU.", "true", default="false"),
    Key("build.cuda", "text or number", "The CUDA of the image.", '"12.4"', _CUDA, "chosen by the requirements"),
    Key("build.cudnn", "text or number", "The cuDNN of the image.", '"9"', _CUDNN, "the latest for the CUDA"),
    Key("build.run", "list of texts or keys",
        "Commands that prepare the image, after the packages are installed and before the model's own files are there. On a "
        "laptop they are not run: a warning names them.",
        '["pip install ninja"]', _COMMAND),
    Key("build.run.command", "text", "The command.", '"curl -fO https://example.com/tool"', _COMMAND, required=True),
    Key("build.run.mounts", "list of keys", "Secrets that this command may read.",
        "[{type: secret, id: token, target: /run/token}]"),
    Key("build.run.mounts.type", "text", "What is mounted.", "secret", _MOUNT_TYPE, required=True),
    Key("build.run.mounts.id", "text", "The name of the secret.", "token", _FILLED, required=True),
    Key("build.run.mounts.target", "text", "The file in which the command finds it.", "/run/token", _FILLED, required=True),
    Key("build.pre_install", "list of texts", "Commands that run after those of `build.run`.", '["pip install ninja"]', _COMMAND,
        instead="build.run"),
    Key("build.sdk_version", "text or number",
        "[compat] Accepted with a warning: an image gets the cog that builds it, or that of COG_SDK_WHEEL.", '"0.16.0"', _SDK),
    Key("build.base_image", "text",
        "The image to begin with, in the place of the one that is chosen: Debian or Ubuntu, with the Python of the model.",
        "registry.example.com/me/base:1", _IMAGE, "chosen by `gpu`, `cuda` and the requirements"),
    Key("build.user", "text or number", "Whom the model runs as in the image; made when there is no such user.", "model", _USER,
        "root"),
    Key("environment", "list of texts", "Variables that the model finds in its environment.", "[GREETING=hello]", _VARIABLE),
    Key("concurrency", "keys", "How many predictions an `async def run` takes at a time."),
    Key("concurrency.max", "whole number", "The number. More than 1 needs Python 3.11 or later.", "4",
        instead="@cog.concurrent(max=N)"),
    Key("concurrency.default_target", "whole number", "[compat] Accepted, without effect.", "2"),
    Key("image", "text", "The name of the image.", "registry.example.com/me/model", _FILLED, "made from the folder's name"),
    Key("model", "text", "The repository of the model, in the place of `image`; `weights` need it.",
        "registry.example.com/me/model", _REPOSITORY),
    Key("weights", "list of keys", "Files that travel beside the image. Read and checked, without effect yet."),
    Key("weights.name", "text", "What it is called.", "base", _WEIGHT_NAME, required=True),
    Key("weights.target", "text", "The folder in which the model finds it.", "/src/weights", _TARGET, required=True),
    Key("weights.source", "keys, or a list of them", "Where it comes from.", "{uri: hf://me/base}", required=True),
    Key("weights.source.uri", "text", "The address.", "hf://me/base", _URI, required=True),
    Key("weights.source.include", "list of texts", "The files to take; all without it.", '["*.safetensors"]', _PATTERN),
    Key("weights.source.exclude", "list of texts", "The files to leave out.", '["*.bin"]', _PATTERN),
    Key("observability", "keys", "What is told of the model while it runs."),
    Key("observability.traces", "keys", "Traces. Read and checked, without effect yet."),
    Key("observability.traces.enabled", "true or false", "Whether there are any.", "true"),
    Key("observability.traces.sampler", "text", "Which predictions are traced.", "traceidratio"),
    Key("observability.traces.sampler_arg", "text or number", "What the sampler needs to know.", "0.1"),
    Key("observability.traces.trace_header", "text", "The header that carries the trace.", "x-trace"),
    Key("observability.traces.trace_header_format", "text", "How that header is written.", "w3c", _HEADER_FORMAT),
)  # fmt: skip

EXCLUSIONS: Final = (
    Exclusion("", "run", "predict", "predict is the old name of run"),
    Exclusion("", "image", "model", "each names where the image goes"),
    Exclusion("build", "python_requirements", "python_packages", "list all packages in one place"),
)

# The keys of each place, by name.
CHILDREN: Final[dict[str, dict[str, Key]]] = {}
for _key in KEYS:
    CHILDREN.setdefault(_key.parent, {})[_key.name] = _key
