/* charts.js - a line with its band, by age and over time, drawn by Chart.js. */

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

/* A model's first losses can be so far above all others that these would be a flat line. So of many
 * points, those that are further above nine tenths of them than four times the spread of the middle
 * eight are left above the scale. -> {top: undefined if all are on it, above: how many are not} */
function scaleOf(series) {
    const figures = series.flatMap((one) => one.figures.map(figure).filter((f) => f !== null));
    const values = figures.map((f) => f.value).sort((a, b) => a - b);
    const at = (share) => values[Math.floor(share * (values.length - 1))];
    const limit = at(0.9) + 4 * (at(0.9) - at(0.1));
    const below = figures.filter((f) => f.value <= limit);
    if (values.length < 10 || below.length === values.length) return { above: 0 };
    const edges = below.map((f) => Math.min(limit, f.high === undefined ? f.value : f.high));
    return { top: Math.max(...edges), above: values.length - below.length };
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

function yAxis(options, top, ink, grid) {
    const isReference = (context) => context.tick && context.tick.value === options.reference;
    return {
        title: { display: true, text: options.yTitle, color: ink },
        ticks: { color: ink, maxTicksLimit: 7 },
        max: top,
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
    const scale = options.labels ? { above: 0 } : scaleOf(series);
    const note = scale.above === 0 ? "" : " Points above the scale: " + scale.above + ".";
    place.querySelector("figcaption p").textContent =
        series.length > 0 ? options.caption + note : "There are no such records yet.";
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
                    y: yAxis(options, scale.top, ink, css("--grid")),
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
