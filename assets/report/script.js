"use strict";
// The page works without this; with it tables sort, edits are searched, charts tell their values.

function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
}

function isolated(name, text, className) {
    const made = element(name, undefined, className);
    made.append(element("bdi", text));
    return made;
}

// ---- sorting ----

// Missing values come last, whichever way it is sorted.
function compare(a, b, down) {
    const noA = a === null || a === "" || Number.isNaN(a), noB = b === null || b === "" || Number.isNaN(b);
    if (noA || noB) return noA - noB;
    const order = typeof a === "number" && typeof b === "number"
        ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
    return down ? -order : order;
}

// Makes the column heads buttons. sort(column, down) puts the rows in order.
function sortable(table, sort) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
        const button = element("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
            const numbers = !head.classList.contains("text");
            const now = head.getAttribute("aria-sort");
            const down = now ? now === "ascending" : numbers;
            heads.forEach(other => other.removeAttribute("aria-sort"));
            head.setAttribute("aria-sort", down ? "descending" : "ascending");
            sort(column, down);
        });
    });
}

function cellValue(row, column) {
    const cell = row.cells[column];
    if (!cell || cell.classList.contains("none")) return null;
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}

function sortRows(table, column, down) {
    const body = table.querySelector("tbody:not(.fixed)");
    const rows = [...body.rows];
    rows.sort((a, b) => compare(cellValue(a, column), cellValue(b, column), down));
    body.append(...rows);
}

// ---- edits ----

const PAGE_ROWS = 100;
const STATES = ["", "without effect", "reverted"];

class Edits {
    constructor(data, table) {
        this.data = data;
        this.table = table;
        const heads = [...table.tHead.rows[0].cells];
        this.columns = heads.map(head => head.dataset.column);
        this.texts = new Set(heads.filter(head => head.className === "text").map(head => head.dataset.column));
        this.run = data.runs[0];
        this.words = "";
        this.show = "all";
        this.sorted = null;
        this.page = 0;
        sortable(table, (column, down) => {
            this.sorted = {name: this.columns[column], down};
            this.page = 0;
            this.draw();
        });
    }

    // The value of edit i's column.
    value(i, name) {
        const request = this.data.requests[i], row = this.run.rows[i];
        switch (name) {
        case "number": return i + 1;
        case "prompt": return request[0];
        case "target": return request[2];
        case "truth": return request[3] ?? null;
        case "before": return request[4] ?? null;
        case "after": return this.run.after[i] ?? null;
        case "ok": return this.ok(i);
        default: return row[this.data.values.indexOf(name) + 1] ?? null;
        }
    }

    ok(i) {
        const state = this.run.rows[i][0];
        if (state) return STATES[state];
        const rel = this.value(i, "rel");
        return rel === null ? null : rel >= 1 ? "ok" : "not ok";
    }

    matches(i) {
        const ok = this.ok(i) === "ok";
        if ((this.show === "ok" && !ok) || (this.show === "not" && ok)) return false;
        if (!this.words) return true;
        const texts = this.data.requests[i].concat(this.run.after[i] ?? []);
        return texts.some(text => text !== null && text.toLowerCase().includes(this.words));
    }

    cell(i, name) {
        const value = this.value(i, name);
        if (name === "prompt") return this.prompt(i);
        const text = this.texts.has(name) ? "text" : "";
        if (value === null) return element("td", "\u2013", `${text} none`);
        if (name === "ok") return element("td", value, value === "ok" ? "text yes" : "text no");
        return text ? isolated("td", value, text) : element("td", String(value));
    }

    prompt(i) {
        const [prompt, subject] = this.data.requests[i];
        const at = subject ? prompt.indexOf(subject) : -1;
        const head = element("th"), text = element("bdi");
        head.scope = "row";
        if (at < 0) text.append(prompt);
        else text.append(prompt.slice(0, at), element("mark", subject), prompt.slice(at + subject.length));
        head.append(text);
        return head;
    }

    draw() {
        const found = this.run.rows.map((_, i) => i)
            .filter(i => this.data.requests[i] && this.matches(i));
        if (this.sorted) {
            const {name, down} = this.sorted;
            found.sort((a, b) => compare(this.value(a, name), this.value(b, name), down) || a - b);
        }
        const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
        this.page = Math.min(this.page, pages - 1);
        const rows = found.slice(this.page * PAGE_ROWS, (this.page + 1) * PAGE_ROWS).map(i => {
            const row = element("tr");
            row.append(...this.columns.map(name => this.cell(i, name)));
            return row;
        });
        this.table.tBodies[0].replaceChildren(...rows);
        byId("edits-of").replaceChildren(element("bdi", this.run.label));
        byId("edits-count").textContent = `${found.length} of ${this.run.rows.length} edits`;
        byId("edits-page").textContent = `page ${this.page + 1} of ${pages}`;
        byId("edits-pages").hidden = pages === 1;
        byId("edits-back").disabled = this.page === 0;
        byId("edits-on").disabled = this.page === pages - 1;
    }
}

function byId(id) {
    return document.getElementById(id);
}

function startEdits() {
    const source = byId("edits-data");
    if (!source) return;
    const edits = new Edits(JSON.parse(source.textContent), byId("edits-table"));
    const change = (id, event, set) => byId(id)?.addEventListener(event, () => {
        set(byId(id).value);
        edits.page = 0;
        edits.draw();
    });
    change("edits-run", "change", value => { edits.run = edits.data.runs[Number(value)]; });
    change("edits-ok", "change", value => { edits.show = value; });
    change("edits-search", "input", value => { edits.words = value.trim().toLowerCase(); });
    byId("edits-back").addEventListener("click", () => { edits.page--; edits.draw(); });
    byId("edits-on").addEventListener("click", () => { edits.page++; edits.draw(); });
    byId("edits-controls").addEventListener("submit", event => event.preventDefault());
    byId("edits-controls").reset(); // browsers keep what was chosen before
    byId("edits-controls").hidden = false;
    edits.draw();
}

// ---- charts ----

const SVG = "http://www.w3.org/2000/svg";

function svgPath(className, d) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", className);
    path.setAttribute("d", d);
    return path;
}

function number(value) {
    return value === null ? "none" : String(Number(value.toPrecision(5)));
}

class Chart {
    constructor(figure) {
        this.svg = figure.querySelector(".drawing > svg");
        this.data = JSON.parse(figure.querySelector("script").textContent);
        this.pointer = this.svg.querySelector(".pointer");
        this.hidden = new Set();
        this.at = null; // what is told now: [series, index] or [row, column]
        for (const title of this.svg.querySelectorAll("title")) title.remove();
        this.svg.addEventListener("pointermove", event => this.point(event));
        this.svg.addEventListener("pointerleave", () => this.leave());
        this.svg.addEventListener("focus", () => this.svg.matches(":focus-visible") && this.first());
        this.svg.addEventListener("blur", () => this.leave());
        this.svg.addEventListener("keydown", event => this.key(event));
        for (const item of figure.querySelectorAll(".legend li")) this.legend(item);
    }

    static place(axis, value) {
        return axis.log ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
                        : (value - axis.low) / (axis.high - axis.low);
    }

    // Where point i of a series lies; null where it is not drawn.
    where(series, i) {
        const {x, y, box} = this.data, s = this.data.series[series];
        if (s.y[i] === null || s.x[i] === null) return null;
        const across = Chart.place(x, s.x[i]), up = Chart.place(y, s.y[i]);
        if (!(across >= -1e-4 && across <= 1.0001 && up >= -1e-4 && up <= 1.0001)) return null;
        return [box[0] + across * box[2], box[1] + (1 - up) * box[3]];
    }

    // The place of a mouse or a finger in the drawing's units.
    units(event) {
        const matrix = this.svg.getScreenCTM().inverse();
        return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    }

    point(event) {
        const {x, y} = this.units(event);
        if (this.data.cells) {
            const [left, top, width, height] = this.data.box;
            const row = Math.floor((y - top) / height * this.data.rows);
            const column = Math.floor((x - left) / width * this.data.cols);
            if (row < 0 || column < 0 || row >= this.data.rows || column >= this.data.cols) this.leave();
            else this.tell([row, column]);
            return;
        }
        let nearest = null, least = 60;
        this.data.series.forEach((series, k) => {
            if (this.hidden.has(k)) return;
            for (let i = 0; i < series.x.length; i++) {
                const at = this.where(k, i);
                const distance = at ? Math.hypot(at[0] - x, at[1] - y) : Infinity;
                if (distance < least) {
                    least = distance;
                    nearest = [k, i];
                }
            }
        });
        if (nearest) this.tell(nearest);
        else this.leave();
    }

    first() {
        if (this.data.cells) return this.tell([0, 0]);
        for (let k = 0; k < this.data.series.length; k++) {
            if (this.hidden.has(k)) continue;
            const i = this.step(k, -1, 1);
            if (i !== null) return this.tell([k, i]);
        }
        return this.leave();
    }

    // The next drawn point of a series from i on.
    step(series, i, by) {
        const count = this.data.series[series].x.length;
        for (i += by; i >= 0 && i < count; i += by)
            if (this.where(series, i)) return i;
        return null;
    }

    // The point of another series that is nearest in x.
    change(series, by) {
        const [from, i] = this.at, x = this.data.series[from].x[i];
        const count = this.data.series.length;
        for (let k = series + by; k >= 0 && k < count; k += by) {
            if (this.hidden.has(k)) continue;
            let best = null;
            this.data.series[k].x.forEach((value, j) => {
                if (!this.where(k, j)) return;
                if (best === null || Math.abs(value - x) < Math.abs(this.data.series[k].x[best] - x)) best = j;
            });
            if (best !== null) return this.tell([k, best]);
        }
        return undefined;
    }

    key(event) {
        const across = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        const down = {ArrowUp: -1, ArrowDown: 1}[event.key];
        if (event.key === "Escape") return this.leave();
        if (!across && !down) return undefined;
        event.preventDefault();
        if (!this.at) return this.first();
        if (this.data.cells) {
            const row = this.at[0] + (down ?? 0), column = this.at[1] + (across ?? 0);
            if (row < 0 || column < 0 || row >= this.data.rows || column >= this.data.cols) return undefined;
            return this.tell([row, column]);
        }
        if (down) return this.change(this.at[0], down);
        const i = this.step(this.at[0], this.at[1], across);
        return i === null ? undefined : this.tell([this.at[0], i]);
    }

    tell(at) {
        this.at = at;
        const [left, top, width, height] = this.data.box;
        if (this.data.cells) {
            const w = width / this.data.cols, h = height / this.data.rows;
            const x = left + at[1] * w, y = top + at[0] * h;
            this.pointer.replaceChildren(svgPath("ring", `M${x} ${y}h${w}v${h}h${-w}z`));
            const value = this.data.cells[at[0] * this.data.cols + at[1]];
            return tip(this.svg, x + w / 2, y, `${this.data.y.label} ${at[0] + 1} and ` +
                `${this.data.x.label} ${at[1] + 1}: ${number(value)}`);
        }
        const [k, i] = at, series = this.data.series[k], [x, y] = this.where(k, i);
        this.pointer.replaceChildren(svgPath("rule", `M${x} ${top}V${top + height}`),
            svgPath("ring", `M${x - 7} ${y}a7 7 0 1 0 14 0a7 7 0 1 0 -14 0z`));
        const spread = series.spread && series.spread[i] ? ` \u00b1 ${number(series.spread[i])}` : "";
        const unit = this.data.x.unit ? ` ${this.data.x.unit}` : "";
        return tip(this.svg, x, y, (series.name ? `\u2068${series.name}\u2069: ` : "") +
            `${this.data.x.label} ${number(series.x[i])}${unit}, ` +
            `${this.data.y.label} ${number(series.y[i])}${spread}`);
    }

    leave() {
        this.at = null;
        this.pointer.replaceChildren();
        byId("tip").hidden = true;
    }

    legend(item) {
        const series = Number(item.dataset.series), button = element("button");
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        button.append(...item.childNodes);
        item.append(button);
        button.addEventListener("click", () => {
            const off = !this.hidden.has(series);
            if (off) this.hidden.add(series);
            else this.hidden.delete(series);
            button.setAttribute("aria-pressed", String(!off));
            this.svg.querySelector(`[data-series="${series}"]`).classList.toggle("off", off);
            this.leave();
        });
    }
}

// Says a text beside the place (x, y) of a drawing, within the window.
function tip(svg, x, y, text) {
    const box = byId("tip"), at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    box.textContent = text;
    box.hidden = false;
    const room = document.documentElement.clientWidth - box.offsetWidth - 4;
    const above = at.y - box.offsetHeight - 14;
    box.style.left = `${window.scrollX + Math.max(4, Math.min(room, at.x - box.offsetWidth / 2))}px`;
    box.style.top = `${window.scrollY + (above > 0 ? above : at.y + 14)}px`;
}

function start() {
    for (const table of document.querySelectorAll("table.sortable"))
        sortable(table, (column, down) => sortRows(table, column, down));
    startEdits();
    const figures = document.querySelectorAll("figure.chart");
    for (const figure of figures) new Chart(figure);
    if (figures.length) byId("charts-hint").hidden = false;
}

start();
