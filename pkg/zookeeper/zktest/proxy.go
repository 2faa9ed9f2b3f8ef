package zktest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between clients and a server, and can cut them off. It ends with
// the test.
type Proxy struct {
	// Address is where clients connect to, host:port.
	Address string

	to       string
	listener net.Listener
	wg       sync.WaitGroup

	// mu guards what is below.
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
	// left is how many bytes may still go to the server before everybody is cut
	// off once; 0 when nobody will be.
	left int
}

// NewProxy returns a proxy before the address.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), to: to, listener: l, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Cut ends every connection, and those that are made from now on.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// Heal lets connections through again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// CutAfter ends every connection once, after so many more bytes have gone to the
// server. New ones are let through.
func (p *Proxy) CutAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = bytes
}

// counted is a client's connection that is cut as CutAfter says.
type counted struct {
	p *Proxy
	net.Conn
}

// Read gives what goes to the server, and nothing of what comes after a cut.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.p.left == 0 {
		return n, err
	}
	if n < c.p.left {
		c.p.left -= n
		return n, err
	}
	c.p.left = 0
	for conn := range c.p.conns {
		conn.Close()
	}
	clear(c.p.conns)
	return 0, net.ErrClosed
}

func (p *Proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil || !p.keep(from, to) {
			from.Close()
			if err == nil {
				to.Close()
			}
			continue
		}
		p.wg.Go(func() {
			_, _ = io.Copy(to, counted{p, from})
			p.drop(from, to)
		})
		p.wg.Go(func() {
			_, _ = io.Copy(from, to)
			p.drop(from, to)
		})
	}
}

// keep notes connections that are to be ended by Cut, and reports false when
// they are cut already.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}
