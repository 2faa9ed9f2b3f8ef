import { h, pill } from "./dom.js";
import { call } from "./api.js";
import { pagedTable } from "./table.js";
import { mib, number } from "./words.js";

const moods = { ready: "good", lost: "bad" };

function stateOf(v) {
  const word = v.state.replace("VOLUME_STATE_", "").toLowerCase();
  return [pill({ word, mood: moods[word] ?? "moving" }), v.reason ? h("span", { class: "quiet" }, ` ${v.reason}`) : ""];
}

// volumes shows the persistent volumes that instances have, or had.
export function volumes(page) {
  page.title("Volumes");
  const table = pagedTable({
    many: "volumes", caption: "Volumes", label: "Filter volumes", empty: "There are no volumes.",
    key: (r) => r.of.id,
    text: (r) => `${r.of.state.replace("VOLUME_STATE_", "")} ${r.of.jobId} ${r.of.name} ${r.of.hostname} ${r.of.id}`.toLowerCase(),
    columns: [
      { name: "Volume", head: true, draw: (r) => r.of.name },
      { name: "Job", draw: (r) => h("a", { href: `/jobs${r.of.jobId}` }, r.of.jobId) },
      { name: "Instance", class: "n", draw: (r) => number(r.of.slot ?? 0) },
      { name: "Size", class: "n", draw: (r) => mib(r.of.size) },
      { name: "Disk", draw: (r) => (r.of.disk ?? "VOLUME_DISK_ROOT").replace("VOLUME_DISK_", "").toLowerCase() },
      { name: "Agent", draw: (r) => r.of.hostname },
      { name: "State", draw: (r) => stateOf(r.of) },
      { name: "ID", draw: (r) => r.of.id },
    ],
  });
  page.show(h("h1", {}, "Volumes"), h("p", { class: "quiet" }, "They outlive their instances and jobs, until they are purged (tandem volume purge ID)."), table.element);

  const seen = new Map();
  const ask = async () => {
    try {
      const [{ volumes: list }, { framework }] = await Promise.all([call("ListVolumes", {}, page.signal), call("GetFramework", {}, page.signal)]);
      page.framework(framework);
      page.standing("good", "live");
      table.set((list ?? []).map((v) => {
        const words = JSON.stringify(v);
        let row = seen.get(v.id);
        if (row?.words !== words) seen.set(v.id, (row = { words, of: v }));
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
