"""The doctor's checks of the model's Python file, and what it mends there."""

from __future__ import annotations

import ast
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.doctor.edits import mend
from cog.doctor.findings import Finding
from cog.doctor.patient import examine
from cog.doctor.round import CONFIG, PYTHON, fixable, look


def project(
    folder: Path, source: str | bytes, reference: str = "run.py:Runner", python: str = "3.10"
) -> Path:
    data = dedent(source).encode() if isinstance(source, str) else source
    (folder / "run.py").write_bytes(data)
    path = folder / "cog.yaml"
    path.write_text(f"run: {reference}\nbuild:\n  python_version: '{python}'\n")
    return path


def found(path: Path, check: str | None = None, *levels: str) -> list[Finding]:
    wanted = levels or ("error", "warning")
    findings = look(examine(path), (*CONFIG, *PYTHON))
    return [each for each in findings if each.level in wanted and check in (None, each.check)]


def only(path: Path, check: str | None = None, *levels: str) -> Finding:
    (finding,) = found(path, check, *levels)
    return finding


def mended(path: Path) -> str:
    """The source after all that can be mended was; a second time changes nothing."""
    for _ in range(5):
        mend([finding.fix for finding in fixable(examine(path)) if finding.fix is not None])
    assert fixable(examine(path)) == []
    return (path.parent / "run.py").read_bytes().decode()


GOOD = """\
    from cog import BaseModel, BaseRunner, Input, Path

    class Output(BaseModel):
        text: str

    class Runner(BaseRunner):
        def setup(self) -> None: ...
        def run(self, image: Path, n: int = Input(default=1)) -> Output:
            return Output(text=str(n))
    """


def test_nothing_wrong(tmp_path: Path) -> None:
    path = project(tmp_path, GOOD)
    findings = list(look(examine(path), PYTHON))
    assert {finding.level for finding in findings} == {"ok"}
    assert len(findings) == len(PYTHON)


# The reference.


@pytest.mark.parametrize(
    ("reference", "text", "advice"),
    [
        (
            "runs.py:Runner",
            "runs.py does not exist, but cog.yaml names it as the model",
            "Did you mean run.py?",
        ),
        ("zzzz.py:Runner", "zzzz.py does not exist", "Create it, or correct the name in cog.yaml."),
        ("run.py:Runer", "run.py has nothing called Runer", "Did you mean Runner?"),
        ("run.py:Zzz", "run.py has nothing called Zzz", "It defines Output, Runner."),
        ("run.py:Output", "run or predict method not found: Output", "def run(self"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: str, text: str, advice: str, tmp_path: Path) -> None:
    finding = only(project(tmp_path, GOOD, reference), "config-predict-ref")
    assert finding.level == "error"
    assert text in finding.text
    assert advice in finding.advice


def test_a_folder_is_no_file_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.py").mkdir()
    finding = only(project(tmp_path, GOOD, "model.py:Runner"), "config-predict-ref")
    assert finding.text.startswith("model.py does not exist")
    assert "model.py" not in finding.advice


def test_no_reference_at_all(tmp_path: Path) -> None:
    path = project(tmp_path, GOOD)
    path.write_text("build: {gpu: false}\n")
    assert only(path).text == "cog.yaml names no model"
    path.write_text("")
    assert only(path).text == "cog.yaml names no model"


@pytest.mark.parametrize(
    "source",
    [
        "class Runner:\n    def run(self) -> str: ...\n",
        "class Base:\n    def run(self) -> str: ...\nclass Runner(Base): ...\n",
        "if True:\n    class Runner:\n        async def run(self) -> str: ...\nelse:\n    Runner = None\n",
        "try:\n    import x\nexcept ImportError:\n    x = 0\nclass Runner(object):\n    def run(self) -> str: ...\n",
        "def Runner() -> str: ...\n",
        "async def Runner() -> str: ...\n",
    ],
)
def test_a_model_is_found_where_it_stands(source: str, tmp_path: Path) -> None:
    assert found(project(tmp_path, source), None, "error", "warning", "note") == []


@pytest.mark.parametrize(
    ("source", "reference", "text"),
    [
        ("def train(n: int) -> str: ...\n", "run.py:train", None),
        ("def train(n: int) -> str: ...\n", "run.py", None),
        ("class Trainer:\n    def train(self, n: int) -> str: ...\n", "run.py:Trainer", None),
        (
            "class Trainer:\n    def run(self) -> str: ...\n",
            "run.py:Trainer",
            "train method not found: Trainer",
        ),
        ("def trian(n: int) -> str: ...\n", "run.py:train", "run.py has nothing called train"),
        ("def train(n) -> str: ...\n", "run.py:train", 'parameter "n" of train has no type annotation'),
    ],
)
def test_a_model_that_only_trains(source: str, reference: str, text: str | None, tmp_path: Path) -> None:
    path = project(tmp_path, source)
    path.write_text(f"train: {reference}\n")
    assert [each.text for each in found(path)] == ([] if text is None else [text])


@pytest.mark.parametrize("names", ["Runner", "Predictor"])
def test_a_file_alone_stands_for_the_usual_names(names: str, tmp_path: Path) -> None:
    source = f"class {names}:\n    def run(self) -> str: ...\n"
    assert found(project(tmp_path, source, "run.py"), "config-predict-ref", "error", "note") == []


@pytest.mark.parametrize(
    "source",
    [
        "from elsewhere import Runner\n",
        "from elsewhere import *\n",
        "Runner = make()\n",
        "def __getattr__(name): ...\n",
        "globals()['Runner'] = 1\n",
        "from elsewhere import Base\nclass Runner(Base): ...\n",
        "import elsewhere\nclass Runner(elsewhere.Base): ...\n",
        "@register\nclass Runner: ...\n",
        "class Runner(metaclass=Maker): ...\n",
        "class Runner(Runner): ...\n",
    ],
)
def test_what_only_an_import_can_tell_is_no_error(source: str, tmp_path: Path) -> None:
    path = project(tmp_path, source)
    assert "--deep" in only(path, "config-predict-ref", "error", "warning", "note").advice
    assert found(path, None, "error", "warning") == []


def test_both_methods_are_an_error(tmp_path: Path) -> None:
    source = (
        "class Base:\n    def predict(self) -> str: ...\nclass Runner(Base):\n    def run(self) -> str: ...\n"
    )
    finding = only(project(tmp_path, source))
    assert finding.text == "Runner must define either run() or predict(), not both"
    assert finding.where is not None
    assert finding.where.line == 3


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"def (\n", "invalid syntax"),
        (b"x = 1\n  y = 2\n", "unexpected indent"),
        (b"x = '\xff'\n", ""),
        (b"# coding: klingon\n", ""),
        (b"x = '\0'\n", ""),
        (b"(" * 5000, ""),
        (b"\xff\xfe", ""),
    ],
)
def test_a_file_that_is_no_python(source: bytes, text: str, tmp_path: Path) -> None:
    path = project(tmp_path, source)
    finding = only(path)
    assert (finding.check, finding.level) == ("config-predict-ref", "error")
    assert finding.text.startswith("run.py cannot be read as Python: ")
    assert text in finding.text
    assert fixable(examine(path)) == []


def test_the_syntax_of_a_newer_python_may_be_right(tmp_path: Path) -> None:
    finding = only(project(tmp_path, "type X = = int\n", python="3.99"))
    assert finding.level == "warning"
    assert "--deep" in finding.advice


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = project(tmp_path, GOOD, "models.py:Runner")
    (tmp_path / "models.py").mkdir()
    assert "models.py does not exist" in only(path).text


# The method's name.

OLD = """\
    from cog import BaseRunner

    class Runner(BaseRunner):
        # def predict
        def  predict(self, predict: str) -> str:  # predict
            return self.model.predict(predict) + "predict"
    """


def test_predict_becomes_run_where_nobody_calls_it(tmp_path: Path) -> None:
    path = project(tmp_path, OLD)
    finding = only(path)
    assert (finding.check, finding.level) == ("predict-to-run-migration", "warning")
    assert finding.where is not None
    assert finding.where.line == 5
    assert mended(path) == dedent(OLD).replace("def  predict(", "def  run(")


@pytest.mark.parametrize(
    ("more", "file"),
    [
        ("        x = self.predict\n", "run.py"),
        ("if __name__ == '__main__':\n    Runner().predict('x')\n", "run.py"),
        ("class Other(Runner):\n    pass\n", "run.py"),
        ("from run import Runner\nRunner().predict('x')\n", "try_it.py"),
        ("import run\nx = run.Runner()\nx.predict('x')\n", "deep/down/try_it.py"),
    ],
)
def test_a_method_that_may_be_called_is_left(more: str, file: str, tmp_path: Path) -> None:
    path = project(tmp_path, dedent(OLD) + more if file == "run.py" else OLD)
    if file != "run.py":
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(more)
    finding = only(path)
    assert finding.fix is None
    assert "leaves that to you" in finding.advice


def test_other_peoples_code_does_not_count(tmp_path: Path) -> None:
    path = project(tmp_path, OLD)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "odd.py").write_text("Runner().predict()")
    (tmp_path / "training.py").write_text("forest.predict(x)")
    assert only(path).fix is not None


# Types.


def test_inputs_and_outputs_without_a_type(tmp_path: Path) -> None:
    path = project(tmp_path, "class Runner:\n    def run(self, a, b: int, *, c=1):\n        return a\n")
    first, second, third = found(path)
    assert {finding.check for finding in (first, second, third)} == {"python-missing-type-annotations"}
    assert (first.level, second.level, third.level) == ("error", "error", "warning")
    assert first.text == 'parameter "a" of Runner.run has no type annotation'
    assert second.text == 'parameter "c" of Runner.run has no type annotation'
    assert third.text == "Runner.run does not say what it returns"


def test_a_function_and_a_static_method_have_no_self(tmp_path: Path) -> None:
    path = project(tmp_path, "def Runner(self) -> str: ...\n")
    assert only(path).text == 'parameter "self" of Runner has no type annotation'
    path = project(tmp_path, "class Runner:\n    @staticmethod\n    def run(x) -> str: ...\n")
    assert only(path).text == 'parameter "x" of Runner.run has no type annotation'


# Imports.


def test_places_that_are_old_and_modules_that_cog_does_not_have(tmp_path: Path) -> None:
    source = """\
        from cog.types import Path,   Input  # why
        import cog.nowhere
        from cog.predictor import BaseRunner
        from cog.typing import Path as P
        from cog import BaseRuner
        from cog.exceptions import CancelError
        from cog.mode import Mode
        class Runner(BaseRunner):
            def run(self) -> str: ...
        """
    path = project(tmp_path, source)
    findings = found(path, "python-deprecated-imports")
    assert [(each.level, each.where and each.where.line) for each in findings] == [
        ("warning", 1), ("error", 2), ("warning", 3), ("error", 4), ("error", 5), ("error", 6)
    ]  # fmt: skip
    assert findings[0].text == "cog.types is an old place"
    assert findings[0].advice == "Write: from cog import Path, Input"
    assert "there is no module cog.typing" in findings[3].text
    assert "Did you mean BaseRunner?" in findings[4].advice
    assert "It has CancelationException." in findings[5].advice
    for place in ("cog.types", "cog.predictor", "cog.typing"):
        source = source.replace(place, "cog")
    assert mended(path) == dedent(source)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "import warnings\nfrom cog.types import ExperimentalFeatureWarning\n\n"
            'warnings.filterwarnings("ignore", category=ExperimentalFeatureWarning)  # quiet\nx = 1\n',
            "import warnings\n\nx = 1\n",
        ),
        ("from cog import ExperimentalFeatureWarning, Path\n", "from cog import Path\n"),
        ("from cog import Path, ExperimentalFeatureWarning # a\n", "from cog import Path # a\n"),
        (
            "from cog import (\r\n    Path,\r\n    ExperimentalFeatureWarning,\r\n)\r\n",
            "from cog import (\r\n    Path,\r\n)\r\n",
        ),
        (
            "import warnings as w\nfrom cog import ExperimentalFeatureWarning as E, Input\nw.simplefilter('ignore', E)\n",
            "import warnings as w\nfrom cog import Input\n",
        ),
    ],
)
def test_a_warning_that_nothing_raises_goes_with_its_filter(before: str, after: str, tmp_path: Path) -> None:
    rest = "class Runner:\n    def run(self) -> str: ...\n"
    path = project(tmp_path, (before + rest).encode())
    assert mended(path) == after + rest


@pytest.mark.parametrize(
    "source",
    [
        "from cog import ExperimentalFeatureWarning\nprint(ExperimentalFeatureWarning)\n",
        "import warnings\nfrom cog import ExperimentalFeatureWarning; x = 1\n",
        "def f():\n    from cog import ExperimentalFeatureWarning\n",
        "import warnings\nfrom cog import ExperimentalFeatureWarning\n"
        "x = 1; warnings.simplefilter('ignore', ExperimentalFeatureWarning)\n",
    ],
)
def test_a_warning_that_is_used_otherwise_is_left(source: str, tmp_path: Path) -> None:
    path = project(tmp_path, source + "class Runner:\n    def run(self) -> str: ...\n")
    assert only(path).text == "cog.ExperimentalFeatureWarning is deprecated"
    assert fixable(examine(path)) == []


def test_base_predictor_becomes_base_runner(tmp_path: Path) -> None:
    source = """\
        # BasePredictor
        from cog import BasePredictor, Input

        class Runner( BasePredictor ):
            def run(self, é: str, x: "str" = Input(description="BasePredictor of old")) -> str: ...
        """
    path = project(tmp_path, source)
    after = (
        dedent(source)
        .replace("import BasePredictor", "import BaseRunner")
        .replace("( BasePredictor", "( BaseRunner")
    )
    assert mended(path) == after


@pytest.mark.parametrize(
    "source",
    [
        "from cog import BasePredictor, BaseRunner\nclass Runner(BasePredictor):\n",
        "from cog import BasePredictor\nx: 'BasePredictor'\nclass Runner(BasePredictor):\n",
        "from cog import BasePredictor\nBasePredictor = print(BasePredictor)\nclass Runner(BasePredictor):\n",
    ],
)
def test_base_predictor_is_left_where_its_new_name_could_clash(source: str, tmp_path: Path) -> None:
    path = project(tmp_path, source + "    def run(self) -> str: ...\n")
    assert found(path, "python-deprecated-imports")
    assert fixable(examine(path)) == []


def test_a_file_in_another_encoding_is_read_but_not_changed(tmp_path: Path) -> None:
    source = "# coding: latin-1\nfrom cog import BasePredictor\nclass Runner(BasePredictor):\n    'é'\n    def predict(self) -> str: ...\n"
    path = project(tmp_path, source.encode("latin-1"))
    assert len(found(path)) == 2
    assert fixable(examine(path)) == []


# Outputs.

PYDANTIC = """\
    from typing import Optional
    from pydantic import BaseModel
    from cog import BaseRunner

    class Part(BaseModel):
        '''One of them.'''
        name: str
        weight: float = -1.5

    class Output(BaseModel):
        parts: list[Part]
        note: Optional[str] = None

    class Runner(BaseRunner):
        def run(self, text: str) -> Output:
            return Output(parts=[Part(name=text)])
    """


def test_plain_pydantic_outputs_become_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(tmp_path, PYDANTIC)
    findings = found(path)
    assert {finding.check for finding in findings} == {"python-pydantic-basemodel"}
    assert sorted(finding.where.line or 0 for finding in findings if finding.where) == [5, 10]
    after = mended(path)
    assert after == dedent(PYDANTIC).replace("from pydantic", "from cog")
    module = ModuleType("mended")
    monkeypatch.setitem(sys.modules, "mended", module)
    exec(compile(after, "run.py", "exec"), vars(module))
    assert found(path) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: str\n", "name: str = Field(max_length=3)\n"),
        ("name: str\n", "name: str\n    tags: list = []\n"),
        ("name: str\n", "name: str\n    model_config = {}\n"),
        ("name: str\n", "name: str\n    def f(self): ...\n"),
        ("weight: float = -1.5\n", "weight: float = -1.5\n    last: str\n"),
        ("class Part(BaseModel):", "@checked\nclass Part(BaseModel):"),
        ("class Part(BaseModel):", "class Part(BaseModel, frozen=True):"),
        ("Output(parts=[Part(name=text)])", "Output(parts=[Part(name=text)]).model_copy()"),
        ("Output(parts=[Part(name=text)])", "Output.parse_obj({})"),
        ("import BaseModel\n", "import BaseModel, Field\n"),
        ("import BaseModel\n", "import BaseModel\nimport pydantic\n"),
        ("(self, text: str)", "(self, text: str, x: type[BaseModel])"),
    ],
)
def test_outputs_that_need_pydantic_are_left(old: str, new: str, tmp_path: Path) -> None:
    source = dedent(PYDANTIC)
    assert old in source
    path = project(tmp_path, source.replace(old, new))
    assert found(path, "python-pydantic-basemodel")
    assert fixable(examine(path)) == []


def test_pydantic_elsewhere_is_no_matter(tmp_path: Path) -> None:
    source = "from pydantic import BaseModel\nclass Settings(BaseModel):\n    x: int\nclass Runner:\n    def run(self) -> str: ...\n"
    assert found(project(tmp_path, source)) == []


def test_everything_at_once(tmp_path: Path) -> None:
    path = project(tmp_path, dedent(PYDANTIC).replace("from cog import BaseRunner", "from cog.predictor import BasePredictor")
                   .replace("(BaseRunner)", "(BasePredictor)").replace("def run", "def predict"))  # fmt: skip
    path.write_text(path.read_text().replace("run: ", "predict: "))
    assert mended(path) == dedent(PYDANTIC).replace("from pydantic", "from cog")
    assert path.read_text().startswith("run: run.py:Runner\n")
    assert found(path) == []


@settings(max_examples=60)
@given(st.lists(st.sampled_from([*dedent(PYDANTIC).splitlines(), *dedent(OLD).splitlines(),
    "from cog import BasePredictor as B, ExperimentalFeatureWarning", "class Runner(B): pass", "x = '''", "import cog.types",
    "from cog.types import (Path,", "  Input)", "\ufeff", "\x0c", "\\"]), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))  # fmt: skip
def test_no_file_brings_the_doctor_down_and_no_fix_breaks_one(lines: list[str], end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = project(Path(folder), end.join(lines).encode())
        patient = examine(path)
        assert list(look(patient, (*CONFIG, *PYTHON)))
        source = mended(path)
        if patient.source is not None and patient.source.tree is not None:
            ast.parse(source.encode())
