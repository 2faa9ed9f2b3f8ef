package schedulerapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// pipeline makes the calls of one subscription over one connection at a time,
// writing on without waiting for answers. net/http's client cannot: it would
// need a connection for each call on its way, and the calls would reach the
// master in any order.
type pipeline struct {
	opt Options
	at  *url.URL
	// head is a request up to the value of its Content-Length, which comes last.
	head []byte
	// constraints go with calls of UPDATE_FRAMEWORK; owned by whoever sends.
	constraints []byte

	// sending is held by the one Send at work.
	sending sync.Mutex

	// mu guards what is below.
	mu     sync.Mutex
	conn   *pipeConn
	closed bool
}

// pipeConn is a connection with a goroutine that reads answers from it, also
// while none is due, so that its end is noticed before the next call.
type pipeConn struct {
	net.Conn
	out     *bufio.Writer
	answers chan answer
	// dead is closed after err was set, when no more answers will come.
	dead chan struct{}
	err  error
	// closed is closed by shut, which happens once.
	closed chan struct{}
	once   sync.Once
}

type answer struct {
	status int
	text   string
}

var errUnanswered = errors.New("no answer in time")

// inOneGo is how many bytes of requests are written without a goroutine: less
// than any buffer on the way, so that writing does not wait for the master.
const inOneGo = 16 << 10

func newPipeline(opt Options, at *url.URL, header http.Header) *pipeline {
	var head bytes.Buffer
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\n", at.RequestURI(), at.Host)
	_ = header.Write(&head) // to memory
	head.WriteString("Content-Length: ")
	return &pipeline{opt: opt, at: at, head: head.Bytes()}
}

// The numbers of Call.update_framework and UpdateFramework.offer_constraints
// (mesos/v1/scheduler/scheduler.proto).
const (
	updateFrameworkField  = 19
	offerConstraintsField = 3
)

// withConstraints returns an encoded call of UPDATE_FRAMEWORK with offer
// constraints, which mesos-go lacks, put into its message.
func withConstraints(call, constraints []byte) []byte {
	if len(constraints) == 0 {
		return call
	}
	out := make([]byte, 0, len(call)+len(constraints)+16)
	for len(call) > 0 {
		number, _, n := protowire.ConsumeField(call)
		if n < 0 {
			return append(out, call...) // mesos-go has not encoded it so
		}
		field := call[:n]
		call = call[n:]
		if number != updateFrameworkField {
			out = append(out, field...)
			continue
		}
		_, _, tag := protowire.ConsumeTag(field)
		update, _ := protowire.ConsumeBytes(field[tag:])
		update = protowire.AppendTag(update[:len(update):len(update)], offerConstraintsField, protowire.BytesType)
		update = protowire.AppendBytes(update, constraints)
		out = protowire.AppendTag(out, updateFrameworkField, protowire.BytesType)
		out = protowire.AppendBytes(out, update)
	}
	return out
}

// send makes the calls and returns what became of each.
func (p *pipeline) send(ctx context.Context, calls []*scheduler.Call) []error {
	p.sending.Lock()
	defer p.sending.Unlock()
	errs := make([]error, len(calls))
	bodies := make([][]byte, 0, len(calls))
	// index is where the call of each body stands.
	index := make([]int, 0, len(calls))
	for i, c := range calls {
		b, err := Encode(c)
		if err != nil {
			errs[i] = &Error{Kind: Refused, Master: p.at.Host, Err: fmt.Errorf("cannot encode the call: %w", err)}
			continue
		}
		if c.Type == scheduler.Call_UPDATE_FRAMEWORK {
			b = withConstraints(b, p.constraints)
		}
		bodies, index = append(bodies, b), append(index, i)
	}
	if len(bodies) == 0 {
		return errs
	}
	conn, err := p.connect(ctx)
	if err != nil {
		for _, i := range index {
			errs[i] = &Error{Kind: Unavailable, Master: p.at.Host, Err: err}
		}
		return errs
	}
	for n, err := range p.exchange(ctx, conn, bodies) {
		errs[index[n]] = err
	}
	return errs
}

// exchange writes all requests while it reads their answers: one that only wrote
// would wait for ever for a master that waits for its answers to be read.
func (p *pipeline) exchange(ctx context.Context, conn *pipeConn, bodies [][]byte) []error {
	errs := make([]error, len(bodies))
	// begun is how many requests the master may have seen something of.
	var begun atomic.Int64
	written := make(chan struct{})
	write := func() {
		defer close(written)
		if p.write(conn.out, bodies, &begun) != nil {
			conn.shut()
		}
	}
	size := 0
	for _, b := range bodies {
		size += len(p.head) + len(b) + len("1234567\r\n\r\n")
	}
	if size <= inOneGo {
		_ = conn.SetWriteDeadline(time.Now().Add(p.opt.AnswerTimeout))
		write()
	} else {
		_ = conn.SetWriteDeadline(time.Time{})
		go write()
	}
	timer := time.NewTimer(p.opt.AnswerTimeout)
	defer timer.Stop()
	n := 0
	var broken error
	for n < len(bodies) && broken == nil {
		select {
		case a := <-conn.answers:
			if a.status != http.StatusAccepted && a.status != http.StatusOK {
				errs[n] = answered(p.at.Host, a.status, a.text)
			}
			n++
			timer.Reset(p.opt.AnswerTimeout)
		case <-conn.dead:
			broken = conn.err
		case <-timer.C:
			broken = errUnanswered
		case <-ctx.Done():
			broken = context.Cause(ctx)
		}
	}
	if broken != nil {
		conn.shut()
	}
	<-written
	for ; n < len(bodies); n++ {
		kind := Unavailable
		if int64(n) < begun.Load() {
			kind = Uncertain
		}
		errs[n] = &Error{Kind: kind, Master: p.at.Host, Err: broken}
	}
	return errs
}

func (p *pipeline) write(out *bufio.Writer, bodies [][]byte, begun *atomic.Int64) error {
	var length []byte
	for _, body := range bodies {
		begun.Add(1)
		// Of several errors the first stays with the writer, and Flush returns it.
		_, _ = out.Write(p.head)
		length = strconv.AppendInt(length[:0], int64(len(body)), 10)
		_, _ = out.Write(append(length, "\r\n\r\n"...))
		if _, err := out.Write(body); err != nil {
			return err
		}
	}
	return out.Flush()
}

// connect returns the connection in use, or a new one when that has ended.
func (p *pipeline) connect(ctx context.Context) (*pipeConn, error) {
	p.mu.Lock()
	conn, closed := p.conn, p.closed
	p.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case conn != nil && conn.alive():
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := p.opt.Dial
	if p.opt.TLS != nil {
		dial = p.opt.dialTLS
	}
	c, err := dial(ctx, "tcp", p.at.Host)
	if err != nil {
		return nil, err
	}
	conn = &pipeConn{
		Conn: c, out: bufio.NewWriterSize(c, 64<<10),
		answers: make(chan answer), dead: make(chan struct{}), closed: make(chan struct{}),
	}
	go conn.read()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.shut()
		return nil, errClosed
	}
	p.conn = conn
	return conn, nil
}

func (p *pipeline) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.conn != nil {
		p.conn.shut()
	}
}

// read hands on answers until the connection ends.
func (c *pipeConn) read() {
	defer close(c.dead)
	defer c.shut()
	in := bufio.NewReader(c.Conn)
	for {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			c.err = err
			return
		}
		a := answer{status: r.StatusCode}
		if r.ContentLength != 0 {
			a.text = textOf(r.Body)
			// A refusal may echo the whole call.
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				c.err = err
				return
			}
		}
		r.Body.Close()
		select {
		case c.answers <- a:
		case <-c.closed:
			c.err = errClosed
			return
		}
		if r.Close {
			c.err = io.EOF
			return
		}
	}
}

func (c *pipeConn) alive() bool {
	select {
	case <-c.dead:
		return false
	case <-c.closed:
		return false
	default:
		return true
	}
}

func (c *pipeConn) shut() {
	c.once.Do(func() {
		close(c.closed)
		c.Conn.Close()
	})
}
