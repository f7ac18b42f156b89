"""The `replicate` client for JavaScript, unchanged, against a server of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.hosted import RETURNS

pytestmark = pytest.mark.slow

SCRIPT = """
import assert from "node:assert/strict";
import Replicate from "replicate";

const replicate = new Replicate({auth: "anything", baseUrl: `${process.argv[2]}/v1`});
const run = (code, more = {}) => replicate.run("anybody/anything", {input: {code, ...more}});

assert.deepEqual(await run("return {'a': [1, None]}"), {a: [1, null]});
assert.equal(await replicate.run("anybody/anything:5c7d5dc6", {input: {code: "return 'b'"}}), "b");
await assert.rejects(run("raise ValueError('bad')"), /Prediction failed: ValueError: bad/);
await assert.rejects(run(3), /422.*is not of type/s);
assert.equal(await run("return file.read_text()", {file: new Blob(["sent ahead"])}), "sent ahead");
const output = await run("(FOLDER / 'o.txt').write_text('abc')\\nreturn Path(FOLDER / 'o.txt')");
assert.equal(await (await output.blob()).text(), "abc");

let text = "";
for await (const {event, data} of replicate.stream("anybody/anything", {input: {code: "print('x')\\nreturn 'a b'"}}))
    text += `${event}: ${data}; `;
assert.equal(text, "logs: x\\n; output: a b; done: {}; ");

const file = await replicate.files.create(Buffer.from("abc"), {of: "me"});
assert.deepEqual([file.size, file.metadata], [3, {of: "me"}]);
assert.equal((await replicate.files.list()).results[0].id, file.id);
assert.equal(await replicate.files.delete(file.id), true);

let prediction = await replicate.predictions.create({version: "any", input: {code: "time.sleep(60)"}});
assert.equal((await replicate.predictions.cancel(prediction.id)).status, "canceled");
prediction = await replicate.predictions.create({model: "anybody/anything", input: {code: "return 1"}});
prediction = await replicate.wait(prediction, {interval: 20});
assert.deepEqual([prediction.status, prediction.output], ["succeeded", 1]);
for await (const page of replicate.paginate(replicate.predictions.list)) assert.equal(page[0].id, prediction.id);
assert.equal((await replicate.models.get("a", "b")).latest_version.openapi_schema.openapi, "3.0.2");
console.log("as it should be");
"""


def test_the_client_for_javascript(serve: Any, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no npm")
    server = serve(RETURNS)
    (tmp_path / "package.json").write_text('{"private": true}')
    (tmp_path / "play.mjs").write_text(SCRIPT)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "replicate@1"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=100)
    played = subprocess.run(
        ["node", "play.mjs", server.url], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert (played.returncode, played.stdout) == (0, "as it should be\n"), played.stdout + played.stderr
