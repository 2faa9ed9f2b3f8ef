package api

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxSessions bounds the commands that are run beside tasks at one time.
	maxSessions = 100
	// answerTime is how long after the executor's answer its call may take to be
	// there: it was made before.
	answerTime = 2 * time.Second
)

// sessionPath is where executors call back, with the session's name after it.
const sessionPath = "/sessions/"

// sessions are the calls that executors are expected to make. Each is good for
// one, with a token that only that executor was told. They are apart from the
// API's own rights: who may run a command was asked before there is a session.
type sessions struct {
	mu      sync.Mutex // guards what follows
	waiting map[string]*callBack
	open    int
}

// callBack is a call that is expected.
type callBack struct {
	name string
	// token is the digest of what the executor must show.
	token [sha256.Size]byte
	// conn has room for the connection.
	conn chan *execConn
	// over says that nobody takes a connection any more; guarded by the
	// sessions' lock.
	over bool
}

// execConn is a connection with an executor.
type execConn struct {
	net.Conn
	// reader may hold what came with the request.
	reader *bufio.Reader
}

func (c *execConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

var errTooManySessions = fmt.Errorf("%d commands are run beside tasks already, which is as many as this scheduler joins: try again later", maxSessions)

// expect makes a session, and returns the token for its executor. end must be
// called when it is over.
func (s *sessions) expect() (c *callBack, token string, end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxSessions {
		return nil, "", nil, errTooManySessions
	}
	token = rand.Text() + rand.Text()
	c = &callBack{name: strings.ToLower(rand.Text()), token: sha256.Sum256([]byte(token)), conn: make(chan *execConn, 1)}
	if s.waiting == nil {
		s.waiting = map[string]*callBack{}
	}
	s.waiting[c.name] = c
	s.open++
	return c, token, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, c.name)
		s.open--
		c.over = true
		select {
		case conn := <-c.conn:
			_ = conn.Close()
		default:
		}
	}, nil
}

// take returns the session that a caller may join, once.
func (s *sessions) take(name, token string) (*callBack, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.waiting[name]
	digest := sha256.Sum256([]byte(token))
	if c == nil || subtle.ConstantTimeCompare(c.token[:], digest[:]) != 1 {
		return nil, false
	}
	delete(s.waiting, name)
	return c, true
}

// joinSession takes in the call of an executor that was asked for a session.
func (s *Server) joinSession(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || !strings.EqualFold(r.Header.Get("Upgrade"), "tandem-exec") || r.ProtoMajor != 1 {
		http.Error(w, "only an executor that was asked to may call here", http.StatusBadRequest)
		return
	}
	c, ok := s.sessions.take(r.PathValue("name"), token)
	if !ok {
		s.opt.Log.WithField("from", r.RemoteAddr).Warn("turned away a call to a session that is not there, or with another token")
		http.Error(w, "there is no such session", http.StatusForbidden)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.opt.Log.WithError(err).Error("cannot take over an executor's connection")
		http.Error(w, "this connection cannot be taken over", http.StatusInternalServerError)
		return
	}
	err = errors.Join(
		conn.SetDeadline(time.Time{}),
		write(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tandem-exec\r\n\r\n"),
	)
	if err != nil {
		_ = conn.Close()
		return
	}
	s.sessions.give(c, &execConn{conn, buffered.Reader})
}

// give hands a connection to its session, unless that has ended meanwhile.
func (s *sessions) give(c *callBack, conn *execConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over {
		_ = conn.Close()
		return
	}
	c.conn <- conn
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// await returns the connection of the executor, whose answer comes from asked.
func (c *callBack) await(ctx context.Context, asked <-chan error) (*execConn, error) {
	var late <-chan time.Time
	for {
		select {
		case conn := <-c.conn:
			return conn, nil
		case err := <-asked:
			if err != nil {
				return nil, err
			}
			asked = nil
			timer := time.NewTimer(answerTime)
			defer timer.Stop()
			late = timer.C
		case <-late:
			return nil, errors.New("the executor says that it has called, and it has not")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
