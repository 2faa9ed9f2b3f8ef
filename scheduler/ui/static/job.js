import { grid, h, put, pill, when, due, facts, bar } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./model.js";
import { pagedTable } from "./table.js";
import { state, instancePhases, jobType, taskState, health, healthMood, why, number, quota } from "./words.js";

// waiting are the phases in which an instance would like to be placed.
const waiting = "INSTANCE_PHASE_WAITING";
// again are those in which it is started again at a time.
const again = new Set(["INSTANCE_PHASE_BACKOFF", "INSTANCE_PHASE_CRASH_LOOPING"]);

// job shows one job: its instances, why they wait, and its file.
export function job(page, id) {
  page.title(id);
  const head = h("div", { class: "head" });
  const about = h("div");
  const reason = h("p", { class: "reason" });
  const explained = h("section", { class: "card explained", hidden: true }, h("p", { class: "quiet" }, "Asking why instances wait."));
  const file = h("pre", { tabindex: "0", "aria-label": "Job file" });
  const kept = h("div", { class: "scroll" });
  const versions = h("details", { class: "versions", ontoggle: () => last && drawVersions() }, h("summary", {}, h("h2", {}, "Versions")), kept);
  const phase = h("select", { "aria-label": "Phase" }, h("option", { value: "" }, "All phases"));
  const table = pagedTable({
    many: "instances", title: "Instances", caption: `Instances of ${id}`, label: "Filter instances", empty: "It has no instances.",
    key: (r) => r.slot,
    text: (r) => `${r.slot} ${state(r.instance.phase).word} ${r.attempt?.hostname ?? ""} ${r.instance.phaseReason ?? ""} ${(r.attempt?.tasks ?? []).map((t) => `${t.workload} ${taskState(t)} ${t.reason ?? ""}`).join(" ")}`.toLowerCase(),
    columns: [
      { name: "Instance", class: "n", head: true, draw: (r) => String(r.slot) },
      { name: "Phase", draw: (r) => pill(state(r.instance.phase)) },
      { name: "Since", class: "n", draw: (r) => when(r.instance.since) },
      { name: "Agent", draw: (r) => r.attempt?.hostname ?? "" },
      { name: "Tasks", class: "tasks", draw: (r) => (r.attempt?.tasks ?? []).map((t) => taskLine(r.attempt, t)) },
      { name: "Attempt", class: "n", draw: (r) => (Number(r.instance.attempt ?? 0) ? String(r.instance.attempt) : "") },
      { name: "Version", class: "n", draw: (r) => String(r.instance.jobVersion ?? "") },
      { name: "Why", class: "why", draw: (r) => [again.has(r.instance.phase) && r.instance.notBefore && due(r.instance.notBefore), r.instance.phaseReason ?? ""] },
    ],
  });
  const runs = pagedTable({
    many: "runs", title: "Runs", caption: `Runs of ${id}`, label: "Filter runs", empty: "It has not run yet.",
    key: (r) => r.of.spec.id,
    text: (r) => `${r.of.spec.id} ${state(r.of.phase).word} ${r.of.phaseReason ?? ""}`.toLowerCase(),
    columns: [
      { name: "Run", head: true, draw: (r) => h("a", { href: `/jobs${r.of.spec.id}` }, r.of.spec.id.slice(id.length + 1)) },
      { name: "Phase", draw: (r) => pill(state(r.of.phase)) },
      { name: "Instances", class: "n", draw: (r) => number(r.of.spec.instances) },
      { name: "Started", class: "n", draw: (r) => when(r.of.updated) },
      { name: "Why", class: "why", draw: (r) => r.of.phaseReason ?? "" },
    ],
  });
  table.tools.append(phase);
  page.show(h("nav", { "aria-label": "Where this is", class: "crumbs" }, h("a", { href: "/" }, "Jobs")),
    head, reason, about, explained, h("section", {}, table.element, runs.element),
    h("section", {}, h("details", {}, h("summary", {}, h("h2", {}, "Job file")), file)),
    h("section", {}, versions));
  put(head, h("h1", {}, id));

  runs.element.hidden = true;
  // A cron job's runs are jobs of their own, which its watch does not tell of.
  let askedRuns = 0;
  const drawRuns = async () => {
    if (runs.element.hidden || document.hidden || Date.now() - askedRuns < 3000) return;
    askedRuns = Date.now();
    const below = (await call("ListJobs", { below: id }, page.signal)).jobs ?? [];
    runs.set(below.filter((j) => j.runOf === id).reverse().map((of) => ({ of })));
  };

  let shownVersion = null;
  let last = null;
  const rows = new Map();
  const draw = (model) => {
    last = model;
    const record = model.jobs.get(id);
    if (!record) {
      put(head, h("h1", {}, id));
      put(reason, "There is no such job, or not any more.");
      put(about);
      explained.hidden = true;
      table.set([]);
      return;
    }
    put(head, h("h1", {}, id), pill(state(record.phase)));
    table.element.hidden = record.spec.type === "JOB_TYPE_CRON";
    runs.element.hidden = !table.element.hidden;
    const counts = model.counts(id);
    const instances = [...(model.instances.get(id) ?? new Map())];
    // Where instances wait the card below says more of it.
    put(reason, counts[waiting] ? "" : record.phaseReason ?? "");
    put(about, facts([
      ["Type", jobType(record.spec)],
      ["Version", `${record.version}`],
      ["Changed", when(record.updated)],
      ["Instances", instancePhases.filter((p) => counts[p]).map((p) => `${number(counts[p])} ${state(p).word}`).join(", ")],
      ["Update", record.update && updateProgress(record.update, instances)],
      ["Schedule", record.spec.schedule && `${record.spec.schedule.cron} ${record.spec.schedule.timeZone ?? ""}`],
      ["Next start", record.cron?.next && new Date(record.cron.next).toLocaleString()],
      ["Run of", record.runOf && h("a", { href: `/jobs${record.runOf}` }, record.runOf)],
      ["Labels", Object.entries(record.spec.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(", ")],
    ]));
    drawPhases(phase, counts);
    const shown = [];
    for (const [slot, instance] of instances.sort((a, b) => a[0] - b[0])) {
      if (phase.value && instance.phase !== phase.value) continue;
      const attempt = model.newest(id, slot);
      let row = rows.get(slot);
      if (!row || row.instance !== instance || row.attempt !== attempt) {
        row = { slot, instance, attempt };
        row.of = row;
        rows.set(slot, row);
      }
      shown.push(row);
    }
    table.set(shown);
    explained.hidden = !counts[waiting];
    if (record.version !== shownVersion) {
      shownVersion = record.version;
      call("GetJob", { id }, page.signal).then((r) => put(file, r.jobFile ?? "")).catch(() => { shownVersion = null; });
      askedVersions = false;
    }
    drawVersions();
  };
  // Versions are asked for when somebody looks, and again when there is another.
  let askedVersions = false;
  let list = [];
  const drawVersions = () => {
    if (!versions.open) return;
    if (!askedVersions) {
      askedVersions = true;
      call("ListVersions", { id }, page.signal).then((r) => {
        list = r.versions ?? [];
        drawVersions();
      }).catch(() => { askedVersions = false; });
    }
    put(kept, versionTable(list, last.jobs.get(id), [...(last.instances.get(id) ?? new Map()).values()]));
  };
  phase.addEventListener("change", () => last && draw(last));
  page.ask();
  watch({ jobId: id }, { signal: page.signal, standing: page.standing, show: draw });

  // Looking at every agent takes the scheduler some time, and what stands
  // against an instance changes slowly.
  let asked = 0;
  const explain = async () => {
    if (explained.hidden || document.hidden || Date.now() - asked < 10_000) return;
    asked = Date.now();
    drawExplanation(explained, (await call("ExplainJob", { id }, page.signal)).explanation);
  };
  const timer = setInterval(() => {
    explain().catch(() => {});
    drawRuns().catch(() => {});
  }, 500);
  page.signal.addEventListener("abort", () => clearInterval(timer));
}

// updateProgress says where an update stands, and how many instances have come to it.
function updateProgress(u, instances) {
  const there = instances.filter(([, i]) => i.jobVersion === u.version).length;
  const over = ["UPDATE_PHASE_DONE", "UPDATE_PHASE_CANCELLED"].includes(u.phase);
  const words = `${number(there)} of ${number(instances.length)} instances`;
  return [pill(state(u.phase)), ` to version ${u.version}${over ? "" : `, ${words}`}${u.reason ? `: ${u.reason}` : ""}`,
    over ? null : bar([{ count: there, mood: state(u.phase).mood, word: `at version ${u.version}` }], instances.length, words)];
}

// versionTable shows the versions that are kept, the newest first.
function versionTable(list, record, instances) {
  const standing = (v) => [
    v === record?.version && "current",
    v === record?.stableVersion && "all instances have served with it",
    v === record?.update?.reverts && "given up",
  ].filter(Boolean).join(", ");
  const table = grid("Versions that are kept", [{ name: "Version", class: "n", head: true }, { name: "Submitted", class: "n" }, { name: "Instances", class: "n" }, { name: "Standing" }]);
  table.body.append(...list.map((v) => table.row([v.version, when(v.created), number(instances.filter((i) => i.jobVersion === v.version).length), standing(v.version)])));
  return table.element;
}

function drawPhases(select, counts) {
  const options = ["", ...instancePhases.filter((p) => counts[p] || p === select.value)];
  const words = options.map((p) => (p ? `${state(p).word} (${counts[p] ?? 0})` : "All phases"));
  if (words.join() === select.dataset.words) return;
  const value = select.value;
  select.dataset.words = words.join();
  select.replaceChildren(...options.map((p, i) => h("option", { value: p }, words[i])));
  select.value = value;
}

function taskLine(attempt, t) {
  const s = state(taskState(t));
  const well = health(t);
  return h("div", { class: "task" },
    h("span", { class: `dot ${well && s.mood === "good" ? healthMood(t) : s.mood}`, "aria-hidden": "true" }),
    h("a", { href: `/tasks/${t.taskId}` }, t.workload),
    h("span", { class: "quiet" }, ` ${s.word}${well ? `, ${well}` : ""}${why(t) ? `: ${why(t)}` : ""}`),
    Object.entries(t.ports ?? {}).sort().map(([name, port]) => h("span", { class: "port" }, `${name} ${attempt.hostname}:${port}`)));
}

function drawExplanation(e, x) {
  const stands = [];
  if (!x.subscribed) stands.push("The scheduler is not subscribed with a master, so no offers come.");
  if (x.suppressed) stands.push("Offers are suppressed, as nothing waited.");
  if (x.filtered) stands.push("Some agents' offers were turned down, and come again when more is free there.");
  if (x.silence && x.subscribed) stands.push(`None has come since offers were asked for last: ${x.silence}.`);
  if (x.quotasUnknown) stands.push(`The quotas are not known: ${x.quotasUnknown}.`);
  const agents = (x.agents ?? []).slice(0, 50);
  put(e,
    h("h2", {}, `Why ${x.waiting ?? 0} ${x.waiting === 1 ? "instance waits" : "instances wait"}`),
    h("p", {}, x.summary || (x.placeable ? `${x.placeable} would find room now.` : "")),
    h("p", { class: "quiet" }, x.lastOffer ? ["The last offer came ", when(x.lastOffer), " ago. "] : "No offer has come yet. ", stands.join(" ")),
    (x.quotas ?? []).map((q) => h("p", {}, `By quota ${quota(q)}.`)),
    agents.length ? h("div", { class: "scroll" }, against(agents)) : null,
    (x.agents ?? []).length > agents.length ? h("p", { class: "quiet" }, `${x.agents.length - agents.length} further agents are not shown.`) : null);
}

function against(agents) {
  const table = grid("What stands against an instance on each agent", [{ name: "Agent", head: true }, { name: "What stands against it" }, { name: "Offered", class: "n" }]);
  table.body.append(...agents.map((a) => table.row([a.hostname, obstacles(a), when(a.lastOffer)])));
  return table.element;
}

function obstacles(a) {
  if (!(a.obstacles ?? []).length) return "nothing: it would fit when offered again";
  return a.obstacles.map((o) => (o.need ? `${o.what}: needs ${o.need}, has ${o.have || "none"}` : o.have ? `${o.what}: is ${o.have}` : o.what)).join("; ");
}
