package conform

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// A bare connection shows what HTTP itself does: lines of side raw are bytes as
// they were sent and received.

// bare is one bare connection.
type bare struct {
	conn     net.Conn
	methods  []string // of the requests, in order
	received []byte   // what no response line has taken yet
	ended    bool
}

// bareSend sends bytes, on a new connection if there is none of that number.
func (p *player) bareSend(l *Line) error {
	b := p.bares[l.ID]
	if b == nil {
		conn, err := net.DialTimeout("tcp", p.cluster.Master().Address(), dialTimeout)
		if err != nil {
			return err
		}
		b = &bare{conn: conn}
		p.bares[l.ID] = b
		go p.bareReceive(b)
	}
	text := p.bareBytes(l)
	for _, m := range requestLine.FindAllSubmatch(text, -1) {
		b.methods = append(b.methods, string(m[1]))
	}
	_, err := b.conn.Write(text)
	if err != nil {
		p.differ(l, "connection: "+err.Error())
	}
	return nil
}

// bareBytes are what a line sends. What is sent in pieces is translated as a
// whole, for an identifier may be in two of them; its length does not change.
func (p *player) bareBytes(l *Line) []byte {
	if strings.HasPrefix(*l.Text, "hex:") {
		return fromHex(*l.Text)
	}
	var whole strings.Builder
	begin := 0
	for _, piece := range p.scenario.Lines {
		if piece.Side != "raw" || piece.Dir != "request" || piece.ID != l.ID {
			continue
		}
		if piece == l {
			begin = whole.Len()
		}
		whole.WriteString(*piece.Text)
	}
	if translated := p.names.translate(whole.String()); len(translated) == whole.Len() {
		return []byte(translated[begin : begin+len(*l.Text)])
	}
	return []byte(p.names.translate(*l.Text))
}

var requestLine = regexp.MustCompile(`(?m)^([A-Z]+) [^ \n]+ HTTP/`)

func (p *player) bareReceive(b *bare) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := b.conn.Read(buffer)
		p.mu.Lock()
		b.received = append(b.received, buffer[:n]...)
		b.ended = b.ended || err != nil
		p.mu.Unlock()
		p.wake()
		if err != nil {
			return
		}
	}
}

// bareResponse expects answers.
func (p *player) bareResponse(l *Line) {
	b := p.bares[l.ID]
	if b == nil {
		return // of a connection that has no number
	}
	recorded := []byte(*l.Text)
	if strings.HasPrefix(*l.Text, "hex:") {
		recorded = fromHex(*l.Text)
	}
	// Lengths on the wire are those of the text as it was recorded.
	want := answers([]byte(p.restore(string(recorded))), b.methods)
	for i := range want {
		want[i].replace = p.replace
	}
	var differences []string
	p.wait(messagePatience, false, func() bool {
		differences = p.compareAnswers(want, answers(b.received, b.methods), false)
		return len(differences) == 0
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.compareAnswers(want, answers(b.received, b.methods), true)
	b.received = nil
	b.methods = b.methods[min(len(want), len(b.methods)):]
	p.differ(l, differences...)
}

// bareEvent expects that nothing more comes, or the end.
func (p *player) bareEvent(l *Line) {
	b := p.bares[l.ID]
	if b == nil {
		return
	}
	closes := strings.HasPrefix(l.Note, "the server closed")
	if closes {
		p.wait(messagePatience, false, func() bool { return b.ended })
	} else {
		time.Sleep(lookEvery)
	}
	p.mu.Lock()
	ended, rest := b.ended, b.received
	p.mu.Unlock()
	if ended != closes {
		p.differ(l, fmt.Sprintf("connection: recorded closed %v, replayed closed %v", closes, ended))
	}
	if len(rest) > 0 {
		p.differ(l, differ("connection", "nothing more", string(rest)))
	}
	_ = b.conn.Close()
	time.Sleep(hangUpTime)
}

// answer is one HTTP answer, or as much of it as there is.
type answer struct {
	head *head
	body []byte
	// replace, if set, puts this machine's addresses into a text.
	replace func(string) string
}

func (a *answer) text(body []byte) []byte {
	if a.replace == nil {
		return body
	}
	return []byte(a.replace(string(body)))
}

// answers takes bytes apart; a stream's records follow one another in its body.
func answers(text []byte, methods []string) []answer {
	var all []answer
	in := bufio.NewReader(bytes.NewReader(text))
	for i := 0; ; i++ {
		line, err := peekLine(in)
		if err != nil {
			return all
		}
		method := http.MethodPost
		if i < len(methods) {
			method = methods[i]
		}
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return append(all, answer{head: &head{Reason: line}, body: []byte(err.Error())})
		}
		one := answer{head: &head{
			Status: response.StatusCode, Reason: line, Header: response.Header, Chunked: len(response.TransferEncoding) > 0,
		}}
		one.body, err = io.ReadAll(response.Body)
		all = append(all, one)
		if err != nil {
			return all // this is what there is of it
		}
	}
}

func (p *player) replace(text string) string {
	return strings.NewReplacer(p.replacements()...).Replace(text)
}

// restore undoes replace.
func (p *player) restore(text string) string {
	pairs := p.replacements()
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (p *player) compareAnswers(recorded, replayed []answer, commit bool) []string {
	if len(recorded) != len(replayed) {
		return []string{fmt.Sprintf("answers: recorded %d, replayed %d", len(recorded), len(replayed))}
	}
	var out []string
	for i, a := range recorded {
		b := replayed[i]
		if a.head.Reason != b.head.Reason {
			out = append(out, differ("status", a.head.Reason, b.head.Reason))
			continue
		}
		var headers []Header
		for name := range a.head.Header {
			headers = append(headers, Header{name, string(a.text([]byte(a.head.Header.Get(name))))})
		}
		if a.head.Chunked {
			headers = append(headers, Header{"Transfer-Encoding", "chunked"})
		}
		out = append(out, p.names.headers(headers, b.head, commit)...)
		if a.head.Chunked {
			out = append(out, p.compareRecords(&a, b.body, commit)...)
			continue
		}
		out = append(out, p.names.compare(a.text(a.body), b.body, commit)...)
	}
	return out
}

// compareRecords compares the events of two streams as far as both go.
func (p *player) compareRecords(recorded *answer, replayed []byte, commit bool) []string {
	a, b := wire.NewRecordReader(bytes.NewReader(recorded.body)), wire.NewRecordReader(bytes.NewReader(replayed))
	var out []string
	for i := 0; ; i++ {
		x, errX := a.Next()
		y, errY := b.Next()
		if errX != nil {
			return out
		}
		if errY != nil {
			return append(out, differ(fmt.Sprintf("event %d", i), string(x), absent{}))
		}
		for _, d := range p.names.compare(recorded.text(x), y, commit) {
			out = append(out, fmt.Sprintf("event %d: %s", i, d))
		}
	}
}
