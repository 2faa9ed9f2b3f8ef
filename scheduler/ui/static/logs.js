import { h, put } from "./dom.js";
import { stream } from "./api.js";
import { plain } from "./words.js";

// maxLines is how many lines stay on the page; the rest is in the sandbox.
const maxLines = 5000;

// logs shows what a task writes. begin starts reading, and follows when the task
// runs.
export function logs(task, signal) {
  let file = "stdout";
  let runs = false;
  let reading = null;
  const text = h("pre", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Output" });
  const note = h("p", { class: "quiet", role: "status" });
  const follow = h("input", { type: "checkbox", id: "follow", checked: true });
  const tabs = ["stdout", "stderr"].map((name) => h("button", { type: "button", "aria-pressed": String(name === file), onclick: () => choose(name) }, name));
  const element = h("section", {},
    h("div", { class: "toolbar" }, h("h2", {}, "Output"),
      h("div", { class: "tools" }, h("div", { class: "choice", role: "group", "aria-label": "File" }, tabs),
        h("label", { for: "follow" }, follow, " keep the end in view"))),
    text, note);

  function choose(name) {
    file = name;
    tabs.forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === name)));
    start();
  }

  let lines = [];
  function add(s) {
    if (!s) return;
    const atEnd = follow.checked;
    const span = h("span", {}, s);
    span.lineCount = s.split("\n").length - 1;
    lines.push(span);
    text.append(span);
    let total = lines.reduce((n, x) => n + x.lineCount, 0);
    while (total > maxLines && lines.length > 1) {
      total -= lines[0].lineCount;
      lines.shift().remove();
    }
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  async function start() {
    reading?.abort();
    reading = new AbortController();
    const mine = reading;
    lines = [];
    put(text);
    put(note, "reading from the agent");
    let from = task;
    let decoder = new TextDecoder();
    try {
      for await (const piece of stream("ReadLog", { taskId: task, path: file, tailLines: 1000, follow: runs }, AbortSignal.any([signal, mine.signal]))) {
        put(note, runs ? "following" : "");
        if (piece.note) {
          put(note, piece.note);
          continue;
        }
        if (!piece.taskId) continue; // the call was heard
        if (piece.taskId !== from) {
          from = piece.taskId;
          decoder = new TextDecoder();
          add(`\n—— now task ${from} ——\n`);
        }
        add(plain(decoder.decode(Uint8Array.from(atob(piece.data ?? ""), (c) => c.charCodeAt(0)), { stream: true })));
      }
      put(note, text.childElementCount ? "That is all: the task has ended." : "It has written nothing.");
    } catch (err) {
      if (!mine.signal.aborted && !signal.aborted) put(note, err.message);
    }
  }

  return {
    element,
    begin(following) {
      runs = following;
      start();
    },
  };
}
