"""What usually helps when a build has failed, by the words of those who failed."""

from __future__ import annotations

import re
from typing import Final

_ADVICE: Final = (
    (r"git: (?:command )?not found|Git executable not found|'git': No such file",
     "A package comes by git: add `git` to build.system_packages."),
    (
        r"(?:gcc|cc|g\+\+|c\+\+)'?:? .*(?:not found|failed: No such file)|command '\S*(?:gcc|cc|c\+\+)' failed",
        "A package is compiled here: add `build-essential` to build.system_packages, or take a version with a wheel.",
    ),
    (
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UnknownIssuer|self.signed certificate",
        "Connections are looked into here: set COG_CA_CERT to the file with the certificate of your network's authority.",
    ),
    (r"Unable to locate package (\S+)", "build.system_packages names a package that the base's Debian or Ubuntu does not have."),
    (r"apt-get: (?:command )?not found", "The base image has no apt-get: only Debian and Ubuntu can be built on."),
    (r"No module named pip", "The base image's Python has no pip: add it to the base."),
    (r"no space left on device", "The disk is full. `docker system prune` or `podman system prune` make room."),
    (r"(?:Could not resolve|Temporary failure in name resolution|failed to lookup address|dns error)",
     "Nothing could be looked up from inside of the build: is there a network, and does the engine let builds reach it?"),
    (
        r"CDI device|could not select device driver|nvidia-container-cli",
        "No GPU for containers: install NVIDIA's container toolkit (Podman: `nvidia-ctk cdi generate`), or leave --gpus out.",
    ),
    (
        r"did not resolve to an alias|pinging container registry localhost|No such image",
        "There is no image of this name here: `cog build -t NAME` makes one; one of a registry begins with that's name.",
    ),
    (r"(?:manifest unknown|not found: manifest|requested access to the resource is denied|unauthorized)",
     "The image cannot be had: correct its name, or log in with `cog login`."),
)  # fmt: skip


def told(output: str, engine: str) -> str:
    """The last lines of an engine that has failed, and what to do about it, where that is known."""
    found = of(output)
    return "\n".join([f"{engine} cannot build the image:", "", output, *(["", *found] if found else [])])


def of(output: str) -> list[str]:
    """What to do about what an engine has said, as far as that is known."""
    return [text for words, text in _ADVICE if re.search(words, output)]
