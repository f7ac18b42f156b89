"""From a cog.yaml to the steps of its image. Nothing is read or made here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cog.config.model import Build, Config
from cog.image import kit
from cog.image.base import Base
from cog.image.steps import (
    Bind,
    Cache,
    From,
    Mount,
    Run,
    SearchPath,
    SecretFile,
    Start,
    Step,
    Unpack,
    Variables,
)
from cog.version import __version__

HOME: Final = "/opt/cog"  # what is cog's in an image
LENT: Final = "/run/cog"  # what steps are lent while they run
SERVER: Final = f"{HOME}/server"
SOURCE: Final = "/src"
PORT: Final = 5000
# Secrets: an authority that the image is to trust, and all those that the build does.
CERTIFICATE: Final = "cog_ca_cert"
CERTIFICATES: Final = "cog_ca_bundle"
SOURCE_ARCHIVE: Final = "source.tar"
WEIGHTS_ARCHIVE: Final = "weights.tar"

_TOOLS: Final = "tools"
_UV: Final = f"{LENT}/tools/bin/uv"
_KIT: Final = f"{LENT}/kit"
_SECRETS: Final = "/run/secrets"
_PIP_CACHE: Final = Cache("/root/.cache/pip")
_UV_CACHE: Final = Cache("/root/.cache/uv")
_APT_CACHES: Final = (Cache("/var/cache/apt", locked=True), Cache("/var/lib/apt", locked=True))
# Where a certificate stays when it is asked for, and the variables that lead programs to all of them.
_AUTHORITY: Final = "/usr/local/share/ca-certificates/cog-ca-cert.crt"
_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan needs to know beside cog.yaml.

    `python` is the model's version, `cog` that of the kit. `kit` and `packages` are folders of the context, `requirements`
    is the list in the latter (None: nothing is installed). `uv` is a version, and `uv_lent` says that this machine's own is
    used. `indexed` says that an index of PyTorch's is among the lists. With `certificate` the build trusts an authority of
    its own, with `keep_certificate` the image does, too. `server_python` is the Python in the image that runs the server.
    """

    base: Base
    python: str
    kit: str
    uv: str
    uv_lent: bool
    packages: str | None = None
    requirements: str | None = None
    indexed: bool = False
    weights: bool = False
    source: bool = True
    certificate: bool = False
    keep_certificate: bool = False
    server_python: str = "python"
    cog: str = __version__
    user: str | None = None


def plan(config: Config, facts: Facts) -> tuple[Step, ...]:
    """The steps, those first that change least: what comes after a step that has changed is made anew."""
    return (
        *_tools(facts),
        *_beginning(config.build, facts),
        *_system(config.build, facts),
        *_python(config.build, facts),
        _server(facts),
        *_packages(config, facts),
        *_commands(config.build),
        *_ending(config, facts),
        *_files(facts),
    )


def _tools(facts: Facts) -> list[Step]:
    """The installer, where this machine has none to lend. No layer of the image holds it."""
    if facts.uv_lent:
        return []
    base = (
        facts.base.image if facts.base.python == "there" else f"docker.io/library/python:{facts.python}-slim"
    )
    install = f"$(command -v python || command -v python3) -m pip install --quiet --target /opt/tools uv=={facts.uv}"
    environment = "PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore"
    if facts.certificate:
        environment += f" PIP_CERT={_SECRETS}/{CERTIFICATES}"
    return [
        From(base, "What installs packages; it is lent to the steps below, and not in the image", _TOOLS),
        Run(
            (f"{environment} {install}",),
            "uv, in the version that cog has itself",
            (_PIP_CACHE, *_trusting(facts)),
        ),
    ]


def _beginning(build: Build, facts: Facts) -> list[Step]:
    base = facts.base
    values = [("DEBIAN_FRONTEND", "noninteractive"), ("PYTHONUNBUFFERED", "1")]
    if build.gpu:
        values.append(("NVIDIA_DRIVER_CAPABILITIES", "all"))
    return [
        From(base.image, f"The base: {base.why}"),
        Variables(tuple(values), "Installers ask nothing; what a model prints is seen at once"),
    ]


def _system(build: Build, facts: Facts) -> list[Step]:
    packages = ["tini", *sorted(set(build.system_packages) - {"tini"})]
    if facts.keep_certificate or (facts.base.python == "brought"):
        packages.append("ca-certificates")
    install = Run(
        (
            "rm -f /etc/apt/apt.conf.d/docker-clean",
            "apt-get update --quiet --quiet",
            f"apt-get install --quiet --quiet --yes --no-install-recommends {' '.join(packages)}",
            'ln -sf "$(command -v tini)" /sbin/tini',
        ),
        "Packages of the system; tini is the first process, which passes signals on and buries the dead",
        _APT_CACHES,
    )
    return [install, *(_authority() if facts.keep_certificate else [])]


def _authority() -> list[Step]:
    secret = SecretFile(CERTIFICATE, f"{_SECRETS}/{CERTIFICATE}")
    copied = f"install -D -m 644 {secret.target} {_AUTHORITY}"
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return [
        Run(
            (copied, "update-ca-certificates"),
            "The certificate authority that the image is to trust",
            (secret,),
        ),
        Variables(tuple((name, _AUTHORITIES) for name in names), "Where programs find it"),
    ]


def _python(build: Build, facts: Facts) -> list[Step]:
    if facts.base.python == "brought":
        return _brought(facts)
    if build.base_image is None:
        return []
    asked = build.python_version
    what = f"cog.yaml asks for {asked}" if asked is not None else "3.10 is the oldest that works"
    fits = f"(v + '.').startswith('{asked}.')" if asked is not None else "sys.version_info >= (3, 10)"
    check = "import sys; v = '%d.%d.%d' % sys.version_info[:3]; "
    check += f"sys.exit(0 if {fits} else 'cog: the base image has Python ' + v + ', and {what}: change one of them')"
    named = 'command -v python >/dev/null || ln -s "$(command -v python3)" /usr/local/bin/python'
    return [Run((named, f'python -c "{check}"'), "The base has the model's Python")]


def _brought(facts: Facts) -> list[Step]:
    """A Python of uv's. It is the image's own, so pip may install into it."""
    place = f"{HOME}/python"
    commands = (
        _environment(facts, f"UV_PYTHON_INSTALL_DIR={place}"),
        f"{_UV} python install --no-bin {facts.python}",
        f'home=$(dirname "$(dirname "$({_UV} python find --managed-python {facts.python})")")',
        'rm -f "$home"/lib/python*/EXTERNALLY-MANAGED',
        f'ln -s "$home" {place}/current',
    )
    why = f"The model's Python, {facts.python}, which the base does not have"
    return [
        Run(commands, why, (*_lent(facts), _UV_CACHE, *_trusting(facts))),
        SearchPath(f"{place}/current/bin", "It is the one that is meant by `python`"),
    ]


def _server(facts: Facts) -> Step:
    server = f"--python {SERVER}/bin/python --compile-bytecode --constraints {_KIT}/{kit.CONSTRAINTS}"
    sdk = '--python "$(command -v python)" --break-system-packages --no-deps'
    return Run(
        (
            _environment(facts),
            f'{_UV} venv --quiet --python "$(command -v {facts.server_python})" {SERVER}',
            f"{_UV} pip install --quiet {server} {_KIT}/{kit.server_wheel(facts.cog)}",
            f"{_UV} pip install --quiet {sdk} {_KIT}/{kit.sdk_wheel(facts.cog)}",
        ),
        "The server, in an environment of its own, and the SDK, which is all of cog that the model's Python has",
        (*_lent(facts), Bind(facts.kit, _KIT), _UV_CACHE, *_trusting(facts)),
    )


def _packages(config: Config, facts: Facts) -> list[Step]:
    steps: list[Step] = []
    values = tuple((variable.name, variable.value) for variable in config.environment)
    if values:
        steps.append(Variables(values, "`environment` of cog.yaml"))
    if facts.packages is None or facts.requirements is None:
        return steps
    place = f"{LENT}/packages"
    flags = f"--override {_KIT}/{kit.OVERRIDES}" + (
        " --index-strategy unsafe-best-match" if facts.indexed else ""
    )
    install = f'{_UV} pip install --python "$(command -v python)" --break-system-packages {flags} -r {facts.requirements}'
    mounts = (
        *_lent(facts),
        Bind(facts.kit, _KIT),
        Bind(facts.packages, place),
        _UV_CACHE,
        *_trusting(facts),
    )
    return [*steps, Run((_environment(facts), f"cd {place}", install), "The model's packages", mounts)]


def _commands(build: Build) -> list[Step]:
    wanted = [
        (step.command, tuple(SecretFile(each.id, each.target) for each in step.mounts)) for step in build.run
    ]
    wanted += [(command, ()) for command in build.pre_install]
    return [Run((command,), "`run` of cog.yaml", (*mounts, _PIP_CACHE)) for command, mounts in wanted]


def _ending(config: Config, facts: Facts) -> list[Step]:
    """How the image starts. It stands before the model's files, so that an edit of these changes one layer and no more."""
    stubs = (("COG_PREDICT_TYPE_STUB", config.run), ("COG_TRAIN_TYPE_STUB", config.train))
    known = tuple((name, value) for name, value in stubs if value is not None)
    if config.concurrency.max is not None:
        known += (("COG_MAX_CONCURRENCY", str(config.concurrency.max)),)
    user = facts.user if facts.user is not None else config.build.user
    return [
        *([] if user is None else [_someone(user)]),
        *([Variables(known, "The model, for the server")] if known else []),
        Start(
            SOURCE,
            PORT,
            ("/sbin/tini", "--"),
            ("python", "-m", "cog.server.http"),
            "A container serves the model",
            user,
        ),
    ]


def _someone(user: str) -> Step:
    """Make the user, unless the base has it: a model needs a home, where many libraries keep their files."""
    name, _, group = user.partition(":")
    number = f"--uid {name} " if name.isdecimal() else ""
    called = "model" if number else name
    member = f"--gid {group} " if group else ""
    commands = [f"{{ getent passwd {name} >/dev/null || useradd --create-home {number}{member}{called}; }}"]
    if group:
        wanted = f"--gid {group} model" if group.isdecimal() else group
        commands.insert(0, f"{{ getent group {group} >/dev/null || groupadd {wanted}; }}")
    return Run(tuple(commands), "Whom the model runs as")


def _files(facts: Facts) -> list[Step]:
    if not facts.source:
        return []
    weights = Unpack(
        WEIGHTS_ARCHIVE, "The weights: below the code, so that an edit of that does not send them anew"
    )
    return [*([weights] if facts.weights else []), Unpack(SOURCE_ARCHIVE, "The model")]


def _trusting(facts: Facts) -> tuple[Mount, ...]:
    return (SecretFile(CERTIFICATES, f"{_SECRETS}/{CERTIFICATES}"),) if facts.certificate else ()


def _lent(facts: Facts) -> tuple[Mount, ...]:
    place = f"{LENT}/tools/bin"
    return (Bind(uv_folder(facts.uv), place) if facts.uv_lent else Bind("/opt/tools/bin", place, _TOOLS),)


def uv_folder(version: str) -> str:
    """Where in the context the uv lies that this machine lends."""
    return f"uv-{version}"


def _environment(facts: Facts, *more: str) -> str:
    """The variables of uv, for one step. What lies in the cache is copied: it is on another disk."""
    values = ["UV_LINK_MODE=copy", "UV_NO_PROGRESS=1", "UV_CACHE_DIR=/root/.cache/uv", *more]
    if facts.certificate:
        values.append(f"SSL_CERT_FILE={_SECRETS}/{CERTIFICATES}")
    return f"export {' '.join(values)}"


def python_of(build: Build, running: str) -> str:
    """The Python that a model asks for; without a wish the one that runs cog, as everywhere."""
    return build.python_version if build.python_version is not None else running
