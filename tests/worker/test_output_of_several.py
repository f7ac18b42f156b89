"""Output below Python while several predictions run in one process: nobody can know whose it is, so it is in none's logs."""

from __future__ import annotations

from typing import Any

from support.models import ASYNC


def test_it_is_in_the_servers_log_with_its_worker(serve: Any) -> None:
    server = serve(ASYNC)
    waiting = server.start_async({"code": "print('waits'); mark('begun'); await held('go')"})
    server.wait_file("begun")
    writing = server.predict({"code": "print('writes'); os.write(1, b'raw words\\n')"}).json()
    server.wait_log("raw words")
    (server.folder / "go").touch()
    waiting = server.wait_for(waiting)
    assert (waiting["logs"], writing["logs"]) == ("waits\n", "writes\n")
    (line,) = [line for line in server.lines if line["fields"]["message"] == "raw words"]
    assert line["fields"]["worker"] == 0
    assert "prediction_id" not in line["fields"]
