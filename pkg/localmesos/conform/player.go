package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
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
	frozen   bool // the agent
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

// flow is one connection with what has come on it.
type flow struct {
	cancel context.CancelFunc // nil when an executor made it
	owner  *executor
	id     int
	path   string
	stream bool
	quiet  bool // nothing was recorded of its events
	head   *head
	body   []byte
	whole  bool // the body is there
	events []event
	ended  string
}

type event struct {
	kind string
	body []byte
	task string
	at   time.Time
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
	return "localmesos-conform/" + strings.ReplaceAll(p.stage.IP, ".", "-")
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

// arrived takes a new executor.
func (p *player) arrived(e *executor, l *look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.executors[e.id] = e
	p.looks[e.id] = append(p.looks[e.id], l)
	p.wake()
}

// told takes what an executor's connections say.
func (p *player) told(e *executor, id int, r report) {
	p.received(fmt.Sprintf("executor %s #%d", e.id, id), r)
}

func (p *player) received(stream string, r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flows[stream]
	if f == nil {
		return
	}
	switch {
	case r.Head != nil:
		f.head, f.stream = r.Head, r.Head.IsStream
	case r.Record != nil:
		f.events = append(f.events, p.newEvent(r.Record))
	case r.Body != nil || (f.head != nil && !f.stream):
		f.body, f.whole, f.ended = r.Body, true, r.End
	default:
		f.ended = r.End
	}
	p.wake()
}

func (p *player) newEvent(record []byte) event {
	e := event{body: p.stage.eventJSON(record), at: p.clock.Now()}
	var is struct {
		Type   string
		Update struct {
			Status struct {
				TaskID struct{ Value string } `json:"task_id"`
			}
		}
		Acknowledged struct {
			TaskID struct{ Value string } `json:"task_id"`
		}
	}
	if err := json.Unmarshal(e.body, &is); err == nil {
		e.kind, e.task = is.Type, is.Update.Status.TaskID.Value+is.Acknowledged.TaskID.Value
	}
	return e
}

func (p *player) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// wait waits until ready, which is called with mu held, is true; at first with
// a clock that stands, and then, if flow says so, with one that goes on for as
// long as is tolerable.
func (p *player) wait(patience time.Duration, flow bool, ready func() bool) bool {
	if p.missed >= missesToGiveUp {
		patience = min(patience, littlePatience)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	if p.waitUntil(deadline.C, ready) {
		return true
	}
	if !flow {
		p.missed++
		return false
	}
	for end := p.clock.Now().Add(tolerance + time.Second); p.clock.Now().Before(end); {
		p.clock.advance(p.clock.Now().Add(5*lookEvery), p.settle)
		if p.waitUntil(time.After(lookEvery), ready) {
			return true
		}
	}
	p.missed++
	return false
}

func (p *player) waitUntil(end <-chan time.Time, ready func() bool) bool {
	for {
		p.mu.Lock()
		ok := ready()
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-p.changed:
		case <-end:
			return false
		}
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
		return p.request(l)
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

// request makes a request.
func (p *player) request(l *Line) error {
	body, err := p.body(l)
	if err != nil {
		return err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\n", l.Method, p.names.translate(l.Path))
	host := ""
	for _, h := range l.Headers {
		value := p.names.translate(h.Value)
		switch {
		case strings.EqualFold(h.Name, "Content-Length"):
			value = fmt.Sprint(len(body))
		case strings.EqualFold(h.Name, "Host"):
			host = value
		}
		fmt.Fprintf(&out, "%s: %s\r\n", h.Name, value)
	}
	out.WriteString("\r\n")
	out.Write(body)
	if host == "" {
		host = strings.TrimPrefix(p.cluster.URL(), "http://")
		if l.Side == "executor" {
			host = p.cluster.Agents()[0].Address()
		}
	}
	p.send(l, host, []byte(out.String()))
	return nil
}

func (p *player) send(l *Line, address string, request []byte) {
	f := &flow{id: l.ID, path: l.Path, quiet: true}
	p.mu.Lock()
	p.flows[l.stream()] = f
	if l.Side == "executor" {
		f.owner = p.executors[l.Who]
	}
	p.mu.Unlock()
	if f.owner != nil {
		f.owner.send(l.ID, address, request)
	} else {
		ctx, cancel := context.WithCancel(p.ctx)
		f.cancel = cancel
		stream := l.stream()
		go exchange(ctx, "tcp", address, request, func(r report) { p.received(stream, r) })
	}
	p.waitUntil(time.After(answerTime), func() bool { return f.head != nil || f.ended != "" })
}

// body makes a request's body.
func (p *player) body(l *Line) ([]byte, error) {
	switch {
	case l.Text != nil && strings.HasPrefix(*l.Text, "hex:"):
		return p.stage.translateCall(*l.Text, p.names)
	case l.Text != nil:
		return []byte(p.names.translate(*l.Text)), nil
	}
	p.names.remember(string(l.Body))
	return []byte(p.names.translate(string(l.Body))), nil
}

// response expects an answer.
func (p *player) response(l *Line) {
	p.mu.Lock()
	f := p.flows[l.stream()]
	p.mu.Unlock()
	if f == nil {
		p.differ(l, "answer: there was no such request")
		return
	}
	opened := l.Note == "stream opened"
	if !p.wait(messagePatience, true, func() bool { return f.ended != "" || f.whole || (opened && f.head != nil) }) {
		p.differ(l, "answer: recorded one, replayed none")
		return
	}
	if f.head == nil {
		if l.Note != "transport error" || !p.names.alike(*l.Text, f.ended, true) {
			p.differ(l, differ("answer", l.Status, f.ended))
		}
		return
	}
	if f.head.Status != l.Status {
		p.differ(l, differ("status", l.Status, fmt.Sprintf("%d %s", f.head.Status, f.body)))
		return
	}
	p.differ(l, p.names.headers(l.Headers, f.head, true)...)
	switch {
	case opened || l.Note == "body left out":
	case l.Text != nil:
		if !p.names.alike(*l.Text, string(f.body), true) {
			p.differ(l, differ("body", *l.Text, string(f.body)))
		}
	case strings.Contains(f.path, "/metrics/snapshot"):
		p.differ(l, counters(l.Body, f.body)...)
	case l.Side == "operator":
		p.differ(l, p.names.compare(withoutHistory(l.Body, p.own), f.body, true)...)
	default:
		p.differ(l, p.names.compare(l.Body, f.body, true)...)
	}
}

var endPattern = regexp.MustCompile(`^stream ended: (.*)`)

// event expects an event, or the end of a stream.
func (p *player) event(i int, l *Line) {
	p.mu.Lock()
	f := p.flows[l.stream()]
	p.mu.Unlock()
	if f == nil {
		p.differ(l, "event: there is no such stream")
		return
	}
	if m := endPattern.FindStringSubmatch(l.Note); m != nil {
		p.end(l, f, m[1])
		return
	}
	f.quiet = false
	recorded, ok := p.recordedEvent(l)
	if !ok {
		p.differ(l, "event: cannot read it")
		return
	}
	patience := messagePatience
	if len(recorded.body) > big {
		patience = processPatience
	}
	if recorded.kind == "AGENT_REMOVED" {
		p.removeAgent(i)
	}
	if recorded.kind == "FAILURE" {
		patience = processPatience
		p.endExecutor(i, l)
	}
	// What is not expected for long has a process behind it, which is not on
	// the clock.
	var got *event
	p.wait(patience, true, func() bool {
		got = p.take(f, recorded)
		return got != nil
	})
	if got == nil {
		p.mu.Lock()
		waiting := make([]string, 0, len(f.events))
		for _, e := range f.events {
			waiting = append(waiting, e.kind)
		}
		ended := f.ended
		p.mu.Unlock()
		p.differ(l, fmt.Sprintf("event %s: recorded %s, replayed nothing (waiting: %v, ended: %q)",
			recorded.kind, brief(json.RawMessage(recorded.body)), waiting, ended))
		return
	}
	p.differ(l, p.names.compare(recorded.body, got.body, true)...)
	if late := got.at.Sub(p.began.Add(l.At())); late > tolerance || late < -tolerance {
		p.differ(l, fmt.Sprintf("time: recorded at %.1f s, replayed at %.1f s", l.At().Seconds(), got.at.Sub(p.began).Seconds()))
	}
}

var recordPattern = regexp.MustCompile(`^record of \d+ bytes, (hex: [0-9a-f]+)`)

func (p *player) recordedEvent(l *Line) (event, bool) {
	body := []byte(l.Body)
	if m := recordPattern.FindStringSubmatch(l.Note); m != nil {
		body = fromHex(strings.ReplaceAll(m[1], " ", ""))
	} else if l.Text != nil {
		body = fromHex(*l.Text)
	}
	if len(body) == 0 {
		return event{}, false
	}
	e := p.newEvent(body)
	e.body = []byte(p.replace(string(e.body)))
	return e, true
}

// floating events come when the clock says so, and others when messages
// arrive: which of two such is first is not compared.
func floating(kind string) bool { return kind == "OFFERS" || kind == "HEARTBEAT" }

// take takes the event that is the recorded one's counterpart off the stream:
// the next, but for floating ones, and for what other tasks' updates bring.
func (p *player) take(f *flow, recorded event) *event {
	best := -1
	for i, e := range f.events {
		switch {
		case e.kind == recorded.kind && e.task == recorded.task:
			if best < 0 {
				best = i
			}
			if recorded.kind != "OFFERS" {
				return f.remove(best)
			}
			// Of several offers the one that fits.
			if len(p.names.compare(recorded.body, e.body, false)) == 0 {
				return f.remove(i)
			}
		case floating(recorded.kind), floating(e.kind):
		case recorded.kind == e.kind && recorded.task != "":
		default:
			return nil
		}
	}
	if best >= 0 {
		return f.remove(best)
	}
	return nil
}

func (f *flow) remove(i int) *event {
	e := f.events[i]
	f.events = append(f.events[:i:i], f.events[i+1:]...)
	return &e
}

// end expects the end of a stream; or ends it, if the client did.
func (p *player) end(l *Line, f *flow, how string) {
	if strings.HasSuffix(how, "use of closed network connection") {
		p.hangUp(f)
		return
	}
	if !p.wait(messagePatience, true, func() bool { return f.ended != "" }) {
		p.differ(l, differ("end of stream", how, absent{}))
		return
	}
	p.mu.Lock()
	ended := f.ended
	p.mu.Unlock()
	if ended != how {
		p.differ(l, differ("end of stream", how, ended))
	}
}

// hangUp closes a connection from this side.
func (p *player) hangUp(f *flow) {
	if f.owner != nil {
		f.owner.order(order{Do: doClose, ID: f.id})
	} else if f.cancel != nil {
		f.cancel()
	}
	p.wait(messagePatience, false, func() bool { return f.ended != "" })
	time.Sleep(hangUpTime)
	p.settle()
}

// nothingLeft reports the events that nobody expected. Floating ones may be
// expected yet, unless this is the end.
func (p *player) nothingLeft(l *Line, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for stream, f := range p.flows {
		for i := 0; i < len(f.events); i++ {
			e := f.events[i]
			if f.quiet || (floating(e.kind) && !all) || e.kind == "SHUTDOWN" {
				continue
			}
			p.result.Differences = append(p.result.Differences, Difference{
				p.scenario.Name, l, fmt.Sprintf("event %s: recorded nothing, replayed %s on %s", e.kind, brief(json.RawMessage(e.body)), stream),
			})
			f.remove(i)
			i--
		}
	}
}
