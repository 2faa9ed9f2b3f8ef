package master

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/page"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// The page for a person. A real master serves a web UI at / whose frameworks
// are at /#/frameworks; this one shows the same facts without a script of its
// own being needed, and no address but the master's own.

//go:embed page/page.html
var pageText string

// pageData is what the templates show.
type pageData struct {
	Title     string
	Master    string
	Version   string
	Now       string
	Active    []frameworkRow
	Completed []frameworkRow
	Agents    []agentRow
	Offers    []offerRow
	Framework *frameworkPage // of the page of one framework
}

type frameworkRow struct {
	ID, Name, User, Principal, Roles string
	WebUI                            string
	State                            string
	Running, Other, Completed        int
	Used                             string
	Since                            string
}

type frameworkPage struct {
	frameworkRow
	Labels       []string
	Capabilities string
	Tasks        []taskRow
}

type taskRow struct {
	ID, Name, State, Executor, Agent, Used, Message, Updated string
	Sandbox                                                  string
}

type agentRow struct {
	ID, Hostname, State, Attributes, Total, Used, Offered, Version string
	Tasks                                                          int
	Browse                                                         string // where its files are
}

type offerRow struct{ ID, Framework, FrameworkID, Agent, Role, Resources string }

// servePage serves the page at the root.
func (m *Master) servePage(w http.ResponseWriter, r *http.Request) error {
	return m.writePage(w, r, "")
}

// serveFrameworks serves /frameworks: JSON, but the page to a browser, which
// asks for HTML by name.
func (m *Master) serveFrameworks(json wire.Handler) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if page.Wanted(r) {
			return m.writePage(w, r, r.URL.Query().Get("framework_id"))
		}
		return json(w, r)
	}
}

func (m *Master) writePage(w http.ResponseWriter, r *http.Request, framework string) error {
	var data *pageData
	err := m.do(func() error { data = m.core.page(frameworkID(framework)); return nil })
	if err != nil {
		return wire.Unavailable(err.Error())
	}
	if data == nil {
		return &wire.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("No framework has the ID %q.", framework)}
	}
	return m.page.Write(w, r, data)
}

// page collects what a page shows: of one framework, or of all if none is
// named. It is nil for a framework that is not known.
func (c *core) page(id frameworkID) *pageData {
	data := &pageData{
		Title:   "Mesos",
		Master:  c.info.GetPID(),
		Version: c.options.Version,
		Now:     c.now().Format(time.DateTime),
	}
	if id != "" {
		for _, f := range slices.Concat(c.sortedFrameworks(), c.completed) {
			if f.id == id {
				data.Framework = c.frameworkPage(f)
				data.Title = f.info.Name
				return data
			}
		}
		return nil
	}
	for _, f := range c.sortedFrameworks() {
		data.Active = append(data.Active, c.row(f))
	}
	for _, f := range slices.Backward(c.completed) {
		data.Completed = append(data.Completed, c.row(f))
	}
	for _, a := range c.sortedAgents() {
		data.Agents = append(data.Agents, a.row())
	}
	for _, o := range sortedOffers(c.offers) {
		row := offerRow{ID: string(o.id), FrameworkID: string(o.framework), Agent: string(o.agent), Role: o.role, Resources: quantities(o.resources)}
		if f := c.frameworks[o.framework]; f != nil {
			row.Framework = f.info.Name
		}
		if a := c.agents[o.agent]; a != nil {
			row.Agent = a.info.Hostname
		}
		data.Offers = append(data.Offers, row)
	}
	return data
}

func (c *core) row(f *framework) frameworkRow {
	row := frameworkRow{
		ID:        string(f.id),
		Name:      f.info.Name,
		User:      f.info.User,
		Principal: f.info.GetPrincipal(),
		Roles:     strings.Join(validation.Roles(&f.info), ", "),
		WebUI:     f.info.GetWebUiURL(),
		State:     "active",
		Completed: len(f.finished),
		Used:      quantities(f.used()),
		Since:     f.registered.Format(time.DateTime),
	}
	switch {
	case f.removed(c):
		row.State = "completed"
	case f.recovered:
		row.State = "recovered"
	case !f.connected:
		row.State = "disconnected"
	}
	for _, t := range f.tasks {
		if stateName(t.state()) == "running" {
			row.Running++
		} else {
			row.Other++
		}
	}
	return row
}

func (c *core) frameworkPage(f *framework) *frameworkPage {
	page := &frameworkPage{frameworkRow: c.row(f)}
	for _, l := range f.info.Labels.GetLabels() {
		page.Labels = append(page.Labels, l.Key+"="+l.GetValue())
	}
	var capabilities []string
	for _, capability := range f.info.Capabilities {
		capabilities = append(capabilities, capability.Type.String())
	}
	page.Capabilities = strings.Join(capabilities, ", ")
	tasks := slices.Concat(sortedTasks(f.tasks), f.unreachable, f.finished)
	slices.SortFunc(tasks, func(a, b *task) int { return b.seq - a.seq })
	for _, t := range tasks {
		page.Tasks = append(page.Tasks, c.taskRow(f, t))
	}
	return page
}

func (c *core) taskRow(f *framework, t *task) taskRow {
	row := taskRow{
		ID:       string(t.id()),
		Name:     t.info.Name,
		State:    strings.TrimPrefix(t.state().String(), "TASK_"),
		Executor: t.info.ExecutorID.GetValue(),
		Agent:    string(t.agent()),
		Used:     quantities(t.resources),
	}
	if n := len(t.info.Statuses); n > 0 {
		last := &t.info.Statuses[n-1]
		row.Message = last.GetMessage()
		row.Updated = time.UnixMilli(int64(last.GetTimestamp() * 1000)).Format(time.DateTime)
	}
	if a := c.agents[t.agent()]; a != nil {
		row.Agent = a.info.Hostname
		path := fmt.Sprintf("/frameworks/%s/executors/%s/runs/latest", f.id, row.Executor)
		row.Sandbox = a.browse() + url.QueryEscape(path)
	}
	return row
}

// browse is where the agent shows a file or directory, but for its path.
func (a *agent) browse() string {
	_, address, _ := strings.Cut(a.pid, "@")
	return "//" + address + "/files/browse?path="
}

func (a *agent) row() agentRow {
	row := agentRow{
		ID:       string(a.id),
		Hostname: a.info.Hostname,
		State:    "connected",
		Total:    quantities(a.total),
		Used:     quantities(a.used()),
		Offered:  quantities(offered(a.offers)),
		Version:  a.version,
		Browse:   a.browse(),
	}
	if !a.connected {
		row.State = "disconnected"
	}
	var attributes []string
	for i := range a.info.Attributes {
		attributes = append(attributes, a.info.Attributes[i].Name+"="+a.info.Attributes[i].GetText().GetValue())
	}
	row.Attributes = strings.Join(attributes, ", ")
	for _, tasks := range a.tasks {
		row.Tasks += len(tasks)
	}
	return row
}

// quantities prints what a person wants to know of resources.
func quantities(r resource.Resources) string {
	var parts []string
	for _, q := range []struct{ name, unit string }{{"cpus", " CPUs"}, {"gpus", " GPUs"}, {"mem", " MiB"}, {"disk", " MiB disk"}} {
		if n := r.Scalar(q.name); n > 0 {
			parts = append(parts, n.String()+q.unit)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
