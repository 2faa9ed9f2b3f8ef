import { h, pill, external } from "./dom.js";
import { call } from "./api.js";
import { pagedTable } from "./table.js";
import { amount, mib, number } from "./words.js";

// standing is how an agent stands. Of one that nothing runs on no more is known than that
// it has offered.
function standing(a) {
  if (!a.standing) return { word: "offered", mood: "neutral" };
  return { word: a.standing, mood: a.leaving ? "moving" : a.unreachable ? "bad" : "good" };
}

// offer says what an agent offered last, and what became of it.
function offer(o, several) {
  const r = o.resources ?? {};
  return `${new Date(o.received).toLocaleTimeString()}, ${several ? `role ${o.role}, ` : ""}${amount(r.cpus)} cpus, ${mib(r.mem)} memory; ${o.outcome}`;
}

// merged are the agents that tasks run on or that have offered something, each with its
// offers.
function merged(agents = [], offers = []) {
  const all = new Map(agents.map((a) => [a.agentId, { ...a, offers: [] }]));
  for (const o of offers) {
    if (!all.has(o.agentId)) all.set(o.agentId, { agentId: o.agentId, hostname: o.hostname, offers: [] });
    all.get(o.agentId).offers.push(o);
  }
  return [...all.values()].sort((a, b) => (a.hostname < b.hostname ? -1 : a.hostname > b.hostname ? 1 : 0));
}

// agents shows the agents that tasks run on, and those that have offered something.
export function agents(page) {
  page.title("Agents");
  const table = pagedTable({
    many: "agents", caption: "Agents", label: "Filter agents", empty: "No task runs on any agent, and none has offered anything.",
    key: (r) => r.of.agentId,
    text: (r) => `${r.of.hostname} ${r.of.agentId} ${(r.of.jobs ?? []).join(" ")}`.toLowerCase(),
    columns: [
      { name: "Agent", head: true, draw: (r) => r.of.hostname },
      { name: "Standing", draw: (r) => pill(standing(r.of)) },
      { name: "Instances", class: "n", draw: (r) => number(r.of.attempts) },
      { name: "Tasks", class: "n", draw: (r) => number(r.of.tasks) },
      { name: "Jobs", draw: (r) => (r.of.jobs ?? []).slice(0, 8).flatMap((j, i) => [i ? ", " : "", h("a", { href: `/jobs${j}` }, j)]).concat((r.of.jobs ?? []).length > 8 ? ` and ${r.of.jobs.length - 8} more` : []) },
      { name: "Last offer", draw: (r) => r.of.offers.flatMap((o, i, all) => [i ? h("br") : "", offer(o, all.length > 1)]) },
      { name: "On the Mesos page", draw: (r) => (r.page ? external(r.page, r.of.agentId) : r.of.agentId) },
    ],
  });
  page.show(h("h1", {}, "Agents"), h("p", { class: "quiet" }, "Those that tasks of this scheduler run on, and those that have offered something since it was started. While nothing waits it asks for no offers."), table.element);

  const seen = new Map();
  const ask = async () => {
    try {
      const [{ agents: list }, { offers }, { framework }] = await Promise.all([
        call("ListAgents", {}, page.signal),
        // While nobody leads there is nobody to ask.
        call("ListOffers", {}, page.signal).catch(() => ({})),
        call("GetFramework", {}, page.signal),
      ]);
      page.framework(framework);
      page.standing("good", "live");
      const master = framework.mesosFrameworksUrl?.replace(/#.*$/, "");
      table.set(merged(list, offers).map((a) => {
        // Answers are new each time; rows that say the same stay as they are.
        const words = JSON.stringify(a);
        let row = seen.get(a.agentId);
        if (row?.words !== words) seen.set(a.agentId, (row = { words, of: a, page: master && `${master}#/agents/${a.agentId}` }));
        return row;
      }));
    } catch (err) {
      if (!page.signal.aborted) page.standing("bad", `not connected: ${err.message}`);
    }
  };
  ask();
  const timer = setInterval(ask, 2000);
  page.signal.addEventListener("abort", () => clearInterval(timer));
}
