// What a task uses while it runs, as charts of the last five minutes. Nothing is
// measured while nobody looks: a hidden page asks for nothing.

import { h, put } from "./dom.js";
import { stream } from "./api.js";
import { bytes, seconds, amount } from "./words.js";

const shown = 5 * 60 * 1000; // in milliseconds
const gap = 10 * 1000; // between samples of which nothing can be said
const width = 600;
const height = 80;

const svg = (tag, attributes) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
};

const rate = (n) => `${bytes(n)}/s`;
const percent = (n) => `${Math.round(n * 10) / 10}%`;

// chart shows some lines over the same time: [{name, of}], of which each of is a
// sample and the one before, and gives a number, or null for unknown.
function chart(title, lines, words, least) {
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
  const limit = svg("path", { class: "limit" });
  const area = svg("path", { class: "area" });
  const paths = lines.map((_, i) => svg("path", { class: `line l${i}` }));
  drawing.append(...(lines.length === 1 ? [area] : []), limit, ...paths);
  const now = h("span", { class: "n" });
  const top = h("span", { class: "quiet n" });
  const nothing = h("p", { class: "quiet" });
  const element = h("figure", { class: "chart" },
    h("figcaption", {}, h("span", {}, title), now),
    drawing, nothing, h("div", { class: "axis" }, h("span", { class: "quiet" }, "5 min ago"), top, h("span", { class: "quiet" }, "now")));

  return {
    element,
    draw(samples, end, most, absent) {
      const all = lines.map((l) => samples.map((s, i) => [s.at, l.of(s, s.at - samples[i - 1]?.at <= gap ? samples[i - 1] : null)]));
      const values = all.flat().map(([, v]) => v).filter((v) => v != null);
      const known = values.length > 0;
      drawing.toggleAttribute("hidden", !known);
      element.querySelector(".axis").hidden = !known;
      nothing.hidden = known;
      put(nothing, known ? "" : absent(samples));
      if (!known) {
        put(now, "");
        return;
      }
      const peak = Math.max(...values);
      const high = Math.max(peak * 1.1, most && most < 4 * peak ? most * 1.05 : 0, least);
      const x = (at) => Math.round((width * (at - end + shown)) / shown * 10) / 10;
      const y = (v) => Math.round((height - (height * v) / high) * 10) / 10;
      limit.setAttribute("d", most && most <= high ? `M0 ${y(most)}H${width}` : "");
      const last = [];
      all.forEach((points, i) => {
        let d = "";
        let open = null; // when the line was drawn to last
        for (const [at, v] of points) {
          if (v != null) d += `${open != null && at - open <= gap ? "L" : "M"}${x(at)} ${y(v)}`;
          open = v == null ? null : at;
        }
        paths[i].setAttribute("d", d);
        if (lines.length === 1) area.setAttribute("d", d.split("M").filter(Boolean).map((part) => {
          const xs = part.split("L").map((p) => p.split(" ")[0]);
          return `M${xs[0]} ${height}L${part}L${xs.at(-1)} ${height}Z`;
        }).join(""));
        const v = points.at(-1)[1];
        last.push([lines[i].name, v == null ? "unknown" : words(v), i]);
      });
      const of = most ? ` of ${words(most)}` : "";
      put(now, ...last.map(([name, v, i], n) => [n ? ", " : "", name ? h("span", { class: `key l${i}` }, name) : "", name ? ` ${v}` : v]), of);
      put(top, `up to ${words(high)}`);
      drawing.setAttribute("aria-label", `${title} in the last five minutes. Now ${last.map(([name, v]) => `${name} ${v}`.trim()).join(", ")}${of}; at most ${words(peak)}.`);
    },
  };
}

// grown is by how much a total has grown a second between two samples.
const grown = (get) => (s, before) => {
  if (!before || get(s) == null || get(before) == null) return null;
  return Math.max(0, (get(s) - get(before)) / ((s.at - before.at) / 1000));
};
const count = (v) => (v == null ? null : Number(v));
const pressure = (name) => (s) => (s[name] ? Number(s[name].some ?? 0) : null);
const unmeasured = (why) => (samples) => (samples.length > 1 ? why : "waiting for the first samples");

// usage shows what a task uses. run begins or ends it; limits are those of its
// workload.
export function usage(id, signal) {
  const charts = [
    [chart("Processors", [{ name: "", of: grown((s) => seconds(s.usage?.cpuTime)) }], amount, 0.1), (s, w) => w?.limits?.cpus, "Not told without a cgroup."],
    [chart("Memory", [{ name: "", of: (s) => count(s.usage?.memoryBytes) }], bytes, 1024 * 1024), (s) => count(s?.usage?.memoryLimitBytes), "Not told: the agent has no memory isolator."],
    [chart("Block devices", [
      { name: "read", of: grown((s) => count(s.ioReadBytes)) }, { name: "written", of: grown((s) => count(s.ioWrittenBytes)) },
    ], rate, 64 * 1024), () => null, "Not told: on cgroup v1 this takes the agent's blkio isolator."],
    [chart("Pressure: time in which processes waited", [
      { name: "cpu", of: pressure("cpuPressure") }, { name: "memory", of: pressure("memoryPressure") }, { name: "io", of: pressure("ioPressure") },
    ], percent, 5), () => null, "Not told: the kernel measures it for cgroup v2 only."],
  ];
  const note = h("p", { class: "quiet", role: "status" });
  const element = h("section", { hidden: true }, h("h2", {}, "Usage now"), h("div", { class: "cards charts" }, charts.map(([c]) => h("div", { class: "card" }, c.element))), note);

  let samples = [];
  let workload = null;
  let runs = false;
  let watching = null;

  function draw() {
    const end = Math.max(Date.now(), samples.at(-1)?.at ?? 0);
    samples = samples.filter((s) => s.at > end - shown);
    for (const [c, most, absent] of charts) c.draw(samples, samples.at(-1)?.at ?? end, most(samples.at(-1), workload), unmeasured(absent));
    const u = samples.at(-1);
    const before = samples.at(-2);
    const held = before ? grown((s) => seconds(s.usage?.throttledTime) ?? 0)(u, before) : 0;
    const words = [];
    if (u?.pids != null) words.push(`${u.pids} processes and threads${u.pidsLimit != null ? ` of ${u.pidsLimit}` : ""}`);
    if (u?.diskBytes != null) words.push(`${bytes(count(u.diskBytes))} of ${bytes(count(u.diskLimitBytes))} of disk`);
    if (held > 0) words.push(`held back by its cpu limit ${percent(100 * Math.min(1, held))} of the time`);
    put(note, words.join("; "));
  }

  async function watch() {
    if (watching || !runs || document.hidden || signal.aborted) return;
    const mine = (watching = new AbortController());
    const both = AbortSignal.any([signal, mine.signal]);
    while (!both.aborted) {
      try {
        for await (const m of stream("WatchUsage", { taskId: id }, both)) {
          // What is kept comes again with every call.
          const last = samples.at(-1)?.at ?? 0;
          for (const s of m.samples ?? []) if (new Date(s.time).getTime() > last) samples.push({ ...s, at: new Date(s.time).getTime() });
          draw();
        }
      } catch (err) {
        if (both.aborted) break;
        if (err.code === "failed_precondition" || err.code === "not_found") {
          put(note, err.message);
          break;
        }
        put(note, `${err.message}; trying again`);
      }
      await new Promise((done) => setTimeout(done, 3000));
    }
    if (watching === mine) watching = null;
  }

  const stop = () => {
    watching?.abort();
    watching = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : watch()), { signal });

  return {
    element,
    run(on, w) {
      workload = w;
      if (on && !runs) draw();
      runs = on;
      element.hidden = !on;
      if (on) watch();
      else stop();
    },
  };
}
