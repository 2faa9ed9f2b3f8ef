package conform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Stage is where scenarios are played.
type Stage struct {
	// IP is a loopback address of the scenario's own: it takes the place of
	// the recorded 127.0.0.1, with all its ports.
	IP string
	// Dir takes the agents' work directories.
	Dir string
	// Program is what executors run, as [Program] makes it.
	Program string
	// Schema is shared to save time.
	Schema *wire.Schema
}

// Result is what a replay found.
type Result struct {
	// Exchanges counts the requests and the events.
	Exchanges   int
	Differences []Difference
}

// Difference is one place in which the replay differs.
type Difference struct {
	Scenario string
	Line     *Line
	What     string
}

func (d Difference) String() string { return fmt.Sprintf("%s: %s", d.Line, d.What) }

// How long the player waits, in true time, for what is not to be timed, because
// it takes a process, or only messages.
const (
	processPatience = 20 * time.Second
	messagePatience = 4 * time.Second
	// lookEvery is how often a wait that waits in vain moves the clock.
	lookEvery = 20 * time.Millisecond
	// hangUpTime is what a server has to see that a connection was closed,
	// which shows nowhere.
	hangUpTime = 100 * time.Millisecond
	// missesToGiveUp is after how many waits in vain there is no point in much
	// patience, and littlePatience what there is then.
	missesToGiveUp = 3
	littlePatience = time.Second / 2
	// answerTime is for how long time stands still for a request, so that it is
	// answered in its own.
	answerTime = time.Second
)

// tolerance is by how much an event may be earlier or later than recorded: an
// allocation, or a ping of an agent, is due at any time within its interval.
const tolerance = 1100 * time.Millisecond

// player plays one scenario.
type player struct {
	scenario *Scenario
	stage    Stage
	names    *names
	clock    *clock
	began    time.Time // the scenario's time zero
	cluster  *localmesos.Cluster
	files    *stage
	ctx      context.Context // ends with the play
	result   Result
	missed   int             // waits in vain
	own      map[string]bool // frameworks
	bares    map[int]*bare
	// here is the line that is played; frozen is the agent, and breath says
	// until the next KILL.
	here           int
	frozen, breath bool
	socket         string // of the agent, for executors
	// skip are lines whose request was not made.
	skip map[*Line]bool
	// delayed is what happens before the first line that shows its effect.
	delayed map[*Line]func() error

	mu        sync.Mutex
	changed   chan struct{} // has a token when something arrived
	flows     map[string]*flow
	executors map[string]*executor
	looks     map[string][]*look
}

// Play replays a scenario and returns what differs. The error says why it could
// not be played; an *UnsupportedError, that localmesos has not what it takes.
func Play(ctx context.Context, files fs.FS, name string, where Stage) (*Result, error) {
	p := &player{
		stage: where, names: newNames(), skip: map[*Line]bool{}, delayed: map[*Line]func() error{},
		changed: make(chan struct{}, 1), bares: map[int]*bare{}, flows: map[string]*flow{}, executors: map[string]*executor{}, looks: map[string][]*look{},
	}
	var err error
	if p.scenario, err = Read(files, name, p.replacements()...); err != nil {
		return nil, err
	}
	p.own = ownFrameworks(p.scenario)
	if err := p.play(ctx, files); err != nil {
		return nil, fmt.Errorf("cannot play scenario %s: %w", name, err)
	}
	return &p.result, nil
}

// cgroupsRoot takes the place of the recorded root.
func (p *player) cgroupsRoot() string {
	return "localmesos-conform-" + strings.ReplaceAll(p.stage.IP, ".", "-")
}

// replacements puts this machine's addresses and directories in the place of
// the recording's.
func (p *player) replacements() []string {
	var a, b, c, d byte
	if _, err := fmt.Sscanf(p.stage.IP, "%d.%d.%d.%d", &a, &b, &c, &d); err != nil {
		return nil
	}
	return []string{
		"127.0.0.1", p.stage.IP,
		"16777343", fmt.Sprint(uint32(a) | uint32(b)<<8 | uint32(c)<<16 | uint32(d)<<24),
		"/var/lib/mesos/w/agent", filepath.Join(p.stage.Dir, "agent-1"),
		"/var/lib/mesos/w/run", p.stage.Dir,
		"/var/lib/mesos/w/exec.sock", filepath.Join(p.stage.Dir, "exec.sock"),
		"mesos_wire", p.cgroupsRoot() + "/agent-1",
	}
}

func (p *player) play(ctx context.Context, files fs.FS) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.ctx = ctx
	if err := p.start(ctx); err != nil {
		return err
	}
	defer func() {
		cancel()
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), processPatience)
		defer done()
		err = errors.Join(err, p.cluster.Stop(stop))
		p.files.close()
	}()
	if err := p.begin(files); err != nil {
		return err
	}
	if err := p.lines(); err != nil {
		return err
	}
	p.nothingLeft(p.scenario.Lines[len(p.scenario.Lines)-1], false)
	return nil
}

// lines plays the lines one by one.
func (p *player) lines() error {
	for i, l := range p.scenario.Lines {
		p.here = i
		p.settle()
		p.clock.advance(p.began.Add(l.At()), p.settle)
		if err := p.line(i, l); err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	return nil
}

// start starts the cluster, so that it allocates when the recorded one did.
func (p *player) start(ctx context.Context) error {
	o, err := options(p.scenario)
	if err != nil {
		return err
	}
	port := p.masterPort()
	zero := time.Now()
	p.clock = newClock(zero)
	o.Dir = p.stage.Dir
	o.Master.Listen = fmt.Sprintf("%s:%d", p.stage.IP, port)
	o.Master.Clock, o.Master.Schema = p.clock, p.stage.Schema
	o.Agent.Listen = fmt.Sprintf("%s:%d", p.stage.IP, port+1)
	o.Agent.CgroupsRoot = p.cgroupsRoot()
	if p.socket = o.Agent.ExecutorDomainSocket; p.socket != "" && !filepath.IsAbs(p.socket) {
		p.socket = filepath.Join(p.stage.Dir, p.socket)
	}
	o.Agent.ExecutorDomainSocket = p.socket
	program := p.stage.Program
	if p.files, err = newStage(fmt.Sprintf("%s:%d", p.stage.IP, port+40), program, p.arrived, p.told); err != nil {
		return err
	}
	if p.cluster, err = localmesos.Start(ctx, o); err != nil {
		p.files.close()
		return err
	}
	interval := o.Master.AllocationInterval
	if interval == 0 {
		interval = time.Second
	}
	// The first allocation is an interval after the start.
	ticks := allocations(p.scenario)
	phase := interval / 2
	if len(ticks) > 0 {
		phase = ticks[0] % interval
	}
	p.began = zero.Add(interval - phase)
	p.clock.follow(interval, p.began, ticks)
	p.clock.advance(p.began, p.settle)
	return nil
}

// masterPort is the recorded master's.
func (p *player) masterPort() int {
	for _, l := range p.scenario.Lines {
		host, _ := l.Header("Host")
		if strings.HasSuffix(host, ":5250") || (l.Text != nil && strings.Contains(*l.Text, ":5250")) {
			return 5250
		}
	}
	return 5150
}

// settle waits until master and agents have done what they were woken for,
// three messages deep.
func (p *player) settle() {
	for range 3 {
		request := httptest.NewRequest(http.MethodGet, "/quota", nil)
		p.cluster.Master().Handler().ServeHTTP(httptest.NewRecorder(), request)
		for _, a := range p.cluster.Agents() {
			if !p.frozen {
				a.ID()
			}
		}
	}
}

func (p *player) differ(l *Line, what ...string) {
	for _, w := range what {
		p.result.Differences = append(p.result.Differences, Difference{p.scenario.Name, l, w})
	}
}

// line plays or expects one line.
func (p *player) line(i int, l *Line) error {
	if do := p.delayed[l]; do != nil {
		if err := do(); err != nil {
			return err
		}
	}
	if p.skip[l] {
		return nil
	}
	switch {
	case l.Side == "raw" && l.Dir == "request":
		p.result.Exchanges++
		return p.bareSend(l)
	case l.Side == "raw" && l.Dir == "response":
		p.bareResponse(l)
		return nil
	case l.Side == "raw" && l.Dir == "event":
		p.bareEvent(l)
		return nil
	}
	switch l.Dir {
	case "request":
		p.result.Exchanges++
		return p.inOneBreath(i, l)
	case "response":
		p.response(l)
		return nil
	case "event":
		p.result.Exchanges++
		p.event(i, l)
		return nil
	case "note":
		return p.note(i, l)
	}
	return fmt.Errorf("unknown direction %q", l.Dir)
}
