package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

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
	network := "tcp"
	if address == "localhost" {
		network, address = "unix", p.socket // as the recorder had it
	}
	f := &flow{id: l.ID, path: l.Path, quiet: true}
	p.mu.Lock()
	p.flows[l.stream()] = f
	if l.Side == "executor" {
		f.owner = p.executors[l.Who]
	}
	p.mu.Unlock()
	if f.owner != nil {
		f.owner.send(l.ID, network, address, request)
	} else {
		ctx, cancel := context.WithCancel(p.ctx)
		f.cancel = cancel
		stream := l.stream()
		go exchange(ctx, network, address, request, func(r report) { p.received(stream, r) })
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
