package fault

import (
	"net"
	"sync"
	"time"
)

// Connections are what a server has accepted. The zero value is ready.
type Connections struct {
	mu    sync.Mutex
	open  map[*connection]struct{}
	delay time.Duration
}

// Listen returns the listener, with what it accepts among the connections.
func (c *Connections) Listen(l net.Listener) net.Listener { return &listener{l, c} }

// Cut breaks all connections that are open, and returns how many there were.
// New ones can be made at once.
func (c *Connections) Cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Conn.Close() // it may be closed already
	}
	n := len(c.open)
	c.open = nil
	return n
}

// Delay makes everything that the server writes from now on, an answer or an
// event, arrive that much later, by the machine's clock; zero ends that.
func (c *Connections) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

type listener struct {
	net.Listener
	connections *Connections
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: accepted, of: l.connections}
	c := l.connections
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	c.open[conn] = struct{}{}
	return conn, nil
}

type connection struct {
	net.Conn
	of *Connections
}

func (c *connection) Write(p []byte) (int, error) {
	c.of.mu.Lock()
	delay := c.of.delay
	c.of.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return c.Conn.Write(p)
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
