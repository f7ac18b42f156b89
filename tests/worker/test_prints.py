"""Whatever a model prints, by whatever way, is in the logs of the prediction that printed it, and in no other's."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.models import ASYNC, SYNC
from support.serving import Server, until, write_model

PLAIN = "out = 1 + 1"


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    server: Server = serve_once(SYNC)
    return server


@pytest.fixture(scope="module")
def concurrent(serve_once: Any) -> Server:
    server: Server = serve_once(ASYNC)
    return server


def ran(server: Server, code: str) -> Any:
    """The prediction that ran `code`, which must have succeeded."""
    prediction = server.predict({"code": code}).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction


def logs(server: Server, code: str) -> str:
    return str(ran(server, code)["logs"])


def release(server: Server, *names: str) -> None:
    for name in names:
        (server.folder / name).touch()


def test_prints_are_seen_while_the_model_runs(plain: Server) -> None:
    running = plain.start_async(
        {"code": "print('first words'); hold('live'); import sys; print('last words', file=sys.stderr)"}
    )
    seen = until(lambda: plain.get(f"/predictions/{running}").json(), lambda shown: shown["logs"])
    assert (seen["status"], seen["logs"]) == ("processing", "first words\n")
    plain.wait_log("first words")
    assert "last words" not in plain.messages()
    release(plain, "live")
    assert plain.wait_for(running)["logs"] == "first words\nlast words\n"
    plain.wait_log("last words")
    line = next(line for line in plain.lines if line["fields"]["message"] == "last words")
    assert (line["fields"]["source"], line["fields"]["prediction_id"]) == ("stderr", running)


def test_a_flush_shows_text_without_a_newline(plain: Server) -> None:
    running = plain.start_async(
        {"code": "print('50 %', end='', flush=True); hold('flushed'); print('\\r100 %')"}
    )
    seen = until(lambda: plain.get(f"/predictions/{running}").json(), lambda shown: shown["logs"])
    assert seen["logs"] == "50 %"
    release(plain, "flushed")
    assert plain.wait_for(running)["logs"] == "50 %\r100 %\n"


def test_each_source_keeps_its_order(plain: Server) -> None:
    text = logs(
        plain,
        "import os, sys\n"
        "for n in range(300):\n"
        "    print('out', n); print('err', n, file=sys.stderr)\n"
        "    os.write(1, b'raw %d\\n' % n); os.write(2, b'rawerr %d\\n' % n)",
    )
    assert len(text.splitlines()) == 1200
    for source in ("out", "err", "raw", "rawerr"):
        numbers = [line.split()[1] for line in text.splitlines() if line.split()[0] == source]
        assert numbers == [str(n) for n in range(300)], source


def test_a_line_without_its_end_stays_in_its_prediction(plain: Server) -> None:
    assert logs(plain, "print('secret-A', end='')") == "secret-A"
    assert logs(plain, "print('line-B')") == "line-B\n"
    assert logs(plain, "import sys; sys.stderr.write('secret-C')") == "secret-C"
    assert logs(plain, PLAIN) == ""


def test_a_character_without_its_end_stays_in_its_prediction(plain: Server) -> None:
    whole = "é".encode()
    assert logs(plain, f"import os; os.write(1, {whole[:1]!r}); os.write(1, {whole[1:]!r})") == "é"
    assert logs(plain, f"import os; os.write(1, b'a' + {whole[:1]!r})") == "a\ufffd"
    assert logs(plain, f"import os; os.write(1, {whole[1:]!r} + b'b')") == "\ufffdb"


def test_interleaved_lines_stay_apart(concurrent: Server) -> None:
    code = (
        "mark('began-{0}')\n"
        "for turn in range(3):\n"
        "    await held(f'turn-{0}-{{turn}}')\n"
        "    print('{0}', end='')\n"
        "    mark(f'did-{0}-{{turn}}')\n"
        "await held('finish-letters')\n"
        "return '{0}'"
    )
    running = {letter: concurrent.start_async({"code": code.format(letter)}) for letter in "ABC"}
    for turn in range(3):
        for letter in "BAC" if turn % 2 else "CAB":
            release(concurrent, f"turn-{letter}-{turn}")
            concurrent.wait_file(f"did-{letter}-{turn}")
    release(concurrent, "finish-letters")
    ended = {letter: concurrent.wait_for(running[letter]) for letter in running}
    assert {letter: ended[letter]["logs"] for letter in ended} == {"A": "AAA", "B": "BBB", "C": "CCC"}
    assert {letter: ended[letter]["output"] for letter in ended} == {"A": "A", "B": "B", "C": "C"}


def test_tasks_and_threads_print_for_the_run_that_made_them(concurrent: Server) -> None:
    code = (
        "async def child():\n"
        "    await held('begin-children')\n"
        "    print('{0} task')\n"
        "    await asyncio.to_thread(print, '{0} thread')\n"
        "    await asyncio.gather(asyncio.to_thread(print, '{0} gathered'))\n"
        "await asyncio.create_task(child())"
    )
    running = {name: concurrent.start_async({"code": code.format(name)}) for name in ("x", "y")}
    release(concurrent, "begin-children")
    for name, prediction in running.items():
        assert concurrent.wait_for(prediction)["logs"] == f"{name} task\n{name} thread\n{name} gathered\n"


def test_a_thread_of_a_plain_model_prints_for_the_run(plain: Server) -> None:
    code = (
        "import threading\nt = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()"
    )
    assert logs(plain, code) == "from a thread\n"


def test_the_error_of_a_forgotten_task_is_in_no_other_logs(concurrent: Server) -> None:
    ran(
        concurrent,
        "async def fail(): raise ValueError('nobody waited for me')\n"
        "self.forgotten = asyncio.create_task(fail()); await asyncio.sleep(0)",
    )
    assert logs(concurrent, "import gc\ndel self.forgotten; gc.collect(); print('mine')") == "mine\n"
    concurrent.wait_log("nobody waited for me")


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['echo', 'below'])",
        "import subprocess; subprocess.run(['sh', '-c', 'echo below >&2'])",
        "import os; os.system('echo below')",
        "import os; os.write(1, b'below\\n')",
        "import sys; sys.stdout.buffer.write(b'below\\n')",
        "import sys; sys.__stdout__.write('below\\n')",
        "import ctypes; ctypes.CDLL(None).puts(b'below')",
        "import ctypes; ctypes.CDLL(None).printf(b'bel%s\\n', b'ow')",
        "import os\nif os.fork() == 0:\n    print('below'); os._exit(0)\nos.wait()",
        "import multiprocessing as m\n"
        "p = m.get_context('fork').Process(target=print, args=('below',)); p.start(); p.join()",
    ],
)
def test_output_below_python_is_in_the_logs(plain: Server, code: str) -> None:
    assert logs(plain, code) == "below\n"
    assert logs(plain, PLAIN) == ""


def test_c_output_without_a_newline_stays_in_its_prediction(plain: Server) -> None:
    assert logs(plain, "import ctypes; ctypes.CDLL(None).printf(b'half')") == "half"
    assert logs(plain, "import ctypes; ctypes.CDLL(None).puts(b'whole')") == "whole\n"


def test_subprocess_output_of_an_async_model_that_is_alone(concurrent: Server) -> None:
    code = "p = await asyncio.create_subprocess_exec('echo', 'below'); await p.wait()"
    assert logs(concurrent, code) == "below\n"


def test_bytes_that_are_no_text_are_replaced(plain: Server) -> None:
    assert logs(plain, "import os; os.write(1, b'a\\xff\\xfe\\x00b\\n')") == "a\ufffd\ufffd\x00b\n"
    assert logs(plain, "print('a\\ud800b')") == "a\ufffdb\n"


def test_a_failure_keeps_prints_and_shows_the_frames_of_the_model_only(plain: Server) -> None:
    prediction = plain.predict({"code": "print('before'); {}['key']"}).json()
    assert (prediction["status"], prediction["error"]) == ("failed", "KeyError: 'key'")
    lines = prediction["logs"].splitlines()
    assert lines[:2] == ["before", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'key'"
    assert sum(line.startswith("  File ") for line in lines) == 2  # run.py, and the code it was sent
    assert f'{plain.folder}/run.py", line ' in lines[2]


def test_stdout_has_what_libraries_ask_of_it(plain: Server) -> None:
    code = """
import sys
sys.stdout.writelines(["a\\n", "b\\n"])
sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")
numbers = [sys.stdout.write("é\\n"), sys.stderr.write("\\U0001f40d"), sys.stdout.fileno(), sys.stderr.fileno()]
try:
    sys.stdout.write(b"bytes")
except TypeError as error:
    refused = str(error)
s = sys.stdout
out = [numbers, refused, s.encoding, s.errors, s.mode, s.name, s.newlines, s.isatty(), s.writable(), s.readable(), s.closed,
       sys.stderr.name, s.buffer.fileno()]
"""
    prediction = ran(plain, code)
    numbers, refused, *rest = prediction["output"]
    assert numbers == [2, 1, 1, 2]
    assert "must be str, not bytes" in refused
    assert rest == ["utf-8", "replace", "w", "<stdout>", None, False, True, False, False, "<stderr>", 1]
    assert prediction["logs"] == "a\nb\né\n\U0001f40d"


def test_close_does_not_mute(plain: Server) -> None:
    assert (
        logs(plain, "import sys; print('x'); sys.stdout.close(); sys.stdout.buffer.close(); print('y')")
        == "x\ny\n"
    )
    assert logs(plain, "print('z'); import os; os.write(1, b'w\\n')") == "z\nw\n"


def test_what_a_prediction_puts_in_the_place_of_stdout_is_gone_with_it(plain: Server) -> None:
    assert logs(plain, "import io, sys; sys.stdout = io.StringIO(); print('unseen')") == ""
    assert logs(plain, "print('seen')") == "seen\n"
    code = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as kept: print('kept')\nout = kept.getvalue()"
    assert (ran(plain, code)["output"], logs(plain, PLAIN)) == ("kept\n", "")


def test_the_middle_of_a_flood_is_cut_with_a_notice(plain: Server) -> None:
    limit, chunk = 16 * 1024 * 1024, 64 * 1024
    prediction = ran(
        plain,
        f"print('BEGIN')\nline = 'x' * {chunk - 1}\nfor _ in range({limit // chunk + 30}): print(line)\nprint('END')",
    )
    text = prediction["logs"]
    assert text.startswith("BEGIN\nxxx")
    assert text.endswith("xxx\nEND\n")
    before, notice, after = text.partition("\n[... ")
    cut, _, kept = after.partition(" characters of logs were cut here ...]\n")
    assert notice
    assert len(before) + len(kept) == limit
    assert int(cut.replace(",", "")) == 30 * chunk + len("BEGIN\n") + len("END\n")
    assert logs(plain, PLAIN) == ""


def test_a_forked_child_does_not_break_the_channel(plain: Server) -> None:
    code = (
        "import os, sys\n"
        "for n in range(3):\n"
        "    if os.fork() == 0:\n"
        "        print('child', n)\n"
        "        {}\n"
        "out = sorted(os.waitpid(-1, 0)[1] >> 8 for _ in range(3))\n"
        "print('parent')"
    )
    for leaving, statuses in (
        ("os._exit(n)", [0, 1, 2]),
        ("sys.exit(n)", [0, 1, 2]),
        ("raise ValueError(n)", [1, 1, 1]),
    ):
        prediction = ran(plain, code.format(leaving))
        assert prediction["output"] == statuses, leaving
        lines = prediction["logs"].splitlines()
        assert sorted(line for line in lines if line.startswith("child")) == ["child 0", "child 1", "child 2"]
        assert lines.count("parent") == 1
        assert "worker" not in prediction["logs"]
        assert ran(plain, PLAIN)["output"] == 2


def test_a_forked_child_of_an_async_model_ends_too(concurrent: Server) -> None:
    code = (
        "import os, sys\nchild = os.fork()\nif child == 0: sys.exit(7)\nreturn os.waitpid(child, 0)[1] >> 8"
    )
    assert ran(concurrent, code)["output"] == 7
    assert ran(concurrent, "return 2")["output"] == 2


def test_what_a_grandchild_writes_later_is_in_the_servers_log(plain: Server) -> None:
    script = "while [ ! -e later ]; do sleep 0.01; done; echo late words"
    prediction = ran(
        plain, f"import subprocess; subprocess.Popen(['sh', '-c', {script!r}]); print('started')"
    )
    assert prediction["logs"] == "started\n"
    release(plain, "later")
    plain.wait_log("late words")
    line = next(line for line in plain.lines if line["fields"]["message"] == "late words")
    assert "prediction_id" not in line["fields"]
    assert plain.get(f"/predictions/{prediction['id']}").json()["logs"] == "started\n"


@pytest.mark.slow
def test_setup_logs_are_complete(serve: Any) -> None:
    server = serve("""
        import os, subprocess, sys

        class Runner:
            def setup(self) -> None:
                for n in range(60_000):
                    print("line", n)
                os.write(1, b"raw\\n")
                subprocess.run(["echo", "child"])
                print("no newline", end="", file=sys.stderr)

            def run(self) -> str:
                return "ready"
    """)
    text = server.health()["setup"]["logs"]
    for part in (
        "raw\n",
        "child\n",
        "no newline",
    ):  # each once; how sources lie to each other is not promised
        assert text.count(part) == 1
        text = text.replace(part, "")
    assert text == "".join(f"line {n}\n" for n in range(60_000))
    assert server.predict().json()["logs"] == ""


def test_quick_prints_and_a_failure_of_setup_are_all_kept(serve: Any) -> None:
    server = serve(
        "class Runner:\n"
        "    def setup(self):\n"
        "        print('loading'); print('half', end=''); raise RuntimeError('no gpu')\n"
        "    def run(self) -> str: return ''\n",
        ready="no gpu",
    )
    setup = server.wait_health("SETUP_FAILED")["setup"]
    text = setup["logs"].replace(str(server.folder), "FOLDER")
    assert text.startswith("loading\nhalf")
    assert 'File "FOLDER/run.py", line 3, in setup' in text
    assert text.endswith("RuntimeError: no gpu\n")


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Server]:
    """A server that logs warnings only, so that it does not say where it listens; it is told by a proxy's port."""
    import os

    folder = write_model(tmp_path, SYNC)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1"],
        cwd=folder,
        env={**os.environ, "PORT": str(port), "COG_LOG_LEVEL": "warning", "LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
    )
    server = Server(process, folder, url=f"http://127.0.0.1:{port}")
    reader = threading.Thread(target=server.read_log, daemon=True)
    reader.start()
    try:
        until(lambda: _status(server), lambda status: status == "READY")
        yield server
    finally:
        code = server.stop()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()
    assert code == 0


def _status(server: Server) -> str:
    try:
        return str(server.health()["status"])
    except ConnectionError:
        return "not there yet"


def test_prints_reach_stderr_at_level_warning(quiet: Server) -> None:
    assert logs(quiet, "print('loud'); import os; os.write(2, b'raw and loud\\n')") == "loud\nraw and loud\n"
    quiet.wait_log("raw and loud")
    assert [line["fields"]["message"] for line in quiet.lines] == ["loud", "raw and loud"]
