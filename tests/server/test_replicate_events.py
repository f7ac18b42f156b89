"""Any text in the words of Replicate's streams, read as the standard says."""

from __future__ import annotations

import json
import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cog.prediction.events import Log
from cog.prediction.history import STARTED, Place, Told
from cog.server.replicate_stream import PlainScript

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n:"))
CHUNKS = TEXTS | st.integers() | st.lists(st.integers(), max_size=2) | st.none()


def parsed(raw: bytes) -> list[tuple[str, str, str]]:
    """Name, data and id of each event (WHATWG HTML, section 9.2.6)."""
    found = []
    for block in raw.decode().removesuffix("\n\n").split("\n\n"):
        lines = [line.partition(": ")[::2] for line in re.split("\r\n|\n|\r", block)]
        fields = {name: [value for key, value in lines if key == name] for name in ("event", "data", "id")}
        found.append((fields["event"][0], "\n".join(fields["data"]), fields["id"][0]))
    return found


@given(st.lists(st.tuples(st.booleans(), CHUNKS), min_size=1))
def test_every_text_arrives(given: list[tuple[bool, object]]) -> None:
    told: list[Told] = [
        Log(chunk, "stdout")
        if logged and isinstance(chunk, str)
        else json.dumps(chunk, ensure_ascii=len(str(chunk)) % 2 == 0).encode()
        for logged, chunk in given
    ]
    script = PlainScript("id", 1.5)
    (raw,), place = script.events(told, STARTED)
    events = parsed(raw)
    assert len(events) == len(told)
    for event, (name, data, _) in zip(told, events, strict=True):
        if isinstance(event, Log):
            assert (name, data) == ("logs", re.sub("\r\n?", "\n", event.text))
        else:
            assert isinstance(event, bytes)
            value = msgspec.json.decode(event)
            assert name == "output"
            assert (
                data == re.sub("\r\n?", "\n", value) if isinstance(value, str) else json.loads(data) == value
            )
    assert script.place_of(events[-1][2]) == place
    assert place.events == len(told) + 1
    assert script.place_of(events[0][2]) == Place().past(told[0])._replace(events=2)
