// Package process serves what every program serves that is built on libprocess,
// be it a master or an agent: how the machine is, how much is logged, what
// processes there are, and whether a metrics request waits
// (3rdparty/libprocess/src in the Mesos sources).
//
// The package must never know which of the two it is.
package process

import (
	"fmt"
	"html"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Options are what a program's endpoints are made of. Only Clock is needed.
type Options struct {
	// Clock ends what is set for a while.
	Clock clock.Clock
	// Guard lets those through who may change something; nil means all.
	Guard func(wire.Handler) wire.Handler
	// Authorize lets those through who may use what is at a path; nil means all.
	Authorize func(path string, h wire.Handler) wire.Handler
	// Processes are the names of the program's own processes, and Help those of
	// them that have endpoints.
	Processes, Help []string
}

// Process is the part of a program that is libprocess. It is safe for concurrent
// use.
type Process struct {
	options Options

	mu     sync.Mutex
	level  int
	revert func() // stops the timer that sets the level back; nil for none
}

// New returns the endpoints of a program.
func New(o Options) *Process {
	if o.Guard == nil {
		o.Guard = func(h wire.Handler) wire.Handler { return h }
	}
	if o.Authorize == nil {
		o.Authorize = func(_ string, h wire.Handler) wire.Handler { return h }
	}
	return &Process{options: o}
}

// Register adds the endpoints to a router.
func (p *Process) Register(rt *wire.Router) {
	rt.Handle("/system/stats.json", p.stats)
	rt.Handle("/logging/toggle", p.options.Guard(p.options.Authorize("/logging/toggle", p.toggle)))
	for _, action := range []string{"start", "stop"} {
		rt.Handle("/profiler/"+action, p.options.Guard(func(http.ResponseWriter, *http.Request) error {
			return wire.BadRequest("Perftools is disabled. To enable perftools, configure libprocess with --enable-perftools.\n")
		}))
	}
	rt.Handle("/__processes__", p.processes)
	rt.Handle("/help", p.help)
}

// Level is how much is logged: 0, or more for a while.
func (p *Process) Level() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.level
}

// SetLevel sets how much is logged; after the duration it is 0 again. Nothing
// here logs more for it.
func (p *Process) SetLevel(level int, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revert != nil {
		p.revert()
		p.revert = nil
	}
	p.level = level
	if level == 0 {
		return
	}
	p.revert = p.options.Clock.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.level = 0
	})
}

// toggle serves /logging/toggle, which shows and sets the level.
func (p *Process) toggle(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	hasLevel, hasDuration := query.Has("level"), query.Has("duration")
	switch {
	case !hasLevel && !hasDuration:
		wire.WriteBody(w, r, "text/plain; charset=utf-8", []byte(strconv.Itoa(p.Level())+"\n"))
		return nil
	case !hasDuration:
		return wire.BadRequest("Expecting 'duration=value' in query.\n")
	case !hasLevel:
		return wire.BadRequest("Expecting 'level=value' in query.\n")
	}
	level, err := strconv.Atoi(query.Get("level"))
	if err != nil {
		return wire.BadRequest("Failed to convert '%s' to number.\n", query.Get("level"))
	}
	if level < 0 {
		return wire.BadRequest("Invalid level '%d'.\n", level)
	}
	d, err := wire.ParseDuration(query.Get("duration"))
	if err != nil {
		return wire.BadRequest("%s.\n", err)
	}
	p.SetLevel(level, d)
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}

// Timeout looks at the timeout of a request for metrics, which are there at once
// whatever it is.
func Timeout(r *http.Request) error {
	query := r.URL.Query()
	if !query.Has("timeout") {
		return nil
	}
	if _, err := wire.ParseDuration(query.Get("timeout")); err != nil {
		return wire.BadRequest("Invalid timeout '%s': %s.\n", query.Get("timeout"), err)
	}
	return nil
}

// Metrics are those of the machine, by the names that all programs have. What
// cannot be found out is left out.
func Metrics() map[string]float64 {
	values := map[string]float64{"system/cpus_total": float64(runtime.NumCPU())}
	for i, load := range loads() {
		values["system/load_"+loadNames[i]] = load
	}
	if total, free, ok := memory(); ok {
		values["system/mem_total_bytes"], values["system/mem_free_bytes"] = float64(total), float64(free)
	}
	return values
}

var loadNames = [3]string{"1min", "5min", "15min"}

// loads are the load averages of the machine.
func loads() []float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	var all []float64
	for _, field := range strings.Fields(string(text)) {
		load, err := strconv.ParseFloat(field, 64)
		if err != nil || len(all) == len(loadNames) {
			break
		}
		all = append(all, load)
	}
	return all
}

// memory is the machine's, in bytes.
func memory() (total, free uint64, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes uint64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kilobytes); err == nil {
			total = kilobytes << 10
		}
		if _, err := fmt.Sscanf(line, "MemFree: %d kB", &kilobytes); err == nil {
			free = kilobytes << 10
		}
	}
	return total, free, total > 0
}

// stats serves /system/stats.json.
func (p *Process) stats(w http.ResponseWriter, r *http.Request) error {
	out := new(wire.Writer)
	out.BeginObject()
	all := loads()
	for _, i := range []int{2, 0, 1} { // by name
		if i < len(all) {
			out.Key("avg_load_" + loadNames[i])
			out.Double(all[i])
		}
	}
	out.Key("cpus_total")
	out.Int(int64(runtime.NumCPU()))
	if total, free, ok := memory(); ok {
		out.Key("mem_free_bytes")
		out.Int(int64(free))
		out.Key("mem_total_bytes")
		out.Int(int64(total))
	}
	out.EndObject()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}

// processes serves /__processes__, which lists them with what they have yet to
// do: here nothing, for they exist by name only.
func (p *Process) processes(w http.ResponseWriter, r *http.Request) error {
	out := new(wire.Writer)
	out.BeginArray()
	for _, name := range append([]string{"help", "logging", "metrics", "profiler", "system", "__processes__"}, p.options.Processes...) {
		out.BeginObject()
		out.Key("events")
		out.BeginArray()
		out.EndArray()
		out.Key("id")
		out.String(name)
		out.EndObject()
	}
	out.EndArray()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}

// help serves /help: a text for the programs that people use in a terminal, and a
// page for all others.
func (p *Process) help(w http.ResponseWriter, r *http.Request) error {
	var links, targets strings.Builder
	for _, name := range p.options.Help {
		fmt.Fprintf(&links, "> [/%s][%s]\n", name, name)
		fmt.Fprintf(&targets, "[%s]: help/%s\n", name, name)
	}
	text := "## HELP\n" + links.String() + "\n" + targets.String()
	if client := r.UserAgent(); strings.HasPrefix(client, "curl") || strings.HasPrefix(client, "HTTPie") {
		wire.WriteBody(w, r, "text/x-markdown", []byte(text))
		return nil
	}
	page := "<html><head><title>Help</title></head><body><pre>" + html.EscapeString(text) + "</pre></body></html>"
	wire.WriteBody(w, r, "text/html", []byte(page))
	return nil
}
