"""cog.yaml: every key, every rule, every kind of damage."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.config.document import MAX_BYTES
from cog.config.model import Build, Concurrency, Config, Mount, Step, Traces, Variable, Weight, WeightSource
from cog.config.parse import find, load
from cog.errors import ConfigDoesNotExist, ConfigError

FULL = """
# everything at once
build:
  python_version: 3.10   # a number, whose zero counts
  gpu: true
  cuda: "12.4"
  cudnn: 9
  python_requirements: requirements.txt
  system_packages: [ffmpeg, "libgl1"]
  run:
    - make weights
    - command: curl https://example.com
      mounts:
        - {type: secret, id: token, target: /run/token}
  sdk_version: 0.16.1
run: "src/run.py:Runner"
train: train.py:train
model: registry.example.com:5000/me/model
concurrency:
  max: 1
environment:
  - GREETING=hello = world
  - EMPTY=
weights:
  - name: big
    target: /src/weights
    source: {uri: hf://me/big, include: ["*.safetensors"], exclude: [old]}
  - name: small
    target: /src/other
    source: [{uri: ./small}, {uri: "file:///x"}]
observability:
  traces: {enabled: true, sampler: traceidratio, sampler_arg: 0.1, trace_header: x-trace, trace_header_format: w3c}
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "cog.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return str(caught.value)


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    path = write(tmp_path, FULL)
    assert load(path) == Config(
        path=path,
        run="src/run.py:Runner",
        train="train.py:train",
        model="registry.example.com:5000/me/model",
        build=Build(
            python_version="3.10",
            gpu=True,
            cuda="12.4",
            cudnn="9",
            python_requirements="requirements.txt",
            system_packages=("ffmpeg", "libgl1"),
            run=(Step("make weights"), Step("curl https://example.com", (Mount("token", "/run/token"),))),
            sdk_version="0.16.1",
        ),
        concurrency=Concurrency(1),
        environment=(Variable("GREETING", "hello = world"), Variable("EMPTY", "")),
        weights=(
            Weight("big", "/src/weights", (WeightSource("hf://me/big", ("*.safetensors",), ("old",)),)),
            Weight("small", "/src/other", (WeightSource("./small"), WeightSource("file:///x"))),
        ),
        traces=Traces(True, "traceidratio", "0.1", "x-trace", "w3c"),
        warnings=('deprecated field "concurrency.max": use "@cog.concurrent(max=N)" instead',),
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "~", "build:\n", "\ufeff", "---\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert load(path) == Config(path=path)


def test_old_keys_work_with_a_warning(tmp_path: Path) -> None:
    config = load(
        write(
            tmp_path, "predict: predict.py:Predictor\nbuild: {python_packages: [torch==2], pre_install: [ls]}"
        )
    )
    assert config.run == "predict.py:Predictor"
    assert config.build.python_packages == ("torch==2",)
    assert config.build.pre_install == ("ls",)
    assert config.warnings == (
        'deprecated field "predict": use "run" instead',
        'deprecated field "build.python_packages": use "build.python_requirements" instead',
        'deprecated field "build.pre_install": use "build.run" instead',
    )


def test_all_problems_are_told_together_with_their_places(tmp_path: Path) -> None:
    text = refused(tmp_path, 'run: "run.py"\nbuild:\n  gpuu: true\n  gpu: maybe\n  cuda: "10.2"\n')
    path = tmp_path / "cog.yaml"
    assert text.split("\n") == [
        f'{path}:3:3: schema error in "build.gpuu": unknown key. Did you mean "gpu"?',
        "    3 |   gpuu: true",
        "      |   ^^^^",
        f"{path}:4:8: schema error in \"build.gpu\": expected true or false, found a text ('maybe'). For example: gpu: true",
        "    4 |   gpu: maybe",
        "      |        ^^^^^",
        f'{path}:5:9: invalid build.cuda "10.2": CUDA 11 is the oldest that is supported. Write "11.8" or later',
        '    5 |   cuda: "10.2"',
        "      |         ^^^^^^",
    ]


@pytest.mark.parametrize(
    ("line", "shown", "mark"),
    [
        ("image: [a]", "image: [a]", "       ^"),
        ("\u5f62: 1", "\u5f62: 1", "^^"),  # two columns wide
        ("{image: \u5f62, odd: 1}", "{image: \u5f62, odd: 1}", "            ^^^"),
        ("{image: 'a\tb', odd: 1}", "{image: 'a b', odd: 1}", "               ^^^"),
        (f"# {'x' * 300}\nodd: 1", "odd: 1", "^^^"),
        (f"{{image: {'x' * 300}, odd: 1}}", f"{'x' * 53}, odd: 1}}", f"{' ' * 55}^^^"),
        (f"image: [{'x' * 300}]", f"image: [{'x' * 102}", "       ^"),
    ],
)  # fmt: skip
def test_the_place_is_marked(tmp_path: Path, line: str, shown: str, mark: str) -> None:
    number = line.count("\n") + 1
    assert refused(tmp_path, line).split("\n")[1:3] == [f"{number:5} | {shown}", f"      | {mark}"]


def test_the_archives_of_a_requirements_file(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "wheels").mkdir(parents=True)
    for name in ("model/wheels/a-1.0-py3-none-any.whl", "model/b.tar.gz", "outside.zip"):
        (tmp_path / name).touch()
    text = "build: {python_requirements: wheels/all.txt}"
    right = (
        "torch==2.7.0 ; python_version > '3'\n-r other.txt\n--find-links x.whl\nfoo.zipper==1\nc @ https://x/c.whl\n"
        "https://x/d.whl ; sys_platform == 'linux'\n${DIR}/e.whl\n# f.whl\n"
        f"wheels/a-1.0-py3-none-any.whl # ours\n./b.tar.gz\n{folder}/b.tar.gz\n"
    )
    (folder / "wheels" / "all.txt").write_text(right)
    assert load(write(folder, text)).build.python_requirements == "wheels/all.txt"
    (folder / "wheels" / "all.txt").write_text(
        f"{right}a-1.0-py3-none-any.whl\n../outside.zip\n  b.tar.gz ; python_version > '3'\nb.tar.gz[extra]\n"
    )
    told = refused(folder, text)
    path = folder / "wheels" / "all.txt"
    assert (
        f'{path}:12:1: invalid build.python_requirements "a-1.0-py3-none-any.whl": there is no such file'
        in told
    )
    assert (
        f'{path}:13:1: invalid build.python_requirements "../outside.zip": it lies outside the folder' in told
    )
    assert (
        f"{path}:14:3: invalid build.python_requirements \"b.tar.gz ; python_version > '3'\": a file of the"
        in told
    )
    assert "   14 |   b.tar.gz ; python_version > '3'\n      |   ^^^^^^^^" in told
    assert (
        f'{path}:15:1: invalid build.python_requirements "b.tar.gz[extra]": a file of the project takes no'
        in told
    )
    assert told.count("all.txt:") == 4
    (folder / "wheels" / "all.txt").write_text("-r more/one.txt  # more\n-c bounds.txt\n-r https://x/y.txt\n")
    (folder / "wheels" / "more").mkdir()
    (folder / "wheels" / "more" / "one.txt").write_text("b.tar.gz\n--requirement='../two.txt'\n")
    (folder / "wheels" / "two.txt").write_text("\nc.whl\n-rall.txt\n")
    told = refused(folder, text)
    assert f'{folder}/wheels/two.txt:2:1: invalid build.python_requirements "c.whl": there is no such' in told
    assert told.count(": invalid ") == 1
    assert load(write(folder, text), check_files=False).build.python_requirements == "wheels/all.txt"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fast: true", '1:1: schema error in "fast": unknown key. The keys here are build, '),
        ("run: 5", "1:6: schema error in \"run\": expected a text, found a whole number ('5'). Put it in quotes"),
        ("run: [a]", "1:6: schema error in \"run\": expected a text, found a list"),
        ("run: x", '1:6: invalid run "x": write a Python file'),
        ("run: a.py:x y", 'invalid run "a.py:x y"'),
        ("run: a.py:X\npredict: a.py:X", '2:10: schema error in "predict": it cannot stand beside "run"'),
        ("image: a\nmodel: b", 'schema error in "model": it cannot stand beside "image"'),
        ("model: me/x:latest", 'invalid model "me/x:latest": write the repository alone'),
        ("[1]", '1:1: schema error in "the whole file": expected keys with values, found a list'),
        ("build: {python_version: '3'}", 'invalid build.python_version "3"'),
        ("build: {python_version: 3.9}", 'invalid build.python_version "3.9": Python 3.10 is the oldest'),
        ("build: {python_version: 3.1}", "in quotes"),
        ("build: {cuda: 12}", 'invalid build.cuda "12"'),
        ("build: {cudnn: x}", 'invalid build.cudnn "x"'),
        ("build: {cudnn: 7.6}", 'invalid build.cudnn "7.6": no CUDA from 11 on has it'),
        ("build: {cuda: 13.0, cudnn: 8}", '"8": there is no cuDNN 8 for CUDA 13.0. Write "9", or leave'),
        ("build: {python_version: 3.010}", 'invalid build.python_version "3.010"'),
        ("build: {python_version: '4.0'}", 'invalid build.python_version "4.0": there is no such Python'),
        ("build: {run: make}", "expected a list, found a text ('make'). For example: run: ["),
        ("environment: [{A: b}]", "expected a text, found keys with values. For example: environment: [GREETING=hello]"),
        ("build: {sdk_version: 0.15.9}", 'invalid build.sdk_version "0.15.9": 0.16.0 is the oldest'),
        ("build: {sdk_version: 0.16.0rc1}", "0.16.0 is the oldest"),
        ("build: {sdk_version: new}", "PEP 440"),
        ("build: {python_requirements: none.txt}", 'invalid build.python_requirements "none.txt": there is no such'),
        ("build: {python_requirements: x, python_packages: [a]}", '"build.python_packages": it cannot stand beside'),
        ('build: {run: ["a\\nb"]}', 'invalid build.run[0] "a\\nb": a command is one line'),
        ("build: {run: [{mounts: []}]}", 'schema error in "build.run[0].command": it is missing. For example: command: '),
        ("build: {run: [{command: a, mounts: [{type: bind, id: a, target: /a}]}]}", "the only type is"),
        ("build: {run: [{command: a, mounts: [{type: secret}]}]}", 'mounts[0].target": it is missing'),
        ("environment: [A]", 'invalid environment[0] "A": write NAME=value'),
        ("environment: [1A=1]", "does not start with a digit"),
        ("environment: [A=1, A=2]", 'invalid environment[1] "A=2": A was already given'),
        ("environment: [HF_ENDPOINT=1]", "HF_ENDPOINT is set by the image"),
        ("environment: [CUDA_HOME=1]", "CUDA_HOME is set by the image"),
        ("environment: [OTEL_X=1]", "OTEL_X is set by the image"),
        ("environment: {A: b}", "expected a list, found keys with values"),
        ("concurrency: {max: 0}", 'invalid concurrency.max "0": write a whole number'),
        ("concurrency: {max: 99999999999999999999}", "write a whole number"),
        ("concurrency: {max: 2}\nbuild: {python_version: '3.10'}", "more than 1 needs Python 3.11"),
        ("weights: [{name: a, target: /a, source: {uri: b}}]", 'schema error in "model": it is missing'),
        ("model: m\nweights: [{name: A, target: /a, source: {uri: b}}]", 'invalid weights[0].name "A"'),
        ("model: m\nweights: [{name: a, target: /, source: {uri: b}}]", 'invalid weights[0].target "/"'),
        ("model: m\nweights: [{name: a, target: /a, source: {uri: s3://b}}]", 'source.uri "s3://b"'),
        ("model: m\nweights: [{name: a, target: /a, source: {uri: b, include: ['!c']}}]", "a pattern is not empty"),
        ("model: m\nweights: [{name: a, target: /a, source: {}}]", 'source.uri": it is missing'),
        ("model: m\nweights: [{name: a, target: /a, source: []}]", 'schema error in "weights[0].source": it is empty'),
        (
            "model: m\nweights: [{name: a, target: /a, source: {uri: b}}, {name: a, target: /b, source: {uri: b}}]",
            "two weights have this name",
        ),
        (
            "model: m\nweights: [{name: a, target: /a, source: {uri: b}}, {name: b, target: /a/c, source: {uri: b}}]",
            'it overlaps with the target of "a"',
        ),
        ("observability: {traces: {trace_header_format: x}}", "write w3c or jaeger"),
        ("image: a\nimage: b", '2:1: the key "image" was already given in line 1'),
        ("? [a]\n: b", "a key must be a single word"),
    ],
)  # fmt: skip
def test_each_rule_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("run: [", "1:7: failed to parse cog.yaml: "),
        ("a: b: c", "1:5: failed to parse cog.yaml: mapping values are not allowed here"),
        ("run:\n\tx", "cannot start any token. Indent with spaces, not with tabs"),
        ("image: m\nrun: 'a\nbuild: {}\n", ":2:6: failed to parse cog.yaml: while scanning a quoted scalar"),
        ("run: 'a", "A quote or bracket is not closed"),
        ("run: a.py\n build: {}", "Begin each key on a line of its own"),
        ('run: "\\d"', "write each backslash twice"),
        ("build: {gpu: true]", "Put commas between the keys and } at their end"),
        (b"image: \xff", "1:8: failed to parse cog.yaml: it is not UTF-8"),
        (b"a\nb\x07", "2:2: failed to parse cog.yaml: the character '\\x07' is not allowed"),
        (b"a: b\r\nc: d\re\x07", "3:2: failed to parse cog.yaml: the character"),
        ("a: b\x85c: d\u2028e: ".encode() + b"\xff", "3:4: failed to parse cog.yaml: it is not UTF-8"),
        ("image: a\n---\nimage: b", "more than one document"),
        ("image: *a", "`*a` refers to `&a`, which does not come before it"),
        ("build: &a {run: *a}", "`*a` stands within `&a` itself"),
        ('image: "\\uD800"', "half of a surrogate pair"),
        ('image: "\\0"', "a NUL"),
        ('image: "\\UFFFFFFFF"', "failed to parse cog.yaml"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("#" * (MAX_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_what_is_no_yaml_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in refused(tmp_path, text)


def test_a_billion_laughs_are_not_laughed(tmp_path: Path) -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "more than 5000 values" in refused(tmp_path, "\n".join(lines))


def test_tags_are_never_followed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    text = refused(tmp_path, f"image: !!python/object/apply:os.mkdir ['{trap}']")
    assert "the tag !!python/object/apply:os.mkdir cannot be used here" in text
    assert not trap.exists()
    assert load(write(tmp_path, "image: !!str 5")).image == "5"


def test_anchors_and_merges(tmp_path: Path) -> None:
    text = "model: m\nweights:\n- &a {name: a, target: /a, source: &s {uri: b}}\n- {<<: *a, name: c, target: /c}\n"
    weights = load(write(tmp_path, text)).weights
    assert [(one.name, one.target, one.sources[0].uri) for one in weights] == [
        ("a", "/a", "b"),
        ("c", "/c", "b"),
    ]


def test_a_running_image_needs_no_files(tmp_path: Path) -> None:
    path = write(tmp_path, "build: {python_requirements: gone.txt}")
    assert load(path, check_files=False).build.python_requirements == "gone.txt"


def test_no_file_and_no_readable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigDoesNotExist, match="Create it"):
        load(tmp_path / "cog.yaml")
    (tmp_path / "cog.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "cog.yaml")


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load(Path("/dev/zero"))


def test_find_looks_in_the_parents(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    path = write(tmp_path, "")
    assert find(deep) == path
    assert find(tmp_path) == path
    (deep / "cog.yaml").mkdir()  # a folder of that name is not it
    assert find(deep) == path
    path.unlink()
    assert find(deep) is None


def outcome(path: Path) -> str:
    try:
        load(path)
    except ConfigError as error:
        return str(error)
    return ""


WORDS = st.sampled_from(
    ["run", "build", "gpu", "weights", "environment", ":", "- ", "\n", "  ", "&a ", "*a", "<<", "{", "}", "[", "]", "!!str ",
     "'", '"', "\\", "|", ">", "?", ",", "#", "%", "---", "...", "~", "5", "1.5", "true", "\t", "\x85", "ü", "\u2028"]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(st.binary(max_size=80), st.lists(WORDS, max_size=40).map(lambda parts: "".join(parts).encode()))
)
def test_any_bytes_are_a_config_or_a_config_error(data: bytes) -> None:
    number, name = tempfile.mkstemp(suffix=".yaml")
    os.close(number)
    path = Path(name)
    try:
        path.write_bytes(data)
        told = outcome(path)
    finally:
        path.unlink()
    assert told == "" or told.startswith(f"{path}:")
    told.encode()
