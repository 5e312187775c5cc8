/*
 * words.js - words, numbers, and what is chosen.
 *
 * The four scripts of the page stand one after another in one <script>. None of them computes a
 * figure: all come from the records, pooled by the program. Text goes in by textContent alone.
 */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const charts = [];
const chosen = { task: "", model: "", measure: "drift", age: 0, by: "days" };
const DAY = 86400;
const MODELS = 6; // colours; more models repeat them with other dashes
const byId = (id) => document.getElementById(id);

window.addEventListener("error", (event) => {
    byId("error").textContent = "The page could not be drawn: " + event.message;
});

/* ---- words and numbers ------------------------------------------------------------------------ */

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

/* ---- what is chosen --------------------------------------------------------------------------- */

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
