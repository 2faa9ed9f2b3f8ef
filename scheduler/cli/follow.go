package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// display shows a board as it changes: on a terminal as a table that is drawn
// anew, elsewhere as one line for each change.
type display struct {
	w     io.Writer
	notes io.Writer
	now   func() time.Time
	start time.Time
	// size is nil where lines are wanted.
	size func() (width, height int, ok bool)
	// drawn is how many lines of the table stand above the cursor.
	drawn int
}

func newDisplay(sys *System) *display {
	d := &display{w: sys.Stdout, notes: sys.Stderr, now: sys.Now, start: sys.Now()}
	if _, _, ok := sys.TerminalSize(); ok {
		d.size = sys.TerminalSize
	}
	return d
}

// silent is a display that shows nothing.
func silent(sys *System) *display {
	return &display{w: io.Discard, notes: sys.Stderr, now: sys.Now, start: sys.Now()}
}

// changed shows a change: at once as lines; a table waits for draw.
func (d *display) changed(events []event) {
	if d.size != nil {
		return
	}
	for _, e := range events {
		fmt.Fprintf(d.w, "%7.2fs  %-24s  %s\n", d.now().Sub(d.start).Seconds(), e.what, e.text)
	}
}

// draw draws the table, over the last one.
func (d *display) draw(b *board) {
	if d.size == nil {
		return
	}
	d.drawTable(b.live(d.now()))
}

// drawTable draws a table on the terminal, over the last one.
func (d *display) drawTable(t *table) {
	width, height, ok := d.size()
	if !ok {
		width, height = 80, 24
	}
	lines := t.lines(width)
	if most := height - 2; len(lines) > most && most > 1 {
		hidden := len(lines) - most + 1
		lines = append(lines[:most-1], fmt.Sprintf("… and %d lines more", hidden))
	}
	d.erase()
	for _, line := range lines {
		fmt.Fprintln(d.w, line)
	}
	d.drawn = len(lines)
}

// erase takes the table away, so that a report can stand in its place.
func (d *display) erase() {
	if d.drawn > 0 {
		// Up to the table's first line, and clear from there.
		fmt.Fprintf(d.w, "\x1b[%dA\x1b[J", d.drawn)
		d.drawn = 0
	}
}

// redraw is the least time between two drawings of a table.
const redraw = 50 * time.Millisecond

// A watch that a scheduler's end has ended is begun again at once, and then this
// often, this many times: for as long as another one takes to lead.
const (
	watchAgain   = time.Second
	watchesAgain = 60
)

// follow watches a job, or with no ID everything, and shows what changes until
// done says that it is enough. It goes on through a restart of the scheduler, and a
// change of the leader. The board is returned as it was last.
func (c *client) follow(ctx context.Context, job string, d *display, done func(*board) bool) (*board, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var last *board
	away := absence{client: c, say: func(text string) {
		d.erase()
		fmt.Fprint(d.notes, text)
	}}
	for {
		b, err := c.followOnce(ctx, job, last, d, done)
		switch {
		case err == nil:
			return b, nil
		case ctx.Err() != nil:
			return b, failed(exitInterrupted, "interrupted")
		case b.complete:
			last, away.tries = b, 0
		}
		switch {
		case connect.CodeOf(err) == connect.CodeResourceExhausted:
			// It could not take every change, or comes too often, and begins anew
			// with what is.
			if !b.complete && !pause(ctx, watchAgain) {
				return b, failed(exitInterrupted, "interrupted")
			}
		case last != nil && away.again(ctx, err):
			if ctx.Err() != nil {
				return last, failed(exitInterrupted, "interrupted")
			}
		default:
			return b, c.explain(err)
		}
	}
}

// absence is a time in which no scheduler answers a call that goes on.
type absence struct {
	client *client
	say    func(text string) // to a person
	tries  int               // since somebody has answered
}

// again reports whether to make the call again that an error has ended, when it is
// time for that or ctx ends.
func (a *absence) again(ctx context.Context, err error) bool {
	if !a.client.isAway(err) || a.tries == watchesAgain {
		return false
	}
	if a.tries == 0 {
		a.say(fmt.Sprintf("tandem: %s; trying again for a minute\n", a.client.explain(err)))
	} else {
		pause(ctx, watchAgain)
	}
	a.tries++
	return true
}

// isAway reports whether an error says that no scheduler answers for now.
func (c *client) isAway(err error) bool {
	return !c.inside && (connect.CodeOf(err) == connect.CodeUnavailable || c.unreachable(err) != nil)
}

// pause waits, and reports false when ctx has ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// followOnce follows one watch. Of what was there before it shows how it differs
// from the last watch's board, if there was one.
func (c *client) followOnce(ctx context.Context, job string, last *board, d *display, done func(*board) bool) (*board, error) {
	b := newBoard()
	stream, err := c.Watch(ctx, &tandemv1.WatchRequest{JobId: job})
	if err != nil {
		return b, err
	}
	changes := make(chan *tandemv1.WatchResponse)
	go func() {
		defer close(changes)
		for stream.Receive() {
			select {
			case changes <- stream.Msg():
			case <-ctx.Done():
				return
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	dirty := false
	for {
		select {
		case change, ok := <-changes:
			if !ok {
				d.draw(b)
				return b, orEnded(stream.Err())
			}
			if last != nil && !b.complete {
				d.changed(last.apply(change))
				b.apply(change)
			} else {
				d.changed(b.apply(change))
			}
			if done(b) {
				d.draw(b)
				return b, nil
			}
			if !dirty && b.complete {
				dirty = true
				timer.Reset(redraw)
			}
		case <-timer.C:
			d.draw(b)
			dirty = false
			// What is shown grows older too.
			timer.Reset(time.Second)
		}
	}
}

// orEnded gives a stream that has ended without an error one: a watch goes on
// until its reader leaves.
func orEnded(err error) error {
	if err == nil {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("it has ended the watch"))
	}
	return err
}
