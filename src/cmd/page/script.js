/* Draws the page from the data that stands in it. Nothing here computes a figure: all of them come
 * from the records, pooled by the program. Text goes in by textContent alone. */
"use strict";
(function () {
    const data = JSON.parse(document.getElementById("data").textContent);
    const charts = [];
    const chosen = { task: "", model: "", measure: "drift", age: 0, by: "days" };
    const DAY = 86400;
    const MODELS = 6; // colours; more models repeat them with other dashes
    const byId = (id) => document.getElementById(id);

    window.addEventListener("error", (event) => {
        byId("error").textContent = "The page could not be drawn: " + event.message;
    });

    /* ---- words and numbers ------------------------------------------------------------------ */

    function make(name, text, className) {
        const element = document.createElement(name);
        if (text !== undefined) element.textContent = text;
        if (className) element.className = className;
        return element;
    }

    const count = (n) => n.toLocaleString("en-GB");
    const plural = (n, word) => count(n) + " " + word + (n === 1 ? "" : "s");
    const minus = (text) => text.replace(/^-/, "\u2212");
    const fixed = (value, decimals) => minus(value.toFixed(decimals));

    /* As drift_decimals() of the terminal: four digits of a loss of this size. */
    function decimalsOf(value) {
        const size = Math.abs(value || 1);
        return size >= 0.1 ? 4 : size >= 0.01 ? 5 : size >= 0.001 ? 6 : 7;
    }

    /* A figure is {value, low, high}, [value], [value, low, high] or null. */
    function figure(raw) {
        if (!raw) return null;
        if (!Array.isArray(raw)) return raw.low === null ? { value: raw.value } : raw;
        return raw.length === 3 ? { value: raw[0], low: raw[1], high: raw[2] } : { value: raw[0] };
    }

    function interval(raw, decimals) {
        const f = figure(raw);
        return !f || f.low === undefined
            ? ""
            : fixed(f.low, decimals) + " to " + fixed(f.high, decimals);
    }

    function withInterval(raw, decimals) {
        const f = figure(raw);
        if (!f) return "none";
        const ends = interval(raw, decimals);
        return fixed(f.value, decimals) + (ends ? " (" + ends + ")" : "");
    }

    /* As drift_age_text() of the terminal. */
    function ageText(seconds) {
        const hours = seconds / 3600;
        if (seconds % 3600 === 0) return hours + " h";
        return seconds % 60 === 0 && hours < 24 ? seconds / 60 + " min" : hours.toFixed(2) + " h";
    }

    const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

    function dayText(seconds) {
        const date = new Date(seconds * 1000);
        return date.getUTCDate() + " " + MONTHS[date.getUTCMonth()];
    }

    function timeText(seconds) {
        const text = new Date(seconds * 1000).toISOString();
        return text.slice(0, 10) + " " + text.slice(11, 16);
    }

    const isoText = (text) => text.slice(0, 10) + " " + text.slice(11, 16);

    /* ---- what is chosen --------------------------------------------------------------------- */

    const ofTask = () => data.entries.filter((entry) => entry.task === chosen.task);
    const shown = () =>
        ofTask().filter((entry) => chosen.model === "" || entry.label === chosen.model);
    const taskWords = () => data.tasks.find((task) => task.task === chosen.task);

    /* A model keeps its colour whatever is shown beside it. */
    function colourIndex(entry) {
        const labels = [];
        for (const one of data.entries)
            if (!one.is_production && !labels.includes(one.label)) labels.push(one.label);
        return labels.indexOf(entry.label);
    }

    function css(name) {
        return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    }

    const colourOf = (entry) =>
        css(entry.is_production ? "--other" : "--c" + (colourIndex(entry) % MODELS));
    const dashOf = (entry) => (colourIndex(entry) >= MODELS ? [7, 3] : []);

    function fillSelect(select, options, value) {
        select.replaceChildren(
            ...options.map(([key, text]) => {
                const option = make("option", text);
                option.value = key;
                return option;
            })
        );
        if (options.some(([key]) => key === String(value))) select.value = value;
        select.disabled = options.length < 2;
        return select.value;
    }

    function agesOfTask() {
        const ages = new Set();
        for (const entry of ofTask()) for (const age of entry.ages) if (age > 0) ages.add(age);
        return [...ages].sort((a, b) => a - b);
    }

    function fillControls() {
        const tasks = data.tasks.filter((t) => data.entries.some((e) => e.task === t.task));
        chosen.task = fillSelect(
            byId("task"),
            tasks.map((t) => [t.task, t.title]),
            chosen.task
        );
        const labels = ofTask().map((entry) => entry.label);
        const models = labels.map((label) => [label, label]);
        if (labels.length > 1) models.unshift(["", "all"]);
        chosen.model = fillSelect(byId("model"), models, chosen.model);
        const telling = shown().map((entry) => entry.telling_age).find((age) => age !== null);
        const ages = agesOfTask();
        const age = ages.includes(chosen.age) ? chosen.age : telling || ages[0] || 0;
        chosen.age = Number(
            fillSelect(
                byId("age"),
                ages.map((a) => [String(a), ageText(a)]),
                age
            )
        );
    }

    /* ---- charts ----------------------------------------------------------------------------- */

    function withAlpha(colour, alpha) {
        const bits = parseInt(colour.slice(1), 16);
        return `rgba(${bits >> 16}, ${(bits >> 8) & 255}, ${bits & 255}, ${alpha})`;
    }

    /* A point alone between gaps has no line to show it. */
    function radius(values, few) {
        return (context) => {
            const i = context.dataIndex;
            const isAlone = values[i - 1] == null && values[i + 1] == null;
            return few || isAlone ? 2.5 : 0;
        };
    }

    /* series: {label, colour, dash, x: [...], figures: [...]} -> a band's two edges and a line. */
    function datasetsOf(series, decimals) {
        const datasets = [];
        for (const one of series) {
            const figures = one.figures.map(figure);
            const points = (pick) =>
                figures.map((f, i) => {
                    const y = f === null || pick(f) === undefined ? null : pick(f);
                    return one.x ? { x: one.x[i], y } : y;
                });
            const edge = {
                borderWidth: 0,
                pointRadius: 0,
                pointHitRadius: 0,
                isBand: true,
                backgroundColor: withAlpha(one.colour, 0.16),
            };
            datasets.push({ ...edge, data: points((f) => f.low), fill: false });
            datasets.push({ ...edge, data: points((f) => f.high), fill: "-1" });
            datasets.push({
                label: one.label,
                data: points((f) => f.value),
                texts: one.figures.map((f) => withInterval(f, decimals)),
                borderColor: one.colour,
                backgroundColor: one.colour,
                borderDash: one.dash || [],
                borderWidth: 2,
                pointRadius: radius(
                    figures.map((f) => f && f.value),
                    figures.length <= 40
                ),
                pointHoverRadius: 4,
                fill: false,
            });
        }
        return datasets;
    }

    function dayTicks(axis) {
        const days = Math.max(1, (axis.max - axis.min) / DAY);
        const most = Math.max(2, Math.floor(axis.width / 62));
        const step = [1, 2, 7, 14, 28, 91, 182, 364].find((s) => days / s <= most) || 728;
        const ticks = [];
        if (days <= 2) {
            const hours = [1, 2, 3, 6, 12].find((h) => (days * 24) / h <= most) || 24;
            const from = Math.ceil(axis.min / (hours * 3600)) * hours * 3600;
            for (let at = from; at <= axis.max; at += hours * 3600) ticks.push({ value: at });
        } else {
            for (let at = Math.ceil(axis.min / DAY) * DAY; at <= axis.max; at += step * DAY)
                ticks.push({ value: at });
        }
        axis.ticks = ticks;
    }

    function timeTick(value) {
        return value % DAY === 0 ? dayText(value) : timeText(value).slice(11);
    }

    function xAxis(options, ink, grid) {
        const axis = {
            title: { display: true, text: options.xTitle, color: ink },
            ticks: { color: ink, maxRotation: 0, autoSkipPadding: 10 },
            grid: { color: grid },
        };
        if (options.labels) return { ...axis, type: "category" };
        return {
            ...axis,
            type: "linear",
            min: options.min,
            max: options.max,
            afterBuildTicks: dayTicks,
            ticks: { ...axis.ticks, callback: timeTick, autoSkip: false },
        };
    }

    function yAxis(options, ink, grid) {
        const isReference = (context) => context.tick && context.tick.value === options.reference;
        return {
            title: { display: true, text: options.yTitle, color: ink },
            ticks: { color: ink, maxTicksLimit: 7 },
            suggestedMin: options.reference,
            suggestedMax: options.reference,
            grid: {
                color: (context) => (isReference(context) ? ink : grid),
                lineWidth: (context) => (isReference(context) ? 1.5 : 1),
            },
        };
    }

    function tooltip(options) {
        return {
            filter: (item) => !item.dataset.isBand,
            callbacks: {
                title: (items) => (items.length ? options.titleOf(items[0]) : ""),
                label: (item) =>
                    " " + item.dataset.label + ": " + item.dataset.texts[item.dataIndex],
            },
        };
    }

    /* id: of a figure; options: {caption, series, labels, reference, xTitle, yTitle, titleOf, ...} */
    function draw(id, options) {
        const place = byId(id);
        const series = options.series.filter((one) => one.figures.some((f) => f));
        const ink = css("--soft");
        place.querySelector("figcaption p").textContent =
            series.length > 0 ? options.caption : "There are no such records yet.";
        place.querySelector(".plot").hidden = series.length === 0;
        drawLegend(place.querySelector(".legend"), series);
        const canvas = place.querySelector("canvas");
        canvas.setAttribute("aria-label", options.spoken);
        if (series.length === 0) return;
        charts.push(
            new Chart(canvas, {
                type: "line",
                data: { labels: options.labels, datasets: datasetsOf(series, options.decimals) },
                options: {
                    animation: false,
                    responsive: true,
                    maintainAspectRatio: false,
                    locale: "en-GB",
                    spanGaps: false,
                    interaction: { mode: options.labels ? "index" : "x", intersect: false },
                    scales: {
                        x: xAxis(options, ink, css("--grid")),
                        y: yAxis(options, ink, css("--grid")),
                    },
                    plugins: { legend: { display: false }, tooltip: tooltip(options) },
                },
            })
        );
    }

    function drawLegend(list, series) {
        const svgName = "http://www.w3.org/2000/svg";
        list.replaceChildren(
            ...series.map((one) => {
                const item = make("li");
                const svg = document.createElementNS(svgName, "svg");
                const line = document.createElementNS(svgName, "line");
                const set = (element, values) => {
                    for (const key in values) element.setAttribute(key, values[key]);
                };
                set(svg, { width: 26, height: 10, "aria-hidden": "true" });
                set(line, { x1: 0, y1: 5, x2: 26, y2: 5, stroke: one.colour });
                set(line, { "stroke-width": 2.5, "stroke-dasharray": (one.dash || []).join(" ") });
                svg.append(line);
                item.append(svg, make("span", one.label));
                return item;
            })
        );
    }

    /* ---- by age ----------------------------------------------------------------------------- */

    function pointFigure(point) {
        if (chosen.measure === "loss") return point.log_loss;
        return point.age === 0 ? { value: 0, low: 0, high: 0 } : point.drift_loss;
    }

    function drawByAge(entries) {
        const ages = new Set();
        const withCurve = entries.filter((entry) => entry.curve.points.length > 0);
        for (const entry of withCurve)
            for (const point of entry.curve.points) ages.add(point.age_seconds);
        const sorted = [...ages].sort((a, b) => a - b);
        const isDrift = chosen.measure === "drift";
        draw("by-age", {
            caption:
                (isDrift
                    ? "Loss of a model of each age less the loss of the same model up to date, on " +
                      "the same impressions. "
                    : "Loss of a model of each age, all on the same impressions. ") +
                "Bands are 95 % intervals. Ages are spaced evenly, not to scale.",
            spoken: "Line chart of the loss by age of the model; its figures are in the table below.",
            series: withCurve.map((entry) => ({
                label: entry.label,
                colour: colourOf(entry),
                dash: dashOf(entry),
                figures: sorted.map((age) => {
                    const point = entry.curve.points.find((p) => p.age_seconds === age);
                    return point ? pointFigure(point) : null;
                }),
            })),
            labels: sorted.map(ageText),
            reference: isDrift ? 0 : undefined,
            xTitle: "age of the model",
            yTitle: isDrift ? "drift loss, nats" : "log loss, nats",
            titleOf: (item) => sorted.length && "age " + ageText(sorted[item.dataIndex]),
            decimals: isDrift ? driftDecimals(entries) : lossDecimals(entries),
        });
        byId("by-age").querySelector(".tables").replaceChildren(...withCurve.map(ageTable));
    }

    const driftDecimals = (entries) => Math.max(...entries.map((entry) => entry.drift_decimals));

    function lossDecimals(entries) {
        for (const entry of entries) {
            const pool = entry.side_by_side || entry.side_by_side_progressive;
            if (pool && pool.log_loss) return decimalsOf(pool.log_loss.value);
        }
        return 4;
    }

    /* ---- over time -------------------------------------------------------------------------- */

    /* Points stand in the middle of their day or window. */
    function middles(entry, columns) {
        const half = (chosen.by === "days" ? DAY : entry.window_seconds) / 2;
        return columns.start.map((start) => start + half);
    }

    function overTime(entries, pick) {
        const series = [];
        for (const entry of entries) {
            const columns = entry[chosen.by];
            const x = middles(entry, columns);
            for (const one of pick(entry, columns))
                series.push({ colour: colourOf(entry), dash: dashOf(entry), x, ...one });
        }
        return series;
    }

    function drawOverTime(id, entries, pick, options) {
        let min = Infinity;
        let max = -Infinity;
        for (const entry of entries) {
            const start = entry[chosen.by].start;
            const length = chosen.by === "days" ? DAY : entry.window_seconds;
            min = Math.min(min, start[0]);
            max = Math.max(max, start[start.length - 1] + length);
        }
        const noun = chosen.by === "days" ? "day" : "window";
        draw(id, {
            ...options,
            caption: options.caption + " A point a " + noun + "; bands are 95 % intervals.",
            series: overTime(entries, pick),
            min,
            max,
            xTitle: "time of the impressions, UTC",
            titleOf: (item) => {
                const half = (chosen.by === "days" ? DAY : entries[0].window_seconds) / 2;
                const start = item.parsed.x - half;
                return chosen.by === "days"
                    ? timeText(start).slice(0, 10) + " UTC"
                    : timeText(start) + " UTC";
            },
            spoken: options.title + ", a line chart; its figures are in the table of this page.",
        });
    }

    function drawTimes(entries) {
        const decimals = lossDecimals(entries);
        const age = ageText(chosen.age);
        drawOverTime(
            "drift",
            entries,
            (entry, columns) => {
                const i = entry.ages.indexOf(chosen.age);
                return i < 0 ? [] : [{ label: entry.label, figures: columns.drift[i] }];
            },
            {
                title: "Drift loss over time",
                caption: "Loss of a model " + age + " old less that of the same model up to date.",
                reference: 0,
                yTitle: "drift loss, nats",
                decimals: driftDecimals(entries),
            }
        );
        drawOverTime(
            "loss",
            entries,
            (entry, columns) => [
                {
                    label: entry.label + (entry.is_production ? "" : ", holdout"),
                    figures: columns.loss,
                },
                {
                    label: entry.label + ", progressive",
                    figures: columns.progressive,
                    dash: [2, 3],
                },
            ],
            {
                title: "Loss over time",
                caption:
                    "Holdout: the up-to-date model on impressions that are never trained on. " +
                    "Progressive: each other impression, before the model learned of it.",
                yTitle: "log loss, nats",
                decimals,
            }
        );
        drawOverTime(
            "calibration",
            entries,
            (entry, columns) => [{ label: entry.label, figures: columns.calibration }],
            {
                title: "Calibration over time",
                caption:
                    "Predicted over observed, of the up-to-date model: above 1 it promises too " +
                    "much.",
                reference: 1,
                yTitle: "predicted / observed",
                decimals: 3,
            }
        );
    }

    /* ---- tables ----------------------------------------------------------------------------- */

    /* content: text, or a figure as {figure, decimals, isShort: without its interval} */
    function cell(content) {
        const td = make("td");
        if (content === null || typeof content !== "object") {
            td.textContent = content === null ? "\u2013" : content;
            return td;
        }
        const f = figure(content.figure);
        td.textContent = f ? fixed(f.value, content.decimals) : "\u2013";
        const ends = interval(content.figure, content.decimals);
        if (ends && !content.isShort) td.append(make("span", " (" + ends + ")"));
        return td;
    }

    function table(caption, head, rows, nNames, isTall) {
        const place = make("div", undefined, isTall ? "scroll tall" : "scroll");
        const element = make("table");
        const headRow = make("tr");
        place.tabIndex = 0;
        place.setAttribute("role", "region");
        place.setAttribute("aria-label", caption);
        element.append(make("caption", caption));
        head.forEach((text, i) => {
            const th = make("th", text, i < nNames ? "name" : "");
            th.scope = "col";
            headRow.append(th);
        });
        const thead = make("thead");
        thead.append(headRow);
        const tbody = make("tbody");
        for (const row of rows) {
            const tr = make("tr");
            row.forEach((content, i) => {
                const td = i === 0 ? make("th", content) : cell(content);
                if (i === 0) td.scope = "row";
                if (i < nNames) td.className = "name";
                tr.append(td);
            });
            tbody.append(tr);
        }
        element.append(thead, tbody);
        place.append(element);
        return place;
    }

    function ageTable(entry) {
        const decimals = lossDecimals([entry]);
        return table(
            entry.label + ": " + entry.basis + ". Areas are means over windows.",
            ["Age", "Log loss", "NE", "Drift loss", "Calibration", "ROC AUC", "PR AUC"],
            entry.curve.points.map((point) => [
                ageText(point.age_seconds),
                { figure: point.log_loss, decimals },
                { figure: point.normalised_entropy, decimals: 4, isShort: true },
                { figure: point.drift_loss, decimals: entry.drift_decimals },
                { figure: point.calibration, decimals: 3 },
                { figure: point.mean_roc_auc === null ? null : [point.mean_roc_auc], decimals: 4 },
                { figure: point.mean_pr_auc === null ? null : [point.mean_pr_auc], decimals: 4 },
            ]),
            1
        );
    }

    function timeTable(entry) {
        const columns = entry[chosen.by];
        const decimals = lossDecimals([entry]);
        const i = entry.ages.indexOf(chosen.age);
        const isDays = chosen.by === "days";
        const order = columns.start.map((_, row) => row).reverse();
        const left = isDays || !entry.windows_left_out ? "" :
            "; " + plural(entry.windows_left_out, "earlier window") + " only by day";
        return table(
            entry.label + ", the newest first, UTC" + left,
            [
                isDays ? "Day" : "Window from",
                "Examples",
                "Positives",
                "Log loss",
                "Drift loss, " + ageText(chosen.age),
                "Calibration",
                "Progressive loss",
            ],
            order.map((row) => [
                isDays ? timeText(columns.start[row]).slice(0, 10) : timeText(columns.start[row]),
                count(columns.examples[row]),
                count(columns.positives[row]),
                { figure: columns.loss[row], decimals },
                {
                    figure: i < 0 ? null : columns.drift[i][row],
                    decimals: entry.drift_decimals,
                },
                { figure: columns.calibration[row], decimals: 3 },
                { figure: columns.progressive[row], decimals },
            ]),
            1,
            true
        );
    }

    function tellingDrift(entry) {
        const point = entry.curve.points.find((p) => p.age_seconds === entry.telling_age);
        return point ? point.drift_loss : null;
    }

    function sideRow(entry) {
        const pool = entry.side_by_side;
        const progressive = entry.side_by_side_progressive;
        const decimals = lossDecimals([entry]);
        const of = (key, digits) => ({ figure: pool && pool[key], decimals: digits });
        const mean = (key) => ({
            figure: pool && pool[key] !== null ? [pool[key]] : null,
            decimals: 4,
        });
        return [
            entry.label,
            entry.is_production ? "carried scores" : entry.setup || null,
            pool ? count(pool.examples) : null,
            pool ? count(pool.positives) : null,
            of("log_loss", decimals),
            { ...of("normalised_entropy", 4), isShort: true },
            of("calibration", 3),
            mean("mean_roc_auc"),
            mean("mean_pr_auc"),
            { figure: progressive && progressive.log_loss, decimals },
            { figure: tellingDrift(entry), decimals: entry.drift_decimals },
        ];
    }

    function productionTable(entries) {
        return table(
            "Against the scores that the impressions carried, on the examples that have one",
            ["Model", "Examples with a score", "Share", "Clipped", "Loss less the scores\u2019"],
            entries.map((entry) => {
                const pair = entry.side_by_side.production;
                return [
                    entry.label,
                    count(pair.examples),
                    (100 * pair.share).toFixed(1) + " %",
                    count(pair.clipped),
                    { figure: pair.loss_difference, decimals: entry.drift_decimals },
                ];
            }),
            1
        );
    }

    function drawSideBySide() {
        const entries = ofTask();
        const telling = entries.map((entry) => entry.telling_age).find((age) => age !== null);
        const withScores = entries.filter((e) => e.side_by_side && e.side_by_side.production);
        const head = [
            "Model",
            "Set-up",
            "Examples",
            "Positives",
            "Log loss",
            "NE",
            "Calibration",
            "ROC AUC",
            "PR AUC",
            "Progressive loss",
            telling ? "Drift loss, " + ageText(telling) : "Drift loss",
        ];
        const words = entries[0].is_common
            ? "up to date, on the windows that all of them have"
            : "up to date, each on its own windows, for none is in all of them";
        const tables = [
            table(
                taskWords().title + ": models " + words + "; areas are means over windows",
                head,
                entries.map(sideRow),
                2
            ),
        ];
        if (withScores.length > 0) tables.push(productionTable(withScores));
        byId("side-by-side").querySelector(".tables").replaceChildren(...tables);
    }

    /* ---- the whole -------------------------------------------------------------------------- */

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
})();
