/* figures.js - what each chart and table shows. */

/* ---- by age ----------------------------------------------------------------------------------- */

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

/* ---- over time -------------------------------------------------------------------------------- */

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

/* ---- tables ----------------------------------------------------------------------------------- */

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
