package master

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// buildInfo is what a master says of its own making.
const (
	buildDate = "2020-11-24 00:00:00"
	buildTime = 1606176000.0
)

// show serves an endpoint with JSON that is written in the loop. As in a real
// master, any method will do.
func (m *Master) show(write func(v view, query url.Values)) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		query := r.URL.Query()
		var text []byte
		err := m.do(func() error {
			v := view{new(wire.Writer), m.core, m.viewer(r)}
			write(v, query)
			text = v.Bytes()
			return nil
		})
		if err != nil {
			return wire.Unavailable(err.Error())
		}
		wire.WriteJSON(w, r, text)
		return nil
	}
}

// serveTeardown serves /teardown, by which an operator removes a framework.
func (m *Master) serveTeardown(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.PostedForm(r, "frameworkId")
	if err != nil {
		return err
	}
	err = m.do(func() error {
		return m.core.teardown(frameworkID(values["frameworkId"]), m.viewer(r))
	})
	if err != nil {
		return err
	}
	return empty(w, r)
}

// selects tells whether an ID passes a query's parameter, which may be missing.
func selects(query url.Values, parameter, id string) bool {
	return !query.Has(parameter) || query.Get(parameter) == id
}

func showVersion(v view, _ url.Values) {
	v.BeginObject()
	v.text("build_date", buildDate)
	v.double("build_time", buildTime)
	v.text("build_user", "")
	v.text("version", v.core.options.Version)
	v.EndObject()
}

func showFrameworks(v view, query url.Values) {
	v.BeginObject()
	v.frameworks(query)
	v.list("unregistered_frameworks", func() {})
	v.EndObject()
}

func (v view) frameworks(query url.Values) {
	v.list("frameworks", func() {
		for _, f := range v.viewer.frameworks(v.core.sortedFrameworks()) {
			if selects(query, "framework_id", string(f.id)) {
				v.framework(f)
			}
		}
	})
	v.list("completed_frameworks", func() {
		for _, f := range v.viewer.frameworks(v.core.completed) {
			if selects(query, "framework_id", string(f.id)) {
				v.framework(f)
			}
		}
	})
}

func showSlaves(v view, query url.Values) {
	v.BeginObject()
	v.list("slaves", func() {
		for _, a := range v.core.sortedAgents() {
			if selects(query, "slave_id", string(a.id)) {
				v.agentInFull(a)
			}
		}
	})
	v.list("recovered_slaves", v.recoveredAgents)
	v.EndObject()
}

// showTasks lists tasks by their first status, the newest first unless order
// is asc.
func showTasks(v view, query url.Values) {
	var tasks []*task
	for _, f := range v.viewer.frameworks(slices.Concat(v.core.sortedFrameworks(), v.core.completed)) {
		if !selects(query, "framework_id", string(f.id)) {
			continue
		}
		for _, t := range v.viewer.tasks(f, f.allTasks()) {
			if selects(query, "task_id", string(t.id())) {
				tasks = append(tasks, t)
			}
		}
	}
	slices.SortStableFunc(tasks, func(a, b *task) int {
		return cmp.Or(cmp.Compare(a.firstStatus(), b.firstStatus()), a.seq-b.seq)
	})
	if query.Get("order") != "asc" {
		slices.Reverse(tasks)
	}
	offset := min(number(query, "offset", 0), len(tasks))
	end := min(offset+number(query, "limit", 100), len(tasks))
	v.BeginObject()
	v.tasks("tasks", tasks[offset:end])
	v.EndObject()
}

// firstStatus is when a task's first status was made, or 0.
func (t *task) firstStatus() float64 {
	if len(t.info.Statuses) == 0 {
		return 0
	}
	return t.info.Statuses[0].GetTimestamp()
}

func number(query url.Values, parameter string, otherwise int) int {
	if n, err := strconv.Atoi(query.Get(parameter)); err == nil && n >= 0 && n < 1<<30 {
		return n
	}
	return otherwise
}

func showState(v view, _ url.Values) {
	c := v.core
	v.BeginObject()
	v.text("version", c.options.Version)
	v.text("build_date", buildDate)
	v.double("build_time", buildTime)
	v.text("build_user", "")
	v.double("start_time", timestamp(c.started))
	v.double("elected_time", timestamp(c.started))
	v.text("id", c.info.ID)
	v.text("pid", c.info.GetPID())
	v.text("hostname", c.info.GetHostname())
	v.list("capabilities", func() {
		for _, name := range []string{"AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"} {
			v.String(name)
		}
	})
	active := 0
	for _, a := range c.agents {
		if c.usable(a) {
			active++
		}
	}
	v.double("activated_slaves", float64(active))
	v.double("deactivated_slaves", float64(len(c.agents)-active))
	v.double("unreachable_slaves", float64(len(c.unreachable)))
	v.domain(c.info.Domain)
	v.text("leader", c.info.GetPID())
	v.Key("leader_info")
	v.BeginObject()
	v.text("id", c.info.ID)
	v.text("pid", c.info.GetPID())
	v.Key("port")
	v.Int(int64(c.info.GetPort()))
	v.text("hostname", c.info.GetHostname())
	v.domain(c.info.Domain)
	v.EndObject()
	if v.viewer.seesFlags() {
		v.Key("flags")
		v.flags()
	}
	v.list("slaves", func() {
		for _, a := range c.sortedAgents() {
			v.BeginObject()
			v.agent(a)
			v.EndObject()
		}
	})
	v.list("recovered_slaves", v.recoveredAgents)
	v.frameworks(nil)
	v.list("orphan_tasks", func() {})
	v.list("unregistered_frameworks", func() {})
	v.EndObject()
}

func showFlags(v view, _ url.Values) {
	v.BeginObject()
	v.Key("flags")
	v.flags()
	v.EndObject()
}

func (v view) flags() {
	all := v.core.flags()
	v.BeginObject()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v.text(name, all[name])
	}
	v.EndObject()
}

func minAllocatable(o *Options) string {
	alternatives := make([]string, 0, len(o.MinAllocatableResources))
	for _, q := range o.MinAllocatableResources {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(q)) {
			parts = append(parts, fmt.Sprintf("%s:%s", name, q[name]))
		}
		alternatives = append(alternatives, strings.Join(parts, ";"))
	}
	return strings.Join(alternatives, "|")
}

// counted are the states that summaries count, in their order.
var counted = []mesos.TaskState{
	mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_FINISHED,
	mesos.TASK_KILLED, mesos.TASK_FAILED, mesos.TASK_LOST, mesos.TASK_ERROR, mesos.TASK_UNREACHABLE,
}

func (v view) counts(tasks []*task) {
	n := make(map[mesos.TaskState]int64)
	for _, t := range tasks {
		n[t.state()]++
	}
	for _, state := range counted {
		v.Key(state.String())
		v.Int(n[state])
	}
}

func (f *framework) allTasks() []*task {
	return slices.Concat(sortedTasks(f.tasks), f.unreachable, f.finished)
}

func showStateSummary(v view, _ url.Values) {
	c := v.core
	v.BeginObject()
	v.text("hostname", c.info.GetHostname())
	v.list("slaves", func() {
		for _, a := range c.sortedAgents() {
			var tasks []*task
			var frameworks []string
			for _, f := range slices.Concat(c.sortedFrameworks(), c.completed) {
				here := slices.DeleteFunc(f.allTasks(), func(t *task) bool { return t.agent() != a.id })
				tasks = append(tasks, here...)
				if len(here) > 0 && !f.removed(c) {
					frameworks = append(frameworks, string(f.id))
				}
			}
			v.BeginObject()
			v.agent(a)
			v.counts(tasks)
			v.texts("framework_ids", frameworks)
			v.EndObject()
		}
	})
	v.list("frameworks", func() {
		for _, f := range v.viewer.frameworks(c.sortedFrameworks()) {
			var agents []string
			for _, t := range f.allTasks() {
				if id := string(t.agent()); !slices.Contains(agents, id) {
					agents = append(agents, id)
				}
			}
			v.BeginObject()
			v.frameworkSummary(f)
			v.counts(f.allTasks())
			v.texts("slave_ids", agents)
			v.EndObject()
		}
	})
	v.EndObject()
}

func (f *framework) removed(c *core) bool { return c.frameworks[f.id] != f }
