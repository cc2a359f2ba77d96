// Draws a machine's signals with uPlot: healthy band, alarms, live samples; and its health history.

const HEIGHT = 176;
const MAX_POINTS = 2000;
const KEEP_POINTS = 6000;
const DAY_S = 86400;

const box = document.getElementById("charts");
const histories = document.getElementById("health-charts");
const language = document.documentElement.lang;
const charts = [];
const sync = window.uPlot ? uPlot.sync("machine") : null;
let windowHours = 168;
let isPinned = Boolean(box && (box.dataset.fromS || box.dataset.toS));

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function timeLabels(_chart, splits, _axis, _space, step) {
  const options = step >= DAY_S
    ? { month: "short", day: "numeric", timeZone: "UTC" }
    : step >= 60
      ? { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: "UTC" }
      : { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, timeZone: "UTC" };
  const write = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, options);
  const day = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { month: "short", day: "numeric", timeZone: "UTC" });
  return splits.map((s) => (step < DAY_S && s % DAY_S === 0 ? day : write).format(new Date(s * 1000)));
}

function axes() {
  const shared = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return [
    { ...shared, grid: { show: false }, values: timeLabels, space: 64, size: 26 },
    { ...shared, size: 52, space: 32 },
  ];
}

function options(element, series, hooks, more = {}) {
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, sync: { key: "machine", setSeries: false } },
    axes: axes(),
    series: [{}, ...series],
    hooks,
    ...more,
  };
}

function shadeBehind(figure) {
  const centre = Number(figure.dataset.centre);
  const spread = Number(figure.dataset.spread);
  const hasBand = figure.dataset.centre !== undefined;
  return (chart) => {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (hasBand) {
      const top = chart.valToPos(centre + spread, "y", true);
      const bottom = chart.valToPos(centre - spread, "y", true);
      ctx.fillStyle = colour("--band");
      ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    }
    const alarms = JSON.parse(box.dataset.alarms);
    for (const [from, to] of alarms) {
      const left = chart.valToPos(from, "x", true);
      const right = to === null ? bbox.left + bbox.width : chart.valToPos(to, "x", true);
      const dot = devicePixelRatio;
      ctx.fillStyle = colour("--alarm");
      ctx.fillRect(left, bbox.top, Math.max(right - left, 2), 4 * dot);
      ctx.fillRect(left, bbox.top, 2 * dot, bbox.height);
      ctx.beginPath(); // the flag: colour is not the only sign
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left + 12 * dot, bbox.top + 7 * dot);
      ctx.lineTo(left, bbox.top + 14 * dot);
      ctx.fill();
    }
    ctx.restore();
  };
}

function range(figure) {
  const centre = Number(figure.dataset.centre);
  const reach = Number(figure.dataset.spread);
  return (_chart, low, high) => {
    if (low === null || high === null) return [0, 1];
    const least = figure.dataset.centre === undefined ? low : Math.min(low, centre - reach);
    const most = figure.dataset.centre === undefined ? high : Math.max(high, centre + reach);
    const margin = (most - least || Math.abs(most) || 1) * 0.06;
    return [least - margin, most + margin];
  };
}

function say(canvas, which) {
  for (const name of ["loading", "failed", "none"]) {
    const words = canvas.querySelector(`.${name}`);
    if (words) words.hidden = name !== which;
  }
}

function address(figure) {
  const query = new URLSearchParams({ max_points: String(MAX_POINTS) });
  const newest = document.querySelector("time[data-newest-of]");
  if (isPinned) {
    if (box.dataset.fromS) query.set("from", new Date(box.dataset.fromS * 1000).toISOString());
    if (box.dataset.toS) query.set("to", new Date(box.dataset.toS * 1000).toISOString());
  } else if (newest) {
    query.set("from", new Date(Date.parse(newest.dateTime) - windowHours * 3600e3).toISOString());
  }
  return `${figure.dataset.samples}?${query}`;
}

async function read(url) {
  const answer = await fetch(url, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

async function draw(figure) {
  const canvas = figure.querySelector(".canvas");
  const known = charts.find((one) => one.figure === figure);
  let samples;
  try {
    samples = await read(address(figure));
  } catch {
    if (!known) say(canvas, "failed");
    return;
  }
  if (!samples.time_s.length) {
    if (known) { known.chart.destroy(); charts.splice(charts.indexOf(known), 1); }
    say(canvas, "none");
    return;
  }
  say(canvas, null);
  const data = [samples.time_s, samples.value];
  if (known) {
    known.data = data;
    known.chart.setData(data);
    return;
  }
  const series = [{ stroke: colour("--ink"), width: 1.4, points: { show: false } }];
  const hooks = { drawAxes: [shadeBehind(figure)], setCursor: [(chart) => readAt(figure, chart)] };
  const chart = new uPlot(options(canvas, series, hooks, { scales: { y: { range: range(figure) } } }), data, canvas);
  sync.sub(chart);
  charts.push({ figure, chart, data });
}

function readAt(figure, chart) {
  const output = figure.querySelector("[data-latest]");
  const at = chart.cursor.idx ?? chart.data[0].length - 1;
  const value = chart.data[1][at];
  if (value !== null && value !== undefined) output.textContent = write(value);
}

function write(value) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);
}

function addSamples(machines) {
  const news = box && machines[box.dataset.machine];
  if (!news || isPinned) return;
  for (const one of charts) {
    const latest = news.latest[one.figure.dataset.signal];
    if (!latest) continue;
    const [time, value] = latest;
    const [times, values] = one.data;
    if (time <= times[times.length - 1]) continue;
    times.push(time);
    values.push(value);
    const oldest = time - windowHours * 3600;
    while (times.length > KEEP_POINTS || times[0] < oldest) { times.shift(); values.shift(); }
    const isZoomed = one.chart.scales.x.max < times[times.length - 2];
    one.chart.setData(one.data, !isZoomed);
    if (value !== null && one.chart.cursor.idx === null) one.figure.querySelector("[data-latest]").textContent = write(value);
  }
}

async function drawHistory() {
  let history;
  try {
    history = await read(histories.dataset.history);
  } catch {
    return;
  }
  const asDays = (column) => column.map((hours) => (hours === null ? null : hours / 24));
  const ink = colour("--ink");
  const soft = { stroke: colour("--line-strong"), width: 1, points: { show: false } };
  for (const figure of histories.querySelectorAll("[data-history-of]")) {
    const canvas = figure.querySelector(".canvas");
    const isLife = figure.dataset.historyOf === "life";
    const data = isLife
      ? [history.time_s, asDays(history.lower_h), asDays(history.upper_h), asDays(history.remaining_useful_life_h)]
      : [history.time_s, history.health_pct];
    const line = { stroke: ink, width: 1.8, points: { show: history.time_s.length < 3 } };
    const more = isLife
      ? { bands: [{ series: [2, 1], fill: colour("--bar-ground") }], scales: { y: { range: (_c, _l, high) => [0, (high || 1) * 1.06] } } }
      : { scales: { y: { range: [0, 104] } } };
    say(canvas, null);
    if (figure.chart) figure.chart.setData(data);
    else figure.chart = new uPlot(options(canvas, isLife ? [soft, soft, line] : [line], {}, { ...more, cursor: { y: false } }), data, canvas);
  }
}

function drawAll() {
  if (box) for (const figure of box.querySelectorAll(".chart")) draw(figure);
  if (histories) drawHistory();
}

function resize() {
  for (const { chart, figure } of charts) chart.setSize({ width: figure.querySelector(".canvas").clientWidth, height: HEIGHT });
  for (const figure of histories ? histories.querySelectorAll("[data-history-of]") : []) {
    if (figure.chart) figure.chart.setSize({ width: figure.querySelector(".canvas").clientWidth, height: HEIGHT });
  }
}

function startAnew() {
  for (const { chart } of charts.splice(0)) chart.destroy();
  for (const figure of histories ? histories.querySelectorAll("[data-history-of]") : []) {
    if (figure.chart) { figure.chart.destroy(); figure.chart = null; }
  }
  drawAll();
}

for (const button of document.querySelectorAll("#ranges button")) {
  button.addEventListener("click", () => {
    windowHours = Number(button.dataset.hours);
    isPinned = false;
    for (const other of document.querySelectorAll("#ranges button")) other.setAttribute("aria-pressed", String(other === button));
    for (const figure of box.querySelectorAll(".chart")) draw(figure);
  });
}
let resizing = null;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(resize, 120); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", startAnew);
document.addEventListener("staybolt:samples", (event) => addSamples(event.detail));
document.addEventListener("staybolt:reset", drawAll);
let historyTimer = null;
document.body.addEventListener("staybolt:changed", () => {
  if (!histories || historyTimer !== null) return;
  historyTimer = setTimeout(() => { historyTimer = null; drawHistory(); }, 4000);
});
drawAll();
