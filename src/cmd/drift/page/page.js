/* page.js - draws all of it, and again when a choice changes. */

function drawAbout(entries) {
    const runs = [...new Set(data.entries.map((entry) => entry.run))];
    const examples = Math.max(
        ...entries.map((entry) => entry.days.examples.reduce((sum, n) => sum + n, 0))
    );
    byId("about").textContent = [
        (runs.length === 1 ? "Run " : "Runs ") + runs.join(", "),
        isoText(data.start) + " to " + isoText(data.end) + " UTC",
        "windows of " + ageText(entries[0].window_seconds),
        count(examples) + " holdout examples for " + taskWords().noun,
    ].join(" \u00b7 ");
    document.title =
        "Model drift, run " + runs.join(", ") + ", " + data.start.slice(0, 10) + " to " +
        data.end.slice(0, 10);
}

function drawConclusions(entries) {
    byId("conclusions").replaceChildren(
        ...entries
            .filter((entry) => !entry.is_production || entries.length === 1)
            .map((entry) => {
                const item = make("li");
                item.append(make("b", entry.label + ": "), entry.conclusion);
                return item;
            })
    );
}

function drawAll() {
    for (const chart of charts.splice(0)) chart.destroy();
    fillControls();
    const entries = shown();
    drawAbout(entries);
    drawConclusions(entries);
    drawByAge(entries);
    drawTimes(entries);
    byId("time-table").querySelector(".tables").replaceChildren(...entries.map(timeTable));
    drawSideBySide();
}

function start() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    for (const id of ["task", "model", "measure", "age", "by"])
        byId(id).addEventListener("change", (event) => {
            chosen[id] = id === "age" ? Number(event.target.value) : event.target.value;
            drawAll();
        });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    byId("explanation").replaceChildren(...data.explanation.map((text) => make("p", text)));
    byId("program").textContent = "Written by " + data.program + ".";
    const nDays = Math.max(...data.entries.map((entry) => entry.days.start.length));
    chosen.by = nDays < 3 ? "windows" : "days";
    byId("by").value = chosen.by;
    drawAll();
    document.documentElement.dataset.state = "drawn";
}

start();
