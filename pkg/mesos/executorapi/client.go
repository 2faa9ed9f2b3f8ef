// Package executorapi is a client of a Mesos agent's v1 executor API: it
// subscribes, reads the events, and sends calls. Messages are mesos-go's, in
// protobuf's binary form; records are framed by package recordio.
//
// It must never decide when to try again, and never remembers what was sent:
// that is for an executor's core. It answers each failure with its [Class],
// which is what a decision needs.
package executorapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/mesos/recordio"
)

// mediaType is the only name by which agents know protobuf; they compare it
// byte for byte.
const mediaType = "application/x-protobuf"

// Options says where the agent is and how to speak with it.
type Options struct {
	// Endpoint is the agent's host:port, as in MESOS_AGENT_ENDPOINT. Required
	// unless Socket is given.
	Endpoint string
	// Socket is the path of the agent's unix domain socket, as in
	// MESOS_DOMAIN_SOCKET. Where it is given it is used, and Endpoint is not. A
	// path longer than the kernel takes is reached by way of its directory.
	Socket string
	// AgentPID is the agent's libprocess address, as in MESOS_SLAVE_PID:
	// slave(1)@127.0.0.1:5051. Required with Socket: on it the agent serves the
	// API below its process's name only.
	AgentPID string
	// TLS, when it is not nil, makes the connection https. A Socket is never.
	TLS *tls.Config
	// Token authenticates the executor, as in
	// MESOS_EXECUTOR_AUTHENTICATION_TOKEN. Empty means none.
	Token string
	// DialTimeout bounds the making of a connection, and AnswerTimeout the
	// wait for the answer to a call. Defaults: 1 and 10 seconds.
	DialTimeout, AnswerTimeout time.Duration
	// DeadAfter is how long a connection whose peer does not answer the
	// kernel's probes is kept. Events may be half an hour apart, so that
	// nothing else would find out. Default: 15 seconds.
	DeadAfter time.Duration
	// Connections is how many calls may be under way at once. Default: 4.
	Connections int
}

func (o Options) validate() (Options, error) {
	if o.Socket == "" {
		if _, _, err := net.SplitHostPort(o.Endpoint); err != nil {
			return o, fmt.Errorf("cannot use the agent's endpoint %q: %w", o.Endpoint, err)
		}
	} else if process, _, ok := strings.Cut(o.AgentPID, "@"); !ok || process == "" {
		return o, fmt.Errorf("cannot use the agent's socket without its process's name: %q is no libprocess address such as slave(1)@127.0.0.1:5051", o.AgentPID)
	}
	if strings.ContainsAny(o.Token, "\r\n") {
		return o, errors.New("cannot use the authentication token: it has more than one line")
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.DialTimeout, time.Second}, {&o.AnswerTimeout, 10 * time.Second}, {&o.DeadAfter, 15 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.Connections <= 0 {
		o.Connections = 4
	}
	return o, nil
}

// Client speaks with one agent. Its methods may be called from several
// goroutines at once.
type Client struct {
	url, token string
	// A subscription has a connection of its own: an agent answers a request
	// that follows it on the same one in the middle of the events.
	calls   *caller
	streams *http.Transport
}

// New returns a client. It does not connect yet.
func New(o Options) (*Client, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	d := dialer{timeout: o.DialTimeout, deadAfter: o.DeadAfter, socket: o.Socket}
	c := &Client{
		token: o.Token,
		streams: &http.Transport{
			DialContext: d.dial, TLSClientConfig: o.TLS, TLSHandshakeTimeout: o.AnswerTimeout,
			ResponseHeaderTimeout: o.AnswerTimeout, DisableCompression: true,
		},
	}
	scheme, host, path := "http", o.Endpoint, "/api/v1/executor"
	switch {
	case o.Socket != "":
		process, _, _ := strings.Cut(o.AgentPID, "@")
		host, path = "agent", "/"+process+path
	case o.TLS != nil:
		scheme = "https"
	}
	c.url = scheme + "://" + host + path
	c.calls = newCaller(o.Connections, o.AnswerTimeout, headOf(host, path, o.Token), func(ctx context.Context) (net.Conn, error) {
		conn, err := d.dial(ctx, "tcp", host)
		if err != nil || scheme == "http" {
			return conn, err
		}
		return secure(ctx, conn, o.TLS, o.Endpoint)
	})
	return c, nil
}

// URL returns the address that calls go to.
func (c *Client) URL() string { return c.url }

// Close closes idle connections. Streams end with their own contexts.
func (c *Client) Close() {
	c.calls.close()
	c.streams.CloseIdleConnections()
}

// Send makes one call other than SUBSCRIBE, and blocks until the agent has
// taken it. That it has does not mean that it agrees: an update counts only
// when it is acknowledged by an event.
func (c *Client) Send(ctx context.Context, call *executor.Call) error {
	body, err := call.Marshal()
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", call.Type, err)
	}
	answer, err := c.calls.call(ctx, body)
	if err != nil {
		return fmt.Errorf("cannot send %s: %w", call.Type, err)
	}
	return refusal(call, answer.status, answer.text)
}

// Subscribe makes a SUBSCRIBE call and returns the stream of events. It blocks
// until the agent has answered. The stream lives until ctx ends, it is closed,
// or the connection breaks.
func (c *Client) Subscribe(ctx context.Context, call *executor.Call) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	response, err := c.post(ctx, call)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Stream{records: recordio.NewReader(response.Body), body: response.Body, cancel: cancel}, nil
}

// post returns an answer of 200 or 202, and everything else as an error.
func (c *Client) post(ctx context.Context, call *executor.Call) (*http.Response, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot encode %s: %w", call.Type, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cannot make a request of %s: %w", call.Type, err)
	}
	request.Header.Set("Content-Type", mediaType)
	request.Header.Set("Accept", mediaType)
	request.Header["User-Agent"] = nil
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	// Not an http.Client: an agent does not redirect, and cookies, redirects
	// and referrers are only more to go wrong.
	response, err := c.streams.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("cannot send %s: %w", call.Type, err)
	}
	if refusal(call, response.StatusCode, nil) == nil {
		return response, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return nil, refusal(call, response.StatusCode, text)
}

// refusal is the meaning of an answer other than 200 or 202.
func refusal(call *executor.Call, status int, text []byte) error {
	if status == http.StatusOK || status == http.StatusAccepted {
		return nil
	}
	const most = 4 << 10
	return &Error{Call: call.Type, Status: status, Text: strings.Join(strings.Fields(string(text[:min(len(text), most)])), " ")}
}

// Stream is the events of one subscription. One goroutine reads it; Close may
// be called from any.
type Stream struct {
	records *recordio.Reader
	body    io.Closer
	cancel  context.CancelFunc
}

// Next blocks until there is an event. When the stream has ended it returns
// io.EOF, which is also all that an agent says to a subscription that another
// one replaces. Events of types that are unknown are returned as they are.
func (s *Stream) Next() (*executor.Event, error) {
	record, err := s.records.Next()
	if err != nil {
		return nil, err
	}
	event := new(executor.Event)
	if err := event.Unmarshal(record); err != nil {
		return nil, fmt.Errorf("cannot decode an event: %w", err)
	}
	return event, nil
}

// Close ends the subscription's connection. A Next under way returns an error.
func (s *Stream) Close() {
	s.cancel()
	s.body.Close()
}
