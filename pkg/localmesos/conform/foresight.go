package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// This file finds out from what was recorded later what the recorder, or one of
// its executors, did without a word.

// Raw wait statuses that tell how an executor ended by itself.
const (
	exited0   = 0
	exited1   = 1 << 8
	sigkilled = (128 + 9) << 8
	killed    = 9
	// neverLaunched is not one: there was no process.
	neverLaunched = -1
)

// endExecutor ends an executor whose end is about to be expected, unless the
// agent ended it.
func (p *player) endExecutor(i int, l *Line) {
	var failure struct {
		Failure struct {
			ExecutorID struct{ Value string } `json:"executor_id"`
			Status     *int
		}
	}
	if err := json.Unmarshal(l.Body, &failure); err != nil || failure.Failure.Status == nil {
		return
	}
	p.mu.Lock()
	e := p.executors[failure.Failure.ExecutorID.Value]
	delete(p.executors, failure.Failure.ExecutorID.Value)
	p.mu.Unlock()
	if e == nil {
		return
	}
	switch *failure.Failure.Status {
	case exited0, exited1:
		e.order(order{Do: doExit, Status: *failure.Failure.Status >> 8})
	case sigkilled:
		e.order(order{Do: doKill})
	case killed:
		// The agent does it in its time; or the kernel, when memory is short.
		if p.isOutOfMemory(i, failure.Failure.ExecutorID.Value) {
			e.order(order{Do: doEat})
		}
	}
}

// isOutOfMemory looks for the reason in the updates that follow.
func (p *player) isOutOfMemory(i int, executor string) bool {
	for _, l := range p.scenario.Lines[i+1:] {
		body := string(l.Body)
		if strings.Contains(body, fmt.Sprintf(`"executor_id":{"value":"%s"}`, executor)) && strings.Contains(body, `"type":"UPDATE"`) {
			return strings.Contains(body, "REASON_CONTAINER_LIMITATION_MEMORY")
		}
	}
	return false
}

// ending is the end of an executor, as a recorded event tells it.
type ending struct {
	executor string
	// byAgent says that the agent ended it, and not it itself.
	byAgent bool
}

func endingOf(l *Line) (ending, bool) {
	if l.Side != "scheduler" || l.Dir != "event" {
		return ending{}, false
	}
	var e struct {
		Type    string
		Failure struct {
			ExecutorID struct{ Value string } `json:"executor_id"`
			Status     int
		}
		Update struct {
			Status struct {
				ExecutorID struct{ Value string } `json:"executor_id"`
				Reason     string
			}
		}
	}
	if json.Unmarshal(l.Body, &e) != nil {
		return ending{}, false
	}
	switch {
	case e.Type == scheduler.Event_FAILURE.String():
		return ending{e.Failure.ExecutorID.Value, e.Failure.Status == killed}, e.Failure.ExecutorID.Value != ""
	case e.Update.Status.Reason == mesos.REASON_EXECUTOR_TERMINATED.String():
		return ending{executor: e.Update.Status.ExecutorID.Value}, e.Update.Status.ExecutorID.Value != ""
	}
	return ending{}, false
}

// killNext kills the executor whose end the lines after a line tell of first.
func (p *player) killNext(i int) {
	for _, l := range p.scenario.Lines[i+1:] {
		if end, ok := endingOf(l); ok {
			p.kill(end.executor)
			return
		}
	}
}

// kill kills an executor, if it is still there, and waits for its end.
func (p *player) kill(id string) {
	p.mu.Lock()
	e := p.executors[id]
	delete(p.executors, id)
	p.mu.Unlock()
	if e != nil {
		e.order(order{Do: doKill})
		<-e.gone
	}
}

// endUnseen ends the executors that ended while their agent was away: they make
// no request any more, and their tasks are those of an executor that had ended.
// It returns their IDs.
func (p *player) endUnseen() (killed []string) {
	p.mu.Lock()
	there := slices.Collect(maps.Keys(p.executors))
	p.mu.Unlock()
	for _, id := range there {
		for _, l := range p.scenario.Lines[p.here+1:] {
			if l.Side == "executor" && l.Who == id && l.Dir == "request" {
				break
			}
			if end, ok := endingOf(l); ok && end.executor == id {
				if !end.byAgent {
					p.kill(id)
					killed = append(killed, id)
				}
				break
			}
		}
	}
	return killed
}

// awaitEnd waits until the agent knows that an executor's container has ended,
// which takes true time, before any passes on the clock.
func (p *player) awaitEnd(id string) {
	for end := time.Now().Add(processPatience); time.Now().Before(end); time.Sleep(lookEvery) {
		answer, err := http.Get("http://" + p.cluster.Agents()[0].Address() + "/containers")
		if err != nil {
			return
		}
		text, err := io.ReadAll(answer.Body)
		if answer.Body.Close() != nil || err != nil || !strings.Contains(string(text), strconv.Quote(id)) {
			return
		}
	}
}

// failed says that a line is the FAILURE of an executor with that status.
func failed(l *Line, status int) bool {
	var e struct{ Failure struct{ Status *int } }
	return json.Unmarshal(l.Body, &e) == nil && e.Failure.Status != nil && *e.Failure.Status == status
}

// killedAtOnce says that an ACCEPT is followed by a KILL so soon that the agent
// got both before it launched anything.
func (p *player) killedAtOnce(i int) bool {
	const atOnce = 100 * time.Millisecond
	call := func(l *Line) string {
		var is struct{ Type string }
		if l.Side != "scheduler" || l.Dir != "request" || json.Unmarshal(l.Body, &is) != nil {
			return ""
		}
		return is.Type
	}
	if call(p.scenario.Lines[i]) != scheduler.Call_ACCEPT.String() {
		return false
	}
	asked := false
	for _, l := range p.scenario.Lines[i+1:] {
		switch {
		case !asked && l.At()-p.scenario.Lines[i].At() > atOnce:
			return false
		case call(l) == scheduler.Call_KILL.String():
			asked = true
		case call(l) == scheduler.Call_ACCEPT.String(), call(l) != "" && !asked:
			return false
		case asked && failed(l, neverLaunched):
			return true
		}
	}
	return false
}

// awaitAgent waits until the agent is registered with the master again, for as
// long as is tolerable.
func (p *player) awaitAgent() {
	p.wait(0, true, func() bool {
		request := httptest.NewRequest(http.MethodGet, "/slaves", nil)
		answer := httptest.NewRecorder()
		p.cluster.Master().Handler().ServeHTTP(answer, request)
		return strings.Contains(answer.Body.String(), `"hostname"`)
	})
}

// inOneBreath makes a request; one that is followed by a KILL at once reaches the
// agent together with that.
func (p *player) inOneBreath(i int, l *Line) error {
	var is struct{ Type string }
	_ = json.Unmarshal(l.Body, &is) // others have no type
	if p.killedAtOnce(i) {
		if err := p.freezeAgent(); err != nil {
			return err
		}
		p.breath = true
	}
	err := p.request(l)
	if p.breath && is.Type == scheduler.Call_KILL.String() {
		p.breath = false
		return errors.Join(err, p.thawAgent())
	}
	return err
}
