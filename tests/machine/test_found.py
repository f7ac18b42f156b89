"""What the random steps have found, each in as few steps as it takes."""

from __future__ import annotations

from pathlib import Path

from machine.subject import SYNC, subject


def test_an_id_that_runs_again_stands_in_the_list_once(tmp_path: Path) -> None:
    with subject(tmp_path, SYNC) as one:
        server = one.server
        failing = {"input": {"token": "t", "ending": "fail"}}
        assert server.call("PUT", "/predictions/t", failing).json()["status"] == "failed"
        gated = {"input": {"token": "t", "gate": True}}
        headers = {"prefer": "respond-async"}
        assert server.call("PUT", "/predictions/t", gated, headers=headers).status == 202
        listed = server.get("/predictions").json()["results"]
        assert [(shown["id"], shown["status"]) for shown in listed] == [("t", "processing")]
        (server.folder / "t.go").touch()
        assert server.wait_for("t")["status"] == "succeeded"
        listed = server.get("/predictions").json()["results"]
        assert [(shown["id"], shown["status"]) for shown in listed] == [("t", "succeeded")]
