#!/usr/bin/env python3
"""Opens pages of `oedit report` in headless Chromium and tries them as a reader would.

check_report.py [--pictures FOLDER] PAGE...

Of each page, at 1280 and 400 pixels, light and dark: no message on the console, no request to
anywhere, nothing wider than the window; tables sort, edits are searched, charts tell values to a
pointer and to keys; without scripts the page still has its tables. Talks to Chromium through
--remote-debugging-pipe: the standard library is enough. Prints one line a page; fails at the first
thing that is wrong.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Browser:
    def __init__(self, program="chromium"):
        self.folder = tempfile.TemporaryDirectory(prefix="oedit-report-")
        hear, self.say = os.pipe()
        self.hear, speak = os.pipe()

        def ends():  # Chromium reads from 3 and writes to 4
            a, b = os.dup(hear), os.dup(speak)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}",
             "about:blank"],
            preexec_fn=ends, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(hear)
        os.close(speak)
        self.rest = b""
        self.number = 0
        self.events = []
        self.session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"],
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
        except EOFError:
            pass
        self.process.wait()
        self.folder.cleanup()

    def read(self):
        while b"\0" not in self.rest:
            piece = os.read(self.hear, 1 << 20)
            if not piece:
                raise EOFError("Chromium is gone")
            self.rest += piece
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.say, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def run(self, code):
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, (code, answer["exceptionDetails"])
        return answer["result"].get("value")

    def open(self, page, width, dark, scripts=True):
        self.events.clear()
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=Path(page).resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.read())

    def faults(self):
        """What the page complained of, and what it asked the network for."""
        found = []
        for event in self.events:
            name, params = event.get("method"), event.get("params", {})
            if name == "Runtime.consoleAPICalled":
                found.append(str(params["args"]))
            elif name == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description"))
            elif name == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif name == "Network.requestWillBeSent":
                if not params["request"]["url"].startswith(("file:", "data:")):
                    found.append("asks for " + params["request"]["url"])
        return found

    def picture(self, path):
        height = self.run("Math.ceil(document.documentElement.scrollHeight)")
        width = self.run("document.documentElement.clientWidth")
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": width, "height": min(height, 16000),
                               "scale": 1})["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode={"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38,
                                             "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}[key])


# Elements that stick out of the window, unless something around them scrolls; texts of a chart
# that lie on each other or leave the drawing.
OVERFLOW = """(() => {
    const wide = document.documentElement.clientWidth, found = [];
    if (document.documentElement.scrollWidth > wide)
        found.push(`the page is ${document.documentElement.scrollWidth} wide`);
    for (const e of document.querySelectorAll("body *")) {
        if (e.closest(".scroll, .skip, svg, script") || !e.getClientRects().length) continue;
        const box = e.getBoundingClientRect();
        if (box.right > wide + 1 || box.left < -1) found.push(`${e.tagName}.${e.className}`);
    }
    for (const svg of document.querySelectorAll(".drawing > svg")) {
        const outer = svg.getBoundingClientRect();
        const boxes = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
        boxes.forEach(([text, a], i) => {
            if (a.left < outer.left - 1 || a.right > outer.right + 1 || a.top < outer.top - 1 ||
                a.bottom > outer.bottom + 1) found.push(`'${text}' leaves its chart`);
            for (const [other, b] of boxes.slice(i + 1))
                if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1.5 &&
                    b.top < a.bottom - 1.5) found.push(`'${text}' lies on '${other}'`);
        });
    }
    return found;
})()"""

# Contrast of each text with the nearest background behind it (WCAG 2.2: 4.5).
CONTRAST = """(() => {
    const found = new Set(), canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const rgb = colour => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    for (const e of document.querySelectorAll("body *")) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || e.closest("script, noscript, [hidden], :disabled")) continue;
        const style = getComputedStyle(e), svg = e.closest("svg");
        let behind = e;
        while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
        const a = light(rgb(svg ? style.fill : style.color));
        const b = light(rgb(getComputedStyle(behind ?? document.body).backgroundColor));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.add(`${e.tagName}.${e.className.baseVal ?? e.className}: ${ratio.toFixed(2)}`);
    }
    return [...found];
})()"""

TABLES = """(() => {
    const found = [];
    for (const table of document.querySelectorAll("table")) {
        for (const head of table.querySelectorAll("th"))
            if (!["col", "row"].includes(head.scope)) found.push(`th without scope: ${head.textContent}`);
        const widths = new Set([...table.rows].map(r => r.cells.length));
        if (widths.size > 1) found.push(`rows of ${[...widths]} cells in ${table.caption?.textContent}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
    if (new Set(ids).size < ids.length) found.push("an id twice");
    if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
    return found;
})()"""

SORTS = """(() => {
    const found = [], missing = new Set(["\\u2013", ""]);
    for (const table of document.querySelectorAll("table")) {
        const heads = table.tHead.rows[0].cells;
        for (let c = 0; c < heads.length; c++) {
            const button = heads[c].querySelector("button");
            if (!button) { found.push(`no button: ${heads[c].textContent}`); continue; }
            for (const turn of [0, 1]) {
                button.click();
                const way = heads[c].getAttribute("aria-sort");
                if (table.querySelectorAll("[aria-sort]").length !== 1) found.push("aria-sort is not on one head");
                const body = table.querySelector("tbody:not(.fixed)");
                const values = [...body.rows].map(r => r.cells[c].dataset.value ?? r.cells[c].textContent.trim());
                const numbers = values.filter(v => !missing.has(v)).map(Number);
                if (numbers.some(Number.isNaN)) continue;
                for (let i = 1; i < numbers.length; i++)
                    if (way === "descending" ? numbers[i] > numbers[i - 1] : numbers[i] < numbers[i - 1]) {
                        found.push(`${heads[c].textContent} is not ${way}: ${numbers}`);
                        break;
                    }
                const first = values.findIndex(v => missing.has(v));
                if (first >= 0 && values.slice(first).some(v => !missing.has(v)))
                    found.push(`${heads[c].textContent}: missing values are not last`);
            }
        }
    }
    return found;
})()"""


def check_edits(b):
    if not b.run("!!document.getElementById('edits-data')"):
        return 0
    data = json.loads(b.run("document.getElementById('edits-data').textContent"))
    rows = len(data["runs"][0]["rows"])
    type_words = """(words => { const box = document.getElementById('edits-search');
        box.value = words; box.dispatchEvent(new Event('input')); })(%s)"""
    shown = "document.querySelectorAll('#edits-table tbody tr').length"
    count = "document.getElementById('edits-count').textContent"
    assert b.run(count) == f"{rows} of {rows} edits", b.run(count)
    assert b.run(shown) == min(rows, 100)
    words = next((r[1] for r in data["requests"] if r[1].strip()), "")
    if words:
        words = words.strip().upper()
        b.run(type_words % json.dumps(words))
        wanted = sum(any(isinstance(t, str) and words.lower() in t.lower()
                         for t in r + data["runs"][0]["after"][i:i + 1])
                     for i, r in enumerate(data["requests"][:rows]))
        assert b.run(count) == f"{wanted} of {rows} edits", (words, wanted, b.run(count))
    b.run(type_words % json.dumps("no such words \x1b"))
    assert b.run(shown) == 0 and b.run(count) == f"0 of {rows} edits"
    b.run(type_words % '""')
    select = """((id, value) => { const box = document.getElementById(id);
        box.value = value; box.dispatchEvent(new Event('change')); })(%s, %s)"""
    if "rel" in data["values"]:
        at = data["values"].index("rel") + 1
        good = sum(r[0] == 0 and r[at] is not None and r[at] >= 1 for r in data["runs"][0]["rows"])
        b.run(select % ('"edits-ok"', '"ok"'))
        assert b.run(count) == f"{good} of {rows} edits", (good, b.run(count))
        b.run(select % ('"edits-ok"', '"not"'))
        assert b.run(count) == f"{rows - good} of {rows} edits"
        b.run(select % ('"edits-ok"', '"all"'))
    for i, run in enumerate(data["runs"]):
        b.run(select % ('"edits-run"', f'"{i}"'))
        assert b.run(count).endswith(f"of {len(run['rows'])} edits")
        assert b.run("document.getElementById('edits-of').textContent") == run["label"]
    b.run(select % ('"edits-run"', '"0"'))
    if rows > 100:
        b.run("document.getElementById('edits-on').click()")
        assert b.run("document.getElementById('edits-page').textContent").startswith("page 2 of")
        b.run("document.getElementById('edits-back').click()")
    return rows


def check_charts(b):
    charts = b.run("document.querySelectorAll('.drawing > svg').length")
    tip = "(t => t.hidden ? null : t.textContent)(document.getElementById('tip'))"
    for i in range(charts):
        svg = f"document.querySelectorAll('.drawing > svg')[{i}]"
        b.run(f"{svg}.scrollIntoView({{block: 'center'}})")
        b.run(f"{svg}.focus({{focusVisible: true}})")
        b.key("ArrowRight")
        assert b.run(tip), f"chart {i} tells nothing to keys"
        first = b.run(tip)
        b.key("ArrowLeft")
        b.key("ArrowDown")
        b.key("ArrowUp")
        assert b.run("""(() => { const box = document.getElementById('tip').getBoundingClientRect();
            return box.left >= 0 && box.right <= document.documentElement.clientWidth; })()"""), first
        b.key("Escape")
        assert b.run(tip) is None
        # A pointer on a drawn point.
        at = b.run(f"""(() => {{ const svg = {svg};
            const mark = svg.querySelector(".series .mark, .series .dots, .cell");
            const d = mark.getAttribute("d").match(/M([0-9.]+) ([0-9.]+)/);
            const p = new DOMPoint(Number(d[1]) + 1, Number(d[2]) + 1).matrixTransform(svg.getScreenCTM());
            return [p.x, p.y]; }})()""")
        b.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
        assert b.run(tip), f"chart {i} tells nothing to a pointer at {at}"
        b.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        assert b.run(f"{svg}.querySelectorAll('title').length") == 0
    names = b.run("document.querySelectorAll('.legend button').length")
    for i in range(names):
        button = f"document.querySelectorAll('.legend button')[{i}]"
        for pressed in ("false", "true"):
            b.run(f"{button}.click()")
            assert b.run(f"{button}.getAttribute('aria-pressed')") == pressed
    return charts


def check_themes(b):
    paper = "getComputedStyle(document.body).backgroundColor"
    colours = {}
    for name in ("light", "dark", "auto"):
        b.run(f"document.getElementById('theme-{name}').click()")
        colours[name] = b.run(paper)
    assert colours["light"] != colours["dark"] and colours["auto"] in colours.values(), colours
    return colours


def check(b, page, pictures):
    colours = {}
    for width in (1280, 400):
        for dark in (False, True):
            b.open(page, width, dark)
            where = f"{page} at {width}, {'dark' if dark else 'light'}"
            colours[dark] = b.run("getComputedStyle(document.body).backgroundColor")
            if pictures:
                name = f"{Path(page).parent.name}-{Path(page).stem}-{width}-{'dark' if dark else 'light'}"
                b.picture(Path(pictures) / f"{name}.png")
            for code in (OVERFLOW, CONTRAST, TABLES):
                found = b.run(code)
                assert not found, (where, found)
            assert not b.faults(), (where, b.faults())
    assert colours[False] != colours[True], "dark is light"
    assert b.run("typeof pwned") == "undefined", "a record's text has run"
    b.open(page, 1280, False)
    check_themes(b)
    rows = check_edits(b)
    found = b.run(SORTS)
    assert not found, (page, found)
    charts = check_charts(b)
    assert not b.faults(), (page, b.faults())
    b.open(page, 1280, False, scripts=False)
    b.call("Emulation.setScriptExecutionDisabled", value=False)
    static = b.run("document.querySelectorAll('#edits-table tbody tr').length")
    assert static == min(rows, 200), (page, static, rows)
    assert b.run("document.querySelectorAll('button').length") <= 2, "controls without a script"
    assert b.run("document.getElementById('edits-controls')?.hidden ?? true")
    print(f"{page}: {charts} charts, {rows} edits, {Path(page).stat().st_size} bytes")


def main(words):
    pictures = None
    if words[:1] == ["--pictures"]:
        pictures, words = words[1], words[2:]
        Path(pictures).mkdir(parents=True, exist_ok=True)
    browser = Browser(os.environ.get("CHROMIUM", "chromium"))
    try:
        for page in words:
            check(browser, page, pictures)
    finally:
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
