import { stream } from "./api.js";

// Model is what a watch has brought: records, by job and slot. It is replaced as
// a whole whenever the watch begins again.
class Model {
  jobs = new Map();
  // instances holds, for each job, its instances by slot.
  instances = new Map();
  // attempts holds, for each instance, its attempts by number, as job#slot.
  attempts = new Map();
  // tallies holds, for each job, how many instances are in each phase, where the
  // watch was asked for that instead of them.
  tallies = new Map();
  framework = null;

  apply(r) {
    if (r.job) this.jobs.set(r.job.spec.id, r.job);
    else if (r.instance) this.slots(r.instance.jobId).set(r.instance.slot ?? 0, r.instance);
    else if (r.attempt) this.attemptsOf(r.attempt.jobId, r.attempt.slot ?? 0).set(Number(r.attempt.attempt), r.attempt);
    else if (r.instanceCounts) this.tallies.set(r.instanceCounts.jobId, Object.fromEntries((r.instanceCounts.phases ?? []).map((p) => [p.phase, p.count])));
    else if (r.framework) this.framework = r.framework;
    else if (r.jobRemoved) {
      this.tallies.delete(r.jobRemoved);
      this.jobs.delete(r.jobRemoved);
      this.instances.delete(r.jobRemoved);
      for (const key of this.attempts.keys()) if (key.startsWith(r.jobRemoved + "#")) this.attempts.delete(key);
    } else if (r.instanceRemoved) {
      this.slots(r.instanceRemoved.jobId).delete(r.instanceRemoved.slot ?? 0);
      this.attempts.delete(`${r.instanceRemoved.jobId}#${r.instanceRemoved.slot ?? 0}`);
    }
  }

  slots(job) {
    let m = this.instances.get(job);
    if (!m) this.instances.set(job, (m = new Map()));
    return m;
  }

  attemptsOf(job, slot) {
    const key = `${job}#${slot}`;
    let m = this.attempts.get(key);
    if (!m) this.attempts.set(key, (m = new Map()));
    return m;
  }

  // newest returns an instance's latest attempt.
  newest(job, slot) {
    let found;
    for (const a of this.attempts.get(`${job}#${slot}`)?.values() ?? []) {
      if (!found || Number(a.attempt) > Number(found.attempt)) found = a;
    }
    return found;
  }

  // counts returns how many of a job's instances are in each phase.
  counts(job) {
    if (this.tallies.has(job)) return this.tallies.get(job);
    const counts = {};
    for (const i of this.instances.get(job)?.values() ?? []) counts[i.phase] = (counts[i.phase] ?? 0) + 1;
    return counts;
  }
}

// drawEvery is the least time between two drawings, in milliseconds.
const drawEvery = 150;

// A page that nobody has looked at for so long, in milliseconds, lets go of its
// watch, and takes it up again when somebody does: a browser has but six
// connections for all its tabs of one server.
const unseen = 20_000;

// seen is settled while somebody may be looking at the page.
function seen(signal) {
  if (!document.hidden || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve);
  });
}

// whileSeen returns a signal that is aborted when nobody has looked at the page
// for a while, with the given one, or by done.
function whileSeen(signal) {
  const gone = new AbortController();
  const end = AbortSignal.any([signal, gone.signal]);
  let timer = null;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => gone.abort(), unseen);
  };
  document.addEventListener("visibilitychange", look, { signal: end });
  look();
  return { looking: end, done: () => gone.abort() };
}

// watch shows what is and then what changes, until the signal is aborted: show
// is called with the model, not more often than every drawEvery. When the watch
// fails it begins again, and standing hears of both.
export async function watch(request, { signal, show, standing }) {
  let wait = 500;
  while (!signal.aborted) {
    await seen(signal);
    const { looking, done } = whileSeen(signal);
    let model = new Model();
    let complete = false;
    let timer = null;
    const draw = () => {
      timer = null;
      if (!signal.aborted) show(model);
    };
    try {
      for await (const change of stream("Watch", request, looking)) {
        model.apply(change);
        if (change.snapshotEnd) {
          complete = true;
          wait = 500;
          standing("good", "live");
          draw();
        } else if (complete && timer === null) {
          timer = setTimeout(draw, drawEvery);
        }
      }
    } catch (err) {
      if (signal.aborted) return;
      if (!looking.aborted) standing("bad", `not connected: ${err.message}`);
    } finally {
      done();
      clearTimeout(timer);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(2 * wait, 10_000);
  }
}
