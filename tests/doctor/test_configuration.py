"""The doctor's checks of cog.yaml, and what it mends there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.config.parse import load
from cog.doctor.edits import edited, mend
from cog.doctor.findings import Finding
from cog.doctor.patient import examine
from cog.doctor.round import CONFIG, look

MODEL = (
    "from cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self) -> str:\n        return ''\n"
)


def project(folder: Path, config: str | bytes, source: str | None = MODEL) -> Path:
    path = folder / "cog.yaml"
    path.write_bytes(config if isinstance(config, bytes) else config.encode())
    if source is not None:
        (folder / "run.py").write_text(source)
    return path


def found(path: Path, *levels: str) -> list[Finding]:
    wanted = levels or ("error", "warning")
    return [finding for finding in look(examine(path), CONFIG) if finding.level in wanted]


def only(path: Path) -> Finding:
    (finding,) = found(path)
    return finding


def test_nothing_wrong_is_said_check_by_check(tmp_path: Path) -> None:
    path = project(tmp_path, 'build:\n  python_version: "3.12"\nrun: run.py:Runner\n')
    findings = list(look(examine(path), CONFIG))
    assert [finding.check for finding in findings] == [check.name for check in CONFIG]
    assert {finding.level for finding in findings} == {"ok"}


@pytest.mark.parametrize("text", ["run: [", "run: 'x", "\tx: 1", "a: b: c", "\xff\xfe".encode("latin-1")])
def test_what_is_no_yaml_is_one_error_with_its_place(text: str | bytes, tmp_path: Path) -> None:
    path = project(tmp_path, text)
    finding = only(path)
    assert (finding.check, finding.level) == ("config-parse", "error")
    assert finding.text.startswith("failed to parse cog.yaml: ")
    assert finding.where is not None
    assert finding.where.path == path
    assert finding.where.line == 1
    notes = found(path, "note")
    assert {note.check for note in notes} == {
        "config-schema",
        "config-deprecated-fields",
        "config-predict-ref",
    }


def test_every_wrong_key_and_value_is_named(tmp_path: Path) -> None:
    path = project(tmp_path, 'run: run.py:Runner\nbuidl: {}\nbuild:\n  gpu: "yes"\n  cuda: "nine"\n')
    findings = found(path)
    assert [(finding.check, finding.level) for finding in findings] == [("config-schema", "error")] * 3
    assert [finding.where.line for finding in findings if finding.where] == [2, 4, 5]
    assert 'schema error in "buidl": unknown key. Did you mean "build"?' in findings[0].text
    assert "buidl: {}" in findings[0].detail


def test_a_file_that_is_not_there_is_an_error_of_its_own_place(tmp_path: Path) -> None:
    path = project(tmp_path, "run: run.py:Runner\nbuild:\n  python_requirements: nowhere.txt\n")
    finding = only(path)
    assert (finding.check, finding.where and finding.where.line) == ("config-schema", 3)
    assert "nowhere.txt" in finding.text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("predict: run.py:Runner\n", "run: run.py:Runner\n"),
        ('"predict": run.py:Runner', '"run": run.py:Runner'),
        ("'predict' :  run.py:Runner # predict\n", "'run' :  run.py:Runner # predict\n"),
        (
            "# predict: old\r\nimage: predict\r\n\r\npredict:   'run.py:Runner'   # why\r\nbuild: {gpu: false}\r\n",
            "# predict: old\r\nimage: predict\r\n\r\nrun:   'run.py:Runner'   # why\r\nbuild: {gpu: false}\r\n",
        ),
        ("{image: ä€, predict: run.py:Runner}", "{image: ä€, run: run.py:Runner}"),
        ("\ufeffpredict: run.py:Runner\n", "\ufeffrun: run.py:Runner\n"),
        ("? predict\n: run.py:Runner\n", "? run\n: run.py:Runner\n"),
    ],
)
def test_predict_becomes_run_and_nothing_else_changes(before: str, after: str, tmp_path: Path) -> None:
    path = project(tmp_path, before)
    path.chmod(0o640)
    finding = only(path)
    assert (finding.check, finding.level) == ("predict-to-run-migration", "warning")
    assert finding.text == 'deprecated field "predict": use "run" instead'
    assert finding.fix is not None
    assert mend([finding.fix]) == [finding.fix]
    assert path.read_bytes().decode() == after
    assert path.stat().st_mode & 0o777 == 0o640
    assert found(path) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cog.yaml", "run.py"]


@pytest.mark.parametrize(
    "text",
    [
        "predict: run.py:Runner\nrun: run.py:Runner\n",  # which one is meant?
        '"pre\\x64ict": run.py:Runner\n',  # not written as a plain word
        "build: {}\nimage: predict\n",
    ],
)
def test_what_cannot_be_renamed_safely_is_left(text: str, tmp_path: Path) -> None:
    path = project(tmp_path, text)
    assert not [finding for finding in found(path) if finding.fix is not None]


def test_a_file_that_has_changed_meanwhile_is_left(tmp_path: Path) -> None:
    path = project(tmp_path, "predict: run.py:Runner\n")
    fix = only(path).fix
    assert fix is not None
    path.write_text("image: x\npredict: run.py:Runner\n")
    assert mend([fix]) == []
    assert path.read_text() == "image: x\npredict: run.py:Runner\n"


def test_a_link_goes_on_to_be_one(tmp_path: Path) -> None:
    real = tmp_path / "shared.yaml"
    real.write_text("predict: run.py:Runner\n")
    (tmp_path / "run.py").write_text(MODEL)
    path = tmp_path / "cog.yaml"
    path.symlink_to("shared.yaml")
    fix = only(path).fix
    assert fix is not None
    assert mend([fix]) == [fix]
    assert path.is_symlink()
    assert real.read_text() == "run: run.py:Runner\n"


def test_pre_install_is_renamed_where_nothing_stands_in_the_way(tmp_path: Path) -> None:
    path = project(tmp_path, "run: run.py:Runner\nbuild:\n  pre_install: # first\n    - echo a\n")
    finding = only(path)
    assert (finding.check, finding.level) == ("config-deprecated-fields", "warning")
    assert finding.where is not None
    assert finding.where.line == 3
    assert finding.fix is not None
    mend([finding.fix])
    assert path.read_text() == "run: run.py:Runner\nbuild:\n  run: # first\n    - echo a\n"
    assert [step.command for step in load(path).build.run] == ["echo a"]

    path = project(tmp_path, "run: run.py:Runner\nbuild:\n  run: [echo b]\n  pre_install: [echo a]\n")
    assert only(path).fix is None


def test_other_deprecated_keys_say_what_to_write(tmp_path: Path) -> None:
    path = project(
        tmp_path, "run: run.py:Runner\nconcurrency: {max: 2}\nbuild:\n  python_packages: [torch]\n"
    )
    concurrency, packages = sorted(found(path), key=lambda finding: finding.text)[::-1]
    assert concurrency.text == 'deprecated field "concurrency.max": use "@cog.concurrent(max=N)" instead'
    assert (concurrency.where and concurrency.where.line, packages.where and packages.where.line) == (2, 4)
    assert "requirements.txt" in packages.advice
    assert concurrency.fix is packages.fix is None


KEYS = st.sampled_from(
    ["predict", "run", "image", "train", "build", "x", "'predict'", '"predict"', "? predict\n"]
)
VALUES = st.sampled_from(
    ["run.py:Runner", "predict", "[predict]", "{predict: 1}", "&a b", "*a", "", "'x", "|\n  predict: a"]
)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=5), st.sampled_from(["\n", "\r\n", "\n\n# predict\n"]))
def test_whatever_is_written_a_fix_changes_the_key_alone(lines: list[tuple[str, str]], end: str) -> None:
    import tempfile

    text = end.join(f"{key}: {value}" for key, value in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = project(Path(folder), text, source=None)
        for finding in list(look(examine(path), CONFIG)):
            if finding.fix is not None:
                (edit,) = finding.fix.edits
                assert edit.old == b"predict"
                assert edited(path.read_bytes(), [edit]).count(b"predict") == text.count("predict") - 1
                mend([finding.fix])
                assert not [again for again in look(examine(path), CONFIG) if again.fix is not None]
