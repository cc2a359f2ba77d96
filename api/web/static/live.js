// Follows /v1/events: shows whether the page is live, keeps ages true, and asks htmx to morph the
// page when something it shows has changed. Charts hear of samples through "staybolt:samples".

const REFRESH_MS = 2000; // At most one redraw in this time, however much changes.
const AGES_MS = 5000;
const KINDS = ["samples", "health", "alarm", "proposal", "risk", "update", "reset"];

const connection = document.getElementById("connection");
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });
let refreshTimer = null;
let refreshedAt = 0;
let wasLost = false;

function setState(state) {
  if (connection && connection.dataset.state !== state) connection.dataset.state = state;
}

function inWords(seconds) {
  if (seconds < 60) return relative.format(-Math.round(seconds), "second");
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86400) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86400), "day");
}

function showAges() {
  for (const element of document.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, (Date.now() - Date.parse(element.dateTime)) / 1000);
    const words = inWords(seconds);
    if (element.textContent !== words) element.textContent = words;
    if (element.dataset.staleAfterS) {
      const row = element.closest("[data-machine]");
      if (row) row.classList.toggle("stale", seconds > Number(element.dataset.staleAfterS));
    }
  }
}

function refreshSoon() {
  if (refreshTimer !== null) return;
  const wait = Math.max(0, refreshedAt + REFRESH_MS - Date.now());
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    refreshedAt = Date.now();
    document.body.dispatchEvent(new CustomEvent("staybolt:changed"));
  }, wait);
}

function concerns(kind, data) {
  const live = document.getElementById("live");
  if (!live || !live.dataset.listens.split(" ").includes(kind)) return false;
  const { machineKey, customerKey } = live.dataset;
  if (machineKey && data.machine_key) return data.machine_key === machineKey;
  if (customerKey && data.customer_key) return data.customer_key === customerKey;
  return true;
}

function takeSamples(data) {
  for (const [machine, news] of Object.entries(data.machines)) {
    for (const element of document.querySelectorAll("time[data-newest-of]")) {
      if (element.dataset.newestOf !== machine) continue;
      if (news.newest_s * 1000 > Date.parse(element.dateTime)) {
        element.dateTime = new Date(news.newest_s * 1000).toISOString();
      }
    }
  }
  document.dispatchEvent(new CustomEvent("staybolt:samples", { detail: data.machines }));
}

function take(kind, event) {
  setState("live");
  const data = JSON.parse(event.data);
  if (kind === "samples") takeSamples(data);
  if (kind === "reset") document.dispatchEvent(new CustomEvent("staybolt:reset"));
  if (concerns(kind, data)) refreshSoon();
}

function follow() {
  const source = new EventSource("/v1/events");
  source.onopen = () => {
    setState("live");
    if (wasLost) {
      // What happened meanwhile is read anew, whatever the server still remembers.
      wasLost = false;
      document.dispatchEvent(new CustomEvent("staybolt:reset"));
      refreshSoon();
    }
  };
  source.onerror = () => {
    wasLost = true;
    setState("lost");
    // A browser gives up for good on an answer that is no event stream; we do not.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
  for (const kind of KINDS) source.addEventListener(kind, (event) => take(kind, event));
  addEventListener("pagehide", () => source.close(), { once: true });
}

// Folds that a reader opened stay open: "morphIgnore" in the page's htmx-config names `open`.
document.addEventListener("htmx:after:swap", showAges);
addEventListener("offline", () => setState("lost"));
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

showAges();
setInterval(showAges, AGES_MS);
follow();
