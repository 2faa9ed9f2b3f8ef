import { h, pill, external } from "./dom.js";
import { call } from "./api.js";
import { pagedTable } from "./table.js";
import { number } from "./words.js";

// leaving says why an agent is to be left, as the command line does.
function leaving(a) {
  const { operatorDrain, drain, maintenance } = a.leaving;
  if (operatorDrain) return "drained by an operator";
  const until = (t) => (t && new Date(t) > Date.now() ? ` until ${new Date(t).toLocaleString()}` : "");
  if (drain) return a.attempts ? `draining${until(drain.deadline)}` : "drained";
  return new Date(maintenance.start) > Date.now() ? `maintenance from ${new Date(maintenance.start).toLocaleString()}` : `in maintenance${until(maintenance.end)}`;
}

// agents shows the agents that tasks run on.
export function agents(page) {
  page.title("Agents");
  const table = pagedTable({
    caption: "Agents", label: "Filter agents", empty: "No task runs on any agent.",
    key: (r) => r.of.agentId,
    text: (r) => `${r.of.hostname} ${r.of.agentId} ${(r.of.jobs ?? []).join(" ")}`.toLowerCase(),
    columns: [
      { name: "Agent", head: true, draw: (r) => r.of.hostname },
      { name: "Standing", draw: (r) => pill(r.of.leaving ? { word: leaving(r.of), mood: "moving" } : r.of.unreachable ? { word: "unreachable", mood: "bad" } : { word: "reachable", mood: "good" }) },
      { name: "Instances", class: "n", draw: (r) => number(r.of.attempts) },
      { name: "Tasks", class: "n", draw: (r) => number(r.of.tasks) },
      { name: "Jobs", draw: (r) => (r.of.jobs ?? []).slice(0, 8).flatMap((j, i) => [i ? ", " : "", h("a", { href: `/jobs${j}` }, j)]).concat((r.of.jobs ?? []).length > 8 ? ` and ${r.of.jobs.length - 8} more` : []) },
      { name: "On the Mesos page", draw: (r) => (r.page ? external(r.page, r.of.agentId) : r.of.agentId) },
    ],
  });
  page.show(h("h1", {}, "Agents"), h("p", { class: "quiet" }, "Those that tasks of this scheduler run on."), table.element);

  const seen = new Map();
  const ask = async () => {
    try {
      const [{ agents: list }, { framework }] = await Promise.all([call("ListAgents", {}, page.signal), call("GetFramework", {}, page.signal)]);
      page.framework(framework);
      page.standing("good", "live");
      const master = framework.mesosFrameworksUrl?.replace(/#.*$/, "");
      table.set((list ?? []).map((a) => {
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
