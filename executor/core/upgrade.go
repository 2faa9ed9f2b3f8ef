package core

import (
	"fmt"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// quietTime bounds how long an upgrade waits for a moment at which nothing is
// half done.
const quietTime = time.Minute

// Prepare asks for a program to be brought, checked and tried. Prepared answers
// it.
type Prepare struct{ URI, SHA256 string }

type (
	// Prepared answers a Prepare.
	Prepared struct {
		// Same says that it is the program that runs already.
		Same bool
		// Err says why the program cannot be used; empty when it can.
		Err string
	}
	// NotReplaced says that a prepared program did not take this one's place,
	// and why.
	NotReplaced struct{ Err string }
)

func (Prepared) isInput()    {}
func (NotReplaced) isInput() {}

// upgrade is the replacement of the executor's own program under way.
type upgrade struct {
	request uint64
	// prepared says that the program waits for its moment. Until then everything
	// goes on as ever; from then on nothing is begun that can wait.
	prepared bool
	giveUp   time.Time
}

// answer is what is still to be said to the scheduler.
type answer struct {
	request          uint64
	problem, version string
}

func (c *Core) upgradeAsked(request uint64, ask *tandemv1.UpgradeExecutor) {
	switch {
	case c.closing != nil:
		c.answer(request, "the executor ends")
	case c.upgrade != nil:
		c.answer(request, "the executor is being replaced already")
	case ask.Sha256 == "":
		c.answer(request, "the request names no SHA-256 for the new program")
	default:
		c.upgrade = &upgrade{request: request}
		c.out.Prepare = &Prepare{URI: ask.Uri, SHA256: ask.Sha256}
		c.note(Info, nil, "asked to replace itself by %s", ask.Uri)
	}
}

func (c *Core) prepared(in Prepared) {
	switch {
	case c.upgrade == nil:
	case in.Err != "":
		c.keep(in.Err)
	case in.Same:
		c.note(Info, nil, "it runs the program already that it was asked to replace itself by")
		c.answers = append(c.answers, answer{request: c.upgrade.request, version: c.config.Version})
		c.upgrade = nil
		c.answerAll()
	default:
		c.upgrade.prepared, c.upgrade.giveUp = true, c.now.Add(quietTime)
		c.hold()
	}
}

// holding says that nothing is to be begun that can wait.
func (c *Core) holding() bool { return c.upgrade != nil && c.upgrade.prepared }

// keep goes on with the present program.
func (c *Core) keep(why string) {
	if c.upgrade == nil {
		return
	}
	c.note(Warn, nil, "not replaced: %s", why)
	c.answers = append(c.answers, answer{request: c.upgrade.request, problem: why})
	held := c.upgrade.prepared
	c.upgrade = nil
	c.answerAll()
	if held {
		c.out.Dismiss = true
		c.release()
	}
}

// upgradeDue returns when the wait for a quiet moment is over, or zero.
func (c *Core) upgradeDue() time.Time {
	if c.holding() {
		return c.upgrade.giveUp
	}
	return time.Time{}
}

// answerAll says what is still to be said, as soon as there is an agent.
func (c *Core) answerAll() {
	if !c.connected {
		return
	}
	for _, a := range c.answers {
		c.answerWith(a)
	}
	c.answers = nil
}

// hold puts off what can wait: checks, and for a new program restarts.
func (c *Core) hold() {
	for _, t := range c.tasks {
		c.pauseChecks(t)
		c.arm(t)
	}
}

// release is the end of hold, and of the time without an agent.
func (c *Core) release() {
	for _, t := range c.tasks {
		if c.connected {
			t.resumeChecks(c.now)
		}
		c.arm(t)
	}
}

// Replaceable says whether this is the moment for a prepared program to take
// over: nothing is half done, and the agent is there.
func (c *Core) Replaceable() bool {
	return c.end == nil && c.closing == nil && c.connected && c.holding() && c.halfDone() == ""
}

// HalfDone says what a new program could not go on with, for a person, or
// returns nothing. It is for a moment at which the connection has been given up.
func (c *Core) HalfDone() string {
	if c.end != nil || c.closing != nil {
		return "the executor ends"
	}
	return c.halfDone()
}

func (c *Core) halfDone() string {
	switch s := &c.talking; {
	case s.sessions > 0:
		return fmt.Sprintf("commands of people run beside tasks (%d)", s.sessions)
	case s.asked > 0 || s.measuring:
		return "tasks are being measured or signalled"
	}
	for _, t := range c.inOrder() {
		switch {
		case t.phase == starting:
			return "task " + t.id + " is being started"
		case t.phase == fetching:
			return "the files of task " + t.id + " are being fetched"
		case t.phase == running && t.kill != nil && t.kill.stopping:
			return "the pre-stop hook of task " + t.id + " is under way"
		}
	}
	return ""
}
