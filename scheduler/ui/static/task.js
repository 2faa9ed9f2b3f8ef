import { grid, h, put, pill, when, facts, external } from "./dom.js";
import { watch } from "./model.js";
import { state, taskState, taskName, ended, health, healthMood, why, exit, bytes, mib, span, amount } from "./words.js";
import { logs } from "./logs.js";
import { usage as charts } from "./usage.js";

// task shows one task: what has become of it, what it used, and what it writes.
export function task(page, id) {
  page.title(id);
  const name = taskName(id);
  if (!name) {
    page.show(h("h1", {}, "There is no such task"), h("p", {}, h("a", { href: "/" }, "All jobs")));
    return;
  }
  const head = h("div", { class: "head" }, h("h1", {}, id));
  const reason = h("p", { class: "reason" });
  const about = h("div");
  const timeline = h("ol", { class: "timeline" });
  const usage = h("div");
  const others = h("div");
  const log = logs(id, page.signal);
  const now = charts(id, page.signal);
  page.show(
    h("nav", { "aria-label": "Where this is", class: "crumbs" }, h("a", { href: "/" }, "Jobs"), h("a", { href: `/jobs${name.job}` }, name.job)),
    head, reason, about,
    h("div", { class: "cards two" },
      h("section", { class: "card" }, h("h2", {}, "What has happened"), timeline),
      h("section", { class: "card" }, h("h2", {}, "Usage and limits"), usage)),
    now.element,
    log.element,
    h("section", {}, h("h2", {}, "Attempts of this instance"), others));

  let begun = false;
  let framework = null;
  let last = null;
  page.ask((f) => {
    framework = f;
    if (last) draw(last);
  });
  const draw = (model) => {
    last = model;
    const attempts = [...(model.attempts.get(`${name.job}#${name.slot}`)?.values() ?? [])].sort((a, b) => Number(b.attempt) - Number(a.attempt));
    const attempt = attempts.find((a) => Number(a.attempt) === name.attempt);
    const t = attempt?.tasks?.find((x) => x.taskId === id);
    if (!t) {
      put(reason, "There is no such task, or not any more: the latest attempts of each instance are kept.");
      drawOthers(others, attempts, name);
      return;
    }
    const job = model.jobs.get(name.job);
    const workload = job?.spec.workloads?.find((w) => w.name === name.workload);
    const s = state(taskState(t));
    put(head, h("h1", {}, id), pill(s, taskState(t)), health(t) ? pill({ word: health(t), mood: healthMood(t) }) : null);
    put(reason, why(t));
    put(about, facts([
      ["Job", h("a", { href: `/jobs${name.job}` }, name.job)],
      ["Workload", name.workload],
      ["Instance", `${name.slot}, attempt ${name.attempt}, version ${attempt.jobVersion}`],
      ["Agent", agentOf(attempt, framework)],
      ["Ports", Object.entries(t.ports ?? {}).sort().map(([n, p], i) => [i ? ", " : "", `${n} `, external(`http://${attempt.hostname}:${p}/`, `${attempt.hostname}:${p}`)])],
      ["Files", sandbox(attempt, t, framework)],
    ]));
    drawTimeline(timeline, attempt, t);
    now.run(["TASK_RUNNING", "TASK_KILLING"].includes(taskState(t)), workload);
    drawUsage(usage, t, workload, attempt.jobVersion === job?.version);
    drawOthers(others, attempts, name);
    if (!begun) {
      begun = true;
      log.begin(!ended(t));
    }
  };
  watch({ jobId: name.job }, { signal: page.signal, standing: page.standing, show: draw });
}

const mesosPage = (framework) => framework?.mesosFrameworksUrl?.replace(/#.*$/, "");

function agentOf(attempt, framework) {
  const master = mesosPage(framework);
  return master ? external(`${master}#/agents/${attempt.agentId}`, attempt.hostname) : attempt.hostname;
}

// sandbox is the task's directory on Mesos's own page.
function sandbox(attempt, t, framework) {
  const master = mesosPage(framework);
  if (!master) return null;
  const path = `/frameworks/${framework.frameworkId}/executors/${attempt.executorId}/runs/latest/tasks/${t.taskId}`;
  return external(`${master}#/agents/${attempt.agentId}/browse?path=${encodeURIComponent(path)}`, "Sandbox on the Mesos page");
}

function drawTimeline(e, attempt, t) {
  const s = state(taskState(t));
  const steps = [
    [attempt.created, "neutral", `launched on ${attempt.hostname}`, ""],
    [taskState(t) !== "TASK_RUNNING" && t.started, "good", "first seen running", ""],
    [attempt.running, "good", "all tasks of the instance ran", ""],
    [attempt.unreachable, "bad", "its agent could not be reached", ""],
    [t.updated, s.mood, `${taskState(t)}${health(t) ? `, ${health(t)}` : ""}${exit(t) ? `, ${exit(t)}` : ""}`,
      [t.reason, t.source && `said by the ${t.source.toLowerCase()}`, t.message].filter(Boolean).join(" · ")],
    [attempt.killReason && attempt.created, "neutral", "a kill was decided", attempt.killReason],
    [attempt.ended, "neutral", "the attempt was over", ""],
  ].filter(([at]) => at);
  steps.sort((a, b) => new Date(a[0]) - new Date(b[0]));
  put(e, ...steps.map(([at, mood, words, more]) => h("li", {},
    h("span", { class: `dot ${mood}`, "aria-hidden": "true" }),
    h("div", {}, h("strong", {}, words), more ? h("p", { class: "quiet" }, more) : null),
    h("span", { class: "quiet at", title: new Date(at).toLocaleString() }, new Date(at).toLocaleTimeString(), " · ", when(at)))));
}

function meter(name, used, limit, words) {
  const part = limit ? Math.min(1, used / limit) : 0;
  const m = h("div", { class: "meter", "aria-hidden": "true" }, h("span", { class: part > 0.9 ? "bad" : part > 0.75 ? "moving" : "good" }));
  m.firstElementChild.style.width = `${100 * part}%`;
  return h("div", { class: "used" }, h("span", {}, name), limit ? m : h("span"), h("span", { class: "n" }, words));
}

function drawUsage(e, t, w, current) {
  const u = t.report?.usage;
  const limits = w?.limits ?? {};
  const rows = [];
  if (u?.memoryPeakBytes) {
    const limit = Number(u.memoryLimitBytes ?? 0);
    rows.push(meter("Peak memory", Number(u.memoryPeakBytes), limit, limit ? `${bytes(u.memoryPeakBytes)} of ${bytes(limit)}` : bytes(u.memoryPeakBytes)));
  }
  if (u) {
    rows.push(meter("Processor time", 0, 0, span(u.cpuTime) || "0s"), meter("Wall time", 0, 0, span(u.wallTime)));
    if (u.throttledTime && u.throttledTime !== "0s") rows.push(meter("Held back by its limit", 0, 0, span(u.throttledTime)));
    if (Number(u.forksRefused ?? 0)) rows.push(meter("Not started at its limit of processes", 0, 0, `${u.forksRefused} (limit ${u.pidsLimit})`));
    if (Number(u.oomKills ?? 0)) rows.push(meter("Killed for want of memory", 0, 0, `${u.oomKills} ${u.oomKills === "1" ? "process" : "processes"}`));
  }
  put(e,
    u ? h("div", { class: "usage" }, rows) : h("p", { class: "quiet" }, "What it has used in all is reported when it has ended."),
    w ? facts([
      ["Processors", `${amount(w.resources?.cpus)}${limits.cpus != null ? `, at most ${amount(limits.cpus)}` : ", and what is idle"}`],
      ["Memory", `${mib(w.resources?.mem)}, killed at ${mib(limits.mem ?? w.resources?.mem)}${limits.memHigh != null ? `, slowed from ${mib(limits.memHigh)}` : ""}`],
      ["Swap", limits.swap != null ? mib(limits.swap) : ""],
      ["Disk", w.resources?.disk ? mib(w.resources.disk) : ""],
      ["Processes", limits.pids != null ? `at most ${limits.pids}` : ""],
      ["Open files", limits.nofile != null ? `at most ${limits.nofile}` : ""],
    ]) : null,
    w && !current ? h("p", { class: "quiet" }, "The limits are those of the job's newest version; this attempt ran an earlier one.") : null,
    (t.report?.warnings ?? []).map((x) => h("p", { class: "warning" }, `Warning: ${x}`)));
}

function drawOthers(e, attempts, name) {
  if (!attempts.length) return put(e, h("p", { class: "empty" }, "No attempt is kept."));
  const table = grid("Attempts", [{ name: "Attempt", class: "n", head: true }, { name: "Task" }, { name: "State" }, { name: "Agent" }, { name: "Launched", class: "n" }, { name: "Why", class: "why" }]);
  table.body.append(...attempts.map((a) => {
    const t = a.tasks?.find((x) => x.workload === name.workload) ?? {};
    const here = Number(a.attempt) === name.attempt;
    return table.row([a.attempt, here ? t.taskId : h("a", { href: `/tasks/${t.taskId}` }, t.taskId ?? ""), [pill(state(taskState(t))), " ", exit(t)], a.hostname, when(a.created), why(t)],
      { "aria-current": here ? "true" : null });
  }));
  put(e, h("div", { class: "scroll" }, table.element));
}
