"""Variables of uv and pyenv that choose what an environment is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from cog.environment import interpreters
from support.projects import Shell, make_project, make_wheel


@pytest.mark.parametrize(("version", "found"), [("3.10", ["3.10.2", "3.10.14"]), ("3.1", []), ("3.12", [])])
def test_pyenv_root_is_where_pyenv_has_its_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: list[str]
) -> None:
    for name in ("3.10.14", "3.10.2", "3.11.1", "3.10-dev"):
        python = tmp_path / "versions" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch(mode=0o755)
    (tmp_path / "versions" / "3.12.0" / "bin").mkdir(parents=True)  # one without its interpreter
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    pythons = {tmp_path / "versions" / name / "bin" / "python" for name in found}
    assert set(interpreters.pyenv(version)) == pythons


def test_uv_override_holds_whatever_the_requirements_say(shell: Shell, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path / "shop", "tiny", version)
    folder = make_project(tmp_path / "model", 'build:\n  python_packages: ["tiny>=2"]\n')
    (tmp_path / "overrides.txt").write_text("tiny==1.0\n")
    told = {"UV_FIND_LINKS": str(tmp_path / "shop"), "UV_OVERRIDE": str(tmp_path / "overrides.txt")}
    assert shell.python(folder, "import tiny; print(tiny.VERSION)", **told) == "1.0"
