import { grid, h, put, pill } from "./dom.js";
import { stream } from "./api.js";
import { state, taskState, health, why, exit } from "./words.js";

// most is how many events stay on the page.
const most = 500;

// lines puts a change into words: one for each thing that it says.
function lines(r) {
  if (r.job) {
    const id = r.job.spec.id;
    return [{ what: id, href: `/jobs${id}`, state: state(r.job.phase), more: `version ${r.job.version}${r.job.phaseReason ? ` · ${r.job.phaseReason}` : ""}` }];
  }
  if (r.instance) {
    const i = r.instance;
    return [{ what: `${i.jobId} instance ${i.slot ?? 0}`, href: `/jobs${i.jobId}`, state: state(i.phase), more: i.phaseReason ?? "" }];
  }
  if (r.attempt) {
    return (r.attempt.tasks ?? []).map((t) => ({ what: t.taskId, href: `/tasks/${t.taskId}`, state: state(taskState(t)),
      more: [health(t), exit(t), why(t), `on ${r.attempt.hostname}`].filter(Boolean).join(" · ") }));
  }
  if (r.framework) {
    const f = r.framework;
    return [{ what: "framework", state: f.subscribed ? { word: "subscribed", mood: "good" } : { word: "not subscribed", mood: "bad" },
      more: f.subscribed ? `with ${f.master}${f.suppressed ? " · offers suppressed" : ""}` : f.problem ?? "" }];
  }
  if (r.jobRemoved) return [{ what: r.jobRemoved, state: { word: "removed", mood: "neutral" }, more: "" }];
  if (r.instanceRemoved) {
    return [{ what: `${r.instanceRemoved.jobId} instance ${r.instanceRemoved.slot ?? 0}`, href: `/jobs${r.instanceRemoved.jobId}`, state: { word: "removed", mood: "neutral" }, more: "" }];
  }
  return [];
}

// events shows what has happened lately, the newest first.
export function events(page) {
  page.title("Events");
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: toggle }, "Pause");
  const note = h("p", { class: "quiet", role: "status" });
  const nothing = h("p", { class: "empty" }, "Nothing has happened yet.");
  const { element: table, body, row } = grid("Events, the newest first",
    [{ name: "Time", class: "n" }, { name: "What", head: true }, { name: "State" }, { name: "More", class: "why" }], { class: "events", hidden: true });
  page.show(h("div", { class: "toolbar" }, h("h1", {}, "Events"), pause), note,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" }, table), nothing);

  let paused = false;
  let waiting = [];
  let timer = null;
  // known are the words last shown of each thing, since a record of several
  // tasks comes again when one of them changes.
  const known = new Map();

  function toggle() {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    put(pause, paused ? "Go on" : "Pause");
    if (!paused) draw();
    else put(note, "Paused: what happens is kept, and shown when you go on.");
  }

  function draw() {
    timer = null;
    if (paused) return;
    put(note, "");
    nothing.hidden = body.childElementCount + waiting.length > 0;
    table.hidden = !nothing.hidden;
    const rows = waiting.slice(-most).reverse().map((l) => row(
      [l.time ? new Date(l.time).toLocaleTimeString() : "", l.href ? h("a", { href: l.href }, l.what) : l.what, pill(l.state), l.more],
      { title: `event ${l.sequence}` }));
    waiting = [];
    body.prepend(...rows);
    while (body.childElementCount > most) body.lastElementChild.remove();
  }

  page.ask();
  (async () => {
    let since = "0";
    let wait = 500;
    while (!page.signal.aborted) {
      try {
        // Several events may say the same in words, so that more are asked for than
        // are shown.
        for await (const r of stream("Watch", { since, latest: 2 * most }, page.signal)) {
          since = r.sequence ?? since;
          if (r.snapshotEnd) {
            page.standing("good", "live");
            wait = 500;
          }
          for (const l of lines(r)) {
            const words = `${l.state.word} ${l.more}`;
            if (known.get(l.what) === words) continue;
            if (known.size > 50_000) known.clear();
            known.set(l.what, words);
            waiting.push({ ...l, time: r.time, sequence: r.sequence });
          }
          if (waiting.length > 2 * most) waiting = waiting.slice(-most);
          timer ??= setTimeout(draw, 150);
        }
      } catch (err) {
        if (page.signal.aborted) return;
        page.standing("bad", `not connected: ${err.message}`);
        if (err.code === "out_of_range") {
          since = "0";
          put(note, "The scheduler has started anew; what happened between is not shown.");
        }
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(2 * wait, 10_000);
    }
  })();
}
