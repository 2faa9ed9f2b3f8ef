// Records in words, as package present has them on the command line.

const moods = {
  JOB_PHASE_RUNNING: "good", JOB_PHASE_FINISHED: "good", JOB_PHASE_FAILED: "bad",
  JOB_PHASE_PENDING: "moving", JOB_PHASE_STOPPING: "moving",
  INSTANCE_PHASE_RUNNING: "good", INSTANCE_PHASE_FINISHED: "good", INSTANCE_PHASE_FAILED: "bad",
  INSTANCE_PHASE_UNREACHABLE: "bad", INSTANCE_PHASE_CRASH_LOOPING: "bad", INSTANCE_PHASE_WAITING: "moving",
  INSTANCE_PHASE_BACKOFF: "moving", INSTANCE_PHASE_LAUNCHING: "moving", INSTANCE_PHASE_STOPPING: "moving",
  TASK_RUNNING: "good", TASK_FINISHED: "good", TASK_STARTING: "moving", TASK_STAGING: "moving", TASK_KILLING: "moving",
  TASK_FAILED: "bad", TASK_LOST: "bad", TASK_ERROR: "bad", TASK_DROPPED: "bad", TASK_UNREACHABLE: "bad",
  TASK_GONE: "bad", TASK_GONE_BY_OPERATOR: "bad", TASK_UNKNOWN: "bad",
  UPDATE_PHASE_DONE: "good", UPDATE_PHASE_FAILED: "bad", UPDATE_PHASE_ROLLING: "moving", UPDATE_PHASE_CANARY: "moving",
};

// state returns the word for a phase or state, and how to feel about it.
export function state(name = "") {
  const word = name.replace(/^(JOB_PHASE|INSTANCE_PHASE|UPDATE_PHASE|TASK)_/, "").replaceAll("_", " ").toLowerCase();
  return { name, word: word || "unknown", mood: moods[name] ?? "neutral" };
}

// instancePhases in the order in which they are shown.
export const instancePhases = [
  "RUNNING", "FINISHED", "LAUNCHING", "WAITING", "BACKOFF", "STOPPING", "STOPPED", "UNREACHABLE", "CRASH_LOOPING", "FAILED",
].map((p) => `INSTANCE_PHASE_${p}`);

export const jobType = (spec) => (spec.type ?? "").replace("JOB_TYPE_", "").toLowerCase();

// A task's state is TASK_STARTING, which is 0, when none is told.
export const taskState = (t) => t.state ?? "TASK_STARTING";

const terminal = new Set(["TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED",
  "TASK_GONE", "TASK_GONE_BY_OPERATOR"]);
export const ended = (t) => terminal.has(taskState(t));

// health is what the checks of a running task found last, and how often a task's
// workload was started again in place.
export function health(t) {
  const words = [];
  if (t.healthy != null && !ended(t)) words.push(t.healthy ? "healthy" : "unhealthy");
  if (t.ready != null && !ended(t)) words.push(t.ready ? "ready" : "not ready");
  const n = t.report?.restarts ?? 0;
  if (n) words.push(n === 1 ? "1 restart" : `${n} restarts`);
  return words.join(", ");
}

export const healthMood = (t) => (t.healthy === false ? "bad" : t.ready === false ? "moving" : "good");

// why is the reason and the message of a task's latest status, where they say
// more than its state.
export function why(t) {
  const { mood } = state(taskState(t));
  if (taskState(t) === "TASK_FINISHED") return "";
  if (!t.reason || t.reason === "COMMAND_EXECUTOR_FAILED" || mood === "good") return t.message ?? "";
  return t.message ? `${t.reason}: ${t.message}` : t.reason;
}

const signals = { 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
  11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM" };

export function exit(t) {
  const r = t.report;
  if (r?.exitCode != null) return `exit ${r.exitCode}`;
  if (r?.signal != null) return (signals[r.signal] ?? `signal ${r.signal}`) + (r.coreDumped ? " (core dumped)" : "");
  return "";
}

export function bytes(n) {
  let v = Number(n) / 1024;
  let unit = 0;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  for (; v >= 1024 && unit < 3; unit++) v /= 1024;
  return `${v.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

export const mib = (n) => bytes((n ?? 0) * 1024 * 1024);

// seconds reads a duration such as "1.520s".
export const seconds = (d) => (d ? Number(d.slice(0, -1)) : null);

export function span(d) {
  const s = seconds(d);
  if (s == null) return "";
  if (s < 1) return `${Math.round(s * 1000)}ms`;
  if (s < 60) return `${s.toFixed(2)}s`;
  const m = Math.floor(s / 60);
  return m < 60 ? `${m}m ${Math.floor(s % 60)}s` : `${Math.floor(m / 60)}h ${m % 60}m`;
}

export const number = (n) => Number(n ?? 0).toLocaleString("en");

// amount is a number of processors or the like, without a tail of digits.
export const amount = (n) => String(Math.round((n ?? 0) * 1000) / 1000);

// quota says how much a role has of what its quota lets it have.
export const quota = (q) => `role ${q.role} has ${(q.limits ?? []).map((l) => `${amount(l.consumed)} of ${amount(l.limit)} ${l.resource}${l.consumed >= l.limit ? " (used up)" : l.missing ? ` (${amount(l.missing)} too little left)` : ""}`).join(", ")}`;

// taskName takes a task ID apart: payments_api.0.3.web.
export function taskName(id) {
  const parts = id.split(".");
  if (parts.length !== 4) return null;
  return { job: "/" + parts[0].replaceAll("_", "/"), slot: Number(parts[1]), attempt: Number(parts[2]), workload: parts[3] };
}

// plain leaves out what moves a terminal's cursor or changes its colours.
export const plain = (s) => s.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]/g, "");
