"""suppress_output(), outside of a worker."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_what_was_printed_before_and_after_gets_out_whole() -> None:
    result = run("""
        import ctypes, os, sys
        from cog.suppress_output import suppress_output
        c = ctypes.CDLL(None)
        c.printf(b"c before\\n"); print("before")
        with suppress_output():
            c.printf(b"c inside\\n"); print("inside"); print("inside", file=sys.stderr); os.system("echo inside")
        c.printf(b"c after\\n"); print("after"); print("after", file=sys.stderr); sys.stdout.flush(); c.fflush(None)
        """)
    assert sorted(result.stdout.split("\n")) == ["", "after", "before", "c after", "c before"]
    assert result.stderr == "after\n"


def test_blocks_of_several_threads_may_overlap() -> None:
    result = run("""
        import threading
        from cog.suppress_output import suppress_output
        within, go = threading.Event(), threading.Event()
        def other():
            with suppress_output():
                within.set()
                go.wait(20)
                print("other")
        thread = threading.Thread(target=other)
        with suppress_output():
            thread.start()
            within.wait(20)
        print("still silent")
        go.set()
        thread.join()
        print("heard")
        """)
    assert result.stdout == "heard\n"


def test_a_closed_descriptor_stays_closed() -> None:
    result = run("""
        import os
        from cog.suppress_output import suppress_output
        os.close(2)
        with suppress_output():
            print("inside")
        print("heard")
        try:
            os.fstat(2)
        except OSError:
            print("closed")
        """)
    assert result.stdout == "heard\nclosed\n"
