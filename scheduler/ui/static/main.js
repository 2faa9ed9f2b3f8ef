// The page: which view an address shows, and what all views share.

import { h, put, ago, until } from "./dom.js";
import { call } from "./api.js";
import { overview } from "./overview.js";
import { job } from "./job.js";
import { task } from "./task.js";
import { agents } from "./agents.js";
import { volumes } from "./volumes.js";
import { events } from "./events.js";
import { greet, login } from "./login.js";

const main = document.getElementById("main");
const live = document.getElementById("live");
const brand = document.getElementById("framework");

// standing says in the header how the page stands with its scheduler.
function standing(mood, words) {
  live.firstElementChild.className = `dot ${mood}`;
  put(live.lastElementChild, words);
}

// framework puts the framework's name where it is always seen.
function framework(f) {
  if (f) put(brand, f.name ?? "Tandem");
}

function viewOf(path) {
  if (path === "/") return [overview];
  if (path === "/agents") return [agents];
  if (path === "/volumes") return [volumes];
  if (path === "/events") return [events];
  if (path.startsWith("/jobs/")) return [job, decodeURIComponent(path.slice("/jobs".length))];
  if (path.startsWith("/tasks/")) return [task, decodeURIComponent(path.slice("/tasks/".length))];
  return [(page) => {
    page.title("Not found");
    page.show(h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "/" }, "All jobs")));
  }];
}

let leaving = null;

// identify asks who is looking at the page, in place of what it shows.
function identify() {
  go(false, [login, () => {
    greet(identify);
    go(true);
  }]);
}

function go(focus, [view, argument] = viewOf(location.pathname)) {
  leaving?.abort();
  leaving = new AbortController();
  for (const a of document.querySelectorAll("nav a")) {
    const here = a.getAttribute("href") === location.pathname || (a.getAttribute("href") === "/" && /^\/(jobs|tasks)\//.test(location.pathname));
    if (here) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  standing("moving", "connecting");
  const signal = leaving.signal;
  view({
    signal,
    standing,
    framework,
    // ask tells who the scheduler is to Mesos, which only a watch of everything
    // does by itself.
    ask: (then) => call("GetFramework", {}, signal).then((r) => {
      framework(r.framework);
      then?.(r.framework);
    }).catch(() => {}),
    title: (words) => { document.title = `${words} · Tandem`; },
    show: (...children) => main.replaceChildren(...children),
  }, argument);
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

// What a view was told on its way out is no reason to ask again.
document.addEventListener("unproven", () => {
  if (!document.querySelector("form.login")) identify();
});

document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a");
  if (!a || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.origin !== location.origin) return;
  if (a.hash && a.pathname === location.pathname) return;
  e.preventDefault();
  if (a.pathname !== location.pathname) {
    history.pushState(null, "", a.pathname);
    go(true);
  }
});
addEventListener("popstate", () => go(true));

// A page that is kept for the back button must not keep its connections: a
// browser has but six for one server.
addEventListener("pagehide", () => leaving?.abort());
addEventListener("pageshow", (e) => e.persisted && go(false));

// A slash goes to the filter, as on many pages.
document.addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
  const filter = [...document.querySelectorAll("[data-filter]")].find((e) => e.offsetParent);
  if (filter) {
    e.preventDefault();
    filter.focus();
  }
});

setInterval(() => {
  for (const t of document.querySelectorAll("time[data-ago]")) put(t, ago(Number(t.dataset.ago)));
  for (const t of document.querySelectorAll("time[data-due]")) put(t, until(Number(t.dataset.due)));
}, 1000);

go(false);
greet(identify).catch(() => {});
