import { h, put, pill, bar, when, external } from "./dom.js";
import { call } from "./api.js";
import { watch } from "./model.js";
import { pagedTable } from "./table.js";
import { state, instancePhases, jobType, mib, amount, number, quota, span } from "./words.js";

// holding are the phases in which an instance has resources.
const holding = new Set(["RUNNING", "LAUNCHING", "STOPPING", "UNREACHABLE"].map((p) => `INSTANCE_PHASE_${p}`));

// asked is what Mesos allocates for one instance of a job.
function asked(spec) {
  const sum = { cpus: 0, mem: 0, disk: 0, gpus: 0 };
  for (const r of [spec.executor?.resources, ...(spec.workloads ?? []).map((w) => w.resources)]) {
    for (const k of Object.keys(sum)) sum[k] += r?.[k] ?? 0;
  }
  return sum;
}

function card(title) {
  const body = h("div");
  return { element: h("section", { class: "card" }, h("h2", {}, title), body), body };
}

// overview shows the framework, and every job.
export function overview(page) {
  page.title("Jobs");
  const mesos = card("Mesos");
  const instances = card("Instances");
  const resources = card("In use");
  // Beside what is used, which the model tells, stands what was offered.
  const used = h("div"), offered = h("div"), quotas = h("div");
  resources.body.append(used, quotas, offered);
  const neighbour = card("Offers");
  const jobs = pagedTable({
    many: "jobs", title: "Jobs", caption: "Jobs", label: "Filter jobs", empty: "No job yet. tandem run FILE submits one.",
    key: (r) => r.of.spec.id,
    text: (r) => `${r.of.spec.id} ${jobType(r.of.spec)} ${state(r.of.phase).word} ${r.of.phaseReason ?? ""}`.toLowerCase(),
    columns: [
      { name: "Job", head: true, draw: (r) => h("a", { href: `/jobs${r.of.spec.id}` }, r.of.spec.id) },
      { name: "Type", draw: (r) => jobType(r.of.spec) },
      { name: "Phase", draw: (r) => pill(state(r.of.phase)) },
      { name: "Instances", class: "wide", draw: (r) => r.instances },
      { name: "Version", class: "n", draw: (r) => String(r.of.version ?? "") },
      { name: "Changed", class: "n", draw: (r) => when(r.of.updated) },
      { name: "Why", class: "why", draw: (r) => r.of.phaseReason ?? "" },
    ],
  });
  page.show(h("h1", { class: "unseen" }, "Overview"),
    h("div", { class: "cards" }, mesos.element, instances.element, resources.element, neighbour.element),
    h("section", {}, jobs.element));

  watch({ countInstances: true }, { signal: page.signal, standing: page.standing, show(model) {
    page.framework(model.framework);
    drawMesos(mesos.body, model.framework);
    drawInstances(instances.body, model);
    drawResources(used, model);
    const runs = runsOf(model);
    jobs.set([...model.jobs.values()].filter((j) => !over(j) || !model.jobs.has(j.runOf))
      .sort((a, b) => (a.spec.id < b.spec.id ? -1 : 1)).map((j) => row(model, j, runs.get(j.spec.id))));
  } });

  // The figures grow with every offer, and so are asked for and not told.
  // For the quotas the master is asked, and so more rarely.
  let turn = 0;
  const figures = async () => {
    const withQuotas = turn++ % 10 === 0;
    const answer = await call("GetFramework", { withQuotas }, page.signal);
    drawNeighbour(neighbour.body, answer.framework);
    drawOffered(offered, answer.framework);
    if (withQuotas) drawQuotas(quotas, answer);
  };
  const ask = () => figures().catch(() => {});
  ask();
  const timer = setInterval(ask, 3000);
  page.signal.addEventListener("abort", () => clearInterval(timer));
}

// rows remembers the last row of each job, which stays until the job or the
// phases of its instances change.
const rows = new Map();

function row(model, job, runs) {
  const counts = model.counts(job.spec.id);
  const tally = runs ? Object.entries(runs).flat().join() : instancePhases.map((p) => counts[p] ?? 0).join();
  const last = rows.get(job.spec.id);
  if (last && last.job === job && last.tally === tally) return last.row;
  const fresh = { of: { ...job, version: job.version }, instances: job.spec.type === "JOB_TYPE_CRON" ? barOfRuns(runs ?? {}) : instancesOf(job, counts) };
  rows.set(job.spec.id, { job, tally, row: fresh });
  return fresh;
}

// over says of a job that is a run of another that nothing will come of it any more:
// the page of the other one has it.
const over = (job) => job.runOf && ["JOB_PHASE_FINISHED", "JOB_PHASE_FAILED", "JOB_PHASE_STOPPED"].includes(job.phase);

// runsOf counts the runs of each cron job by their phases.
function runsOf(model) {
  const all = new Map();
  for (const job of model.jobs.values()) {
    if (!job.runOf) continue;
    if (!all.has(job.runOf)) all.set(job.runOf, {});
    const counts = all.get(job.runOf);
    counts[job.phase] = (counts[job.phase] ?? 0) + 1;
  }
  return all;
}

function barOfRuns(counts) {
  const parts = ["FINISHED", "RUNNING", "PENDING", "STOPPING", "STOPPED", "FAILED"].map((p) => `JOB_PHASE_${p}`).map((p) => ({ ...state(p), count: counts[p] ?? 0 }));
  const total = parts.reduce((sum, p) => sum + p.count, 0);
  const words = parts.filter((p) => p.count).map((p) => `${p.count} ${p.word}`).join(", ") || "no runs";
  return [bar(parts, total, words), h("span", { class: "of" }, total === 1 ? "1 run" : `${number(total)} runs`)];
}

function instancesOf(job, counts) {
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const want = job.spec.instances ?? total;
  const well = (counts.INSTANCE_PHASE_RUNNING ?? 0) + (counts.INSTANCE_PHASE_FINISHED ?? 0);
  const parts = instancePhases.map((p) => ({ ...state(p), count: counts[p] ?? 0 }));
  const words = parts.filter((p) => p.count).map((p) => `${p.count} ${p.word}`).join(", ") || "none";
  return [bar(parts, Math.max(total, want), words), h("span", { class: "of" }, `${number(well)}/${number(want)}`)];
}

function drawMesos(e, f) {
  if (!f) return;
  if (!f.subscribed) {
    put(e, h("p", { class: "big bad-text" }, "not subscribed"), h("p", { class: "quiet" }, f.problem ?? ""));
    return;
  }
  put(e,
    h("p", { class: "big" }, f.master),
    h("p", { class: "quiet" }, "subscribed for ", when(f.subscribedSince), " · ", (f.roles ?? []).length > 1 ? "roles " : "role ", (f.roles ?? []).join(", "),
      f.principal ? ` · principal ${f.principal}` : ""),
    h("p", { class: "quiet id" }, f.frameworkId),
    f.mesosFrameworksUrl ? h("p", {}, external(f.mesosFrameworksUrl, "Frameworks of this Mesos")) : null);
}

function drawInstances(e, model) {
  const counts = {};
  let total = 0;
  for (const id of model.jobs.keys()) {
    for (const [phase, n] of Object.entries(model.counts(id))) {
      counts[phase] = (counts[phase] ?? 0) + n;
      total += n;
    }
  }
  const parts = instancePhases.map((p) => ({ ...state(p), count: counts[p] ?? 0 })).filter((p) => p.count);
  put(e,
    h("p", { class: "big" }, number(counts.INSTANCE_PHASE_RUNNING), h("small", {}, ` of ${number(total)} running`)),
    bar(parts, total, parts.map((p) => `${p.count} ${p.word}`).join(", ") || "none"),
    h("p", { class: "quiet" }, parts.filter((p) => p.name !== "INSTANCE_PHASE_RUNNING").map((p) => `${number(p.count)} ${p.word}`).join(" · ")));
}

function drawResources(e, model) {
  const sum = { cpus: 0, mem: 0, disk: 0, gpus: 0 };
  for (const [id, job] of model.jobs) {
    const each = asked(job.spec);
    let n = 0;
    for (const [phase, count] of Object.entries(model.counts(id))) if (holding.has(phase)) n += count;
    for (const k of Object.keys(sum)) sum[k] += n * each[k];
  }
  put(e,
    h("p", { class: "big" }, amount(sum.cpus), h("small", {}, " processors")),
    h("p", {}, mib(sum.mem), h("span", { class: "quiet" }, " memory")),
    h("p", {}, mib(sum.disk), h("span", { class: "quiet" }, " disk")),
    sum.gpus ? h("p", {}, amount(sum.gpus), h("span", { class: "quiet" }, " graphics processors")) : null);
}

function drawQuotas(e, answer) {
  put(e, (answer.quotas ?? []).map((q) => h("p", { class: "quiet" }, `quota: ${quota(q)}`)),
    answer.quotasUnknown ? h("p", { class: "quiet" }, `quota not known: ${answer.quotasUnknown}`) : null);
}

function drawOffered(e, f) {
  const n = f.agentsOffered ?? 0;
  const r = f.lastOffered ?? {};
  put(e, n === 0 ? null : h("p", { class: "quiet" }, `last offered: ${amount(r.cpus)} processors · ${mib(r.mem)} memory · ${mib(r.disk)} disk`,
    r.gpus ? ` · ${amount(r.gpus)} graphics processors` : "", ` on ${number(n)} ${n === 1 ? "agent" : "agents"}`));
}

function drawNeighbour(e, f) {
  const [word, more] = !f.subscribed ? ["none", "None come while the scheduler is not subscribed."]
    : f.suppressed ? ["suppressed", "Nothing waits, so none are asked for."]
      : ["open", "They are asked for, and answered at once."];
  put(e, h("p", { class: "big" }, word), h("p", { class: "quiet" }, more),
    h("p", { class: "quiet" }, `${number(f.offersReceived)} received · ${number(f.offersUsed)} used · ${number(f.offersDeclined)} declined`),
    h("p", { class: "quiet" }, `${number(f.revives)} revives · ${number(f.suppresses)} suppresses`),
    f.offersReceived ? h("p", { class: "quiet" }, `held for ${span(`${f.offerSeconds ?? 0}s`)} in all, none longer than ${span(`${f.longestOfferSeconds ?? 0}s`)}`) : null);
}
