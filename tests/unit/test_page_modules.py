"""The page's modules, joined into one script, do what they do apart; what cannot be joined is refused."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.gateway.http.page_modules import UnknownForm, joined
from tests.waiting import HANGS

MODULES = {
    "main.js": """
// @ts-check
/** The first. @typedef {import("./none.js").None} None */
import { count, next as following } from "./count.js";
import * as words from "./parts/words.js";
import "./effect.js";
import {
  Thing,
} from "./parts/thing.js";

following();
globalThis.said.push(`main ${count()} ${words.hello("you")} ${new Thing().name} ${words.alias}`);
const { later } = await_free();
function await_free() {
  return { later: import("./later.js") };
}
later.then(({ done }) => {
  globalThis.said.push(done(), "// not a comment");
  console.log(JSON.stringify(globalThis.said));
});
""",
    "count.js": """
let number = 0;
export function count() {
  return number;
}
export const next = () => (number += 1);
""",
    "parts/words.js": """
import { count } from "../count.js";
export async function wait() {}
export const hello = (name) => `hello ${name} ${count()}`;
const other = "other";
export { other as alias };
""",
    "parts/thing.js": 'export class Thing {\n  name = "thing";\n}\n',
    "effect.js": '(globalThis.said ??= []).push("effect");\n',
    "later.js": """
import { count } from "./count.js";
import { shared } from "./main-friend.js";
globalThis.said.push("later runs");
export function done() {
  return `done ${count()} ${shared}`;
}
""",
    "main-friend.js": 'globalThis.said.push("friend runs");\nexport const shared = "shared";\n',
}


def output_of(folder: Path, files: Mapping[str, str], entry: str) -> list[str]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "package.json").write_text('{"type": "module"}')
    done = subprocess.run(["node", folder / entry], capture_output=True, text=True, timeout=HANGS, check=True)
    said: list[str] = json.loads(done.stdout)
    return said


def test_the_joined_script_does_what_the_modules_do(tmp_path: Path) -> None:
    apart = output_of(tmp_path / "apart", MODULES, "main.js")
    together = output_of(tmp_path / "together", {"all.js": joined("main.js", MODULES.__getitem__)}, "all.js")

    assert together == apart
    assert together[0] == "effect"
    assert together[2:] == ["friend runs", "later runs", "done 1 shared", "// not a comment"]


@pytest.mark.parametrize(
    "text",
    [
        "export default 1;",
        "export let counter = 0;",
        'export * from "./other.js";',
        'export { a } from "./other.js";',
        'import thing from "./other.js";',
        'import { io } from "socket.io-client";',
        "const here = import.meta.url;",
        'import { a } from "./main.js";',
    ],
)
def test_a_form_that_is_not_understood_is_refused(text: str) -> None:
    files = {"main.js": f"{text}\n", "other.js": "export const a = 1;\n"}
    with pytest.raises(UnknownForm, match=r"main\.js"):
        joined("main.js", files.__getitem__)


def test_lines_lose_their_indentation_unless_a_text_goes_over_them() -> None:
    plain = "export function a() {\n  return `${1}`;\n}\n"
    text = "export const b = `one\n  two`;\n"
    script = joined(
        "main.js",
        {"main.js": 'import { a } from "./a.js";\nimport "./b.js";\na();\n', "a.js": plain, "b.js": text}.__getitem__,
    )
    assert "\nreturn `${1}`;" in script
    assert "`one\n  two`" in script


def test_the_page_itself_can_be_joined() -> None:
    script = joined("main.js", lambda path: (Path("web") / path).read_text())
    assert script.count("\n// ") > 30
    assert "/**" not in script
