package conform

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// This file says what the recorder did that is no request: notes name it, or
// its consequences show it.

// acts are the notes that say that something was done.
var acts = []struct {
	note *regexp.Regexp
	do   func(*player) error
	// starts says that something was started, which took the recorded one a
	// while: it is started when it answers.
	starts bool
}{
	{regexp.MustCompile(`^agent killed \(SIGKILL\)$|^agent stopped with SIGTERM$`), (*player).crashAgent, false},
	{regexp.MustCompile(`^agent started again$`), (*player).recoverAgent, true},
	{regexp.MustCompile(`^SUBSCRIBE over the socket after the agent's restart$`), (*player).recoverAgent, false},
	{regexp.MustCompile(`^agent stopped with SIGSTOP$`), (*player).freezeAgent, false},
	{regexp.MustCompile(`^agent continued with SIGCONT$`), (*player).thawAgent, false},
	{regexp.MustCompile(`^master killed \(SIGKILL\)$`), (*player).killMaster, false},
	{regexp.MustCompile(`^master started again$`), (*player).startMaster, true},
	{regexp.MustCompile(`^agent gets SIGUSR1$`), (*player).unregisterAgent, false},
}

func (p *player) crashAgent() error {
	p.cluster.Agents()[0].Crash()
	return nil
}

func (p *player) recoverAgent() error {
	ended := p.endUnseen()
	err := p.cluster.Agents()[0].Recover()
	p.settle()
	for _, id := range ended {
		p.awaitEnd(id)
	}
	return err
}

func (p *player) freezeAgent() error {
	p.cluster.Agents()[0].Freeze()
	p.frozen = true
	return nil
}

func (p *player) thawAgent() error {
	p.cluster.Agents()[0].Thaw()
	p.frozen = false
	return nil
}

func (p *player) killMaster() error {
	p.cluster.KillMaster()
	return nil
}

func (p *player) startMaster() error { return p.cluster.StartMaster() }

func (p *player) unregisterAgent() error {
	p.cluster.Agents()[0].Unregister()
	return nil
}

var (
	closesPattern   = regexp.MustCompile(`^scheduler closes its stream connection$`)
	startedPattern  = regexp.MustCompile(`^executor process started`)
	limitsPattern   = regexp.MustCompile(`^the container's cgroup limits now$`)
	nothingPattern  = regexp.MustCompile(`^no UPDATE (reached the scheduler )?within|^the next UPDATE did not come|^no offers? for`)
	restartPattern  = regexp.MustCompile(`; then the agent restarts: `)
	returnedPattern = regexp.MustCompile(`^the agent has re-registered$`)
	sigkillPattern  = regexp.MustCompile(`^the executor process gets SIGKILL$`)
)

func (p *player) note(i int, l *Line) error {
	for _, act := range acts {
		if !act.note.MatchString(l.Note) {
			continue
		}
		if act.starts {
			return p.delay(i, l, act.do)
		}
		return act.do(p)
	}
	switch {
	case closesPattern.MatchString(l.Note):
		p.closeStreams(l)
	case startedPattern.MatchString(l.Note):
		p.started(l)
	case limitsPattern.MatchString(l.Note):
		p.limits(l)
	case sigkillPattern.MatchString(l.Note):
		p.killNext(i)
	case returnedPattern.MatchString(l.Note):
		p.awaitAgent()
	case restartPattern.MatchString(l.Note):
		p.crashBeforeEnd(i)
	case nothingPattern.MatchString(l.Note):
		p.nothingLeft(l, strings.Contains(l.Note, "offer"))
	}
	return nil
}

// crashBeforeEnd has the agent crash before an executor's stream ends, which
// is how the recording tells of it, but for the stream that a further SUBSCRIBE
// ends.
func (p *player) crashBeforeEnd(i int) {
	for _, l := range p.scenario.Lines[i+1:] {
		if l.Side == "executor" && endPattern.MatchString(l.Note) && strings.HasSuffix(l.Note, "unexpected EOF") {
			p.delayed[l] = p.crashAgent
			return
		}
	}
}

// startTime is the most that a recorded program took to start.
const startTime = time.Second

// delay puts an act off to the first line that shows it done: until then
// requests were refused, or answered with what says not yet. Of those, the ones
// of a process that was starting are not repeated. Where nothing shows it for
// long, it is done at once.
func (p *player) delay(i int, l *Line, do func(*player) error) error {
	until := l
	for _, next := range p.scenario.Lines[i+1:] {
		if next.Dir != "response" || next.At()-l.At() > 2*time.Second {
			continue
		}
		switch {
		case next.Note == "transport error":
			until = next
		case next.Status == 404 || next.Status == 503:
			p.skip[next] = true
			p.skip[p.requestOf(next)] = true
		default:
			goto found
		}
	}
found:
	then := slices.Index(p.scenario.Lines, until) + 1
	if until == l || then == len(p.scenario.Lines) {
		then = i + 1
	}
	if p.scenario.Lines[then].At()-l.At() > startTime {
		return do(p)
	}
	p.delayed[p.scenario.Lines[then]] = func() error { return do(p) }
	return nil
}

func (p *player) requestOf(response *Line) *Line {
	var found *Line
	for _, l := range p.scenario.Lines {
		if l == response {
			break
		}
		if l.Dir == "request" && l.stream() == response.stream() {
			found = l
		}
	}
	return found
}

// closeStreams closes the streams that a scheduler has.
func (p *player) closeStreams(l *Line) {
	p.mu.Lock()
	var open []*flow
	for stream, f := range p.flows {
		if strings.HasPrefix(stream, l.Side+" "+l.Who+" ") && f.stream && f.ended == "" {
			open = append(open, f)
		}
	}
	p.mu.Unlock()
	for _, f := range open {
		p.hangUp(f)
	}
}

// nextLook waits for what an executor's process sees; nil means that it says
// nothing.
func (p *player) nextLook(who string) *look {
	var seen *look
	p.wait(processPatience, false, func() bool {
		if waiting := p.looks[who]; len(waiting) > 0 {
			seen, p.looks[who] = waiting[0], waiting[1:]
			return true
		}
		return false
	})
	return seen
}

// started expects a new executor, and compares what it sees.
func (p *player) started(l *Line) {
	seen := p.nextLook(l.Who)
	if seen == nil {
		p.differ(l, "process: recorded one, replayed none")
		return
	}
	if l.Info == nil {
		return
	}
	var recorded map[string]json.RawMessage
	if err := json.Unmarshal(l.Info, &recorded); err != nil {
		p.differ(l, "info: "+err.Error())
		return
	}
	p.differ(l, p.compareLooks(recorded, seen)...)
}

// compareLooks compares what an executor sees.
func (p *player) compareLooks(recorded map[string]json.RawMessage, seen *look) []string {
	var replayed map[string]json.RawMessage
	text, err := json.Marshal(seen)
	if err != nil || json.Unmarshal(text, &replayed) != nil {
		return []string{"info: unreadable"}
	}
	var out []string
	for _, key := range []string{"args", "cgroup_limits", "cwd", "env", "fds", "gid", "oom_score_adj", "proc_self_cgroup", "sandbox", "uid", "umask"} {
		a, ok := recorded[key]
		if !ok {
			continue
		}
		for _, d := range p.names.compare(steady(key, a), steady(key, replayed[key]), true) {
			out = append(out, "info."+key+strings.TrimPrefix(d, ""))
		}
	}
	return out
}

// limits expects limits of an executor's container.
func (p *player) limits(l *Line) {
	p.mu.Lock()
	e := p.executors[l.Who]
	p.mu.Unlock()
	if e == nil {
		p.differ(l, "process: recorded one, replayed none")
		return
	}
	var differences []string
	p.wait(messagePatience, false, func() bool { return true })
	e.order(order{Do: doLook})
	seen := p.nextLook(l.Who)
	if seen == nil {
		p.differ(l, "process: it says nothing")
		return
	}
	differences = p.compareLooks(map[string]json.RawMessage{"cgroup_limits": l.Info}, seen)
	p.differ(l, differences...)
}

// removeAgent has the agent leave, if nothing before says why it is about to be
// removed.
func (p *player) removeAgent(i int) {
	for _, l := range p.scenario.Lines[:i] {
		if strings.HasPrefix(l.Note, "agent ") {
			return
		}
	}
	p.cluster.Agents()[0].Unregister()
}
