// Package schedulerapi is a client of Mesos's v1 scheduler API over HTTP: it
// subscribes with the leading master and makes calls within that subscription,
// in protobuf.
//
// What it relies on of a master was seen of a real one: a master that does not
// lead answers 307 with a Location without a scheme, before it looks at the
// call, and goes on naming a dead leader until ZooKeeper has noticed; one that
// is not ready answers 503; every call needs the Mesos-Stream-Id of its
// subscription and, where the master wants it, the credentials; requests on one
// connection are answered in order.
//
// The package has no policy. It must never repeat a call: whether that does harm
// only its user knows.
package schedulerapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
)

const (
	endpoint      = "/api/v1/scheduler"
	mediaType     = "application/x-protobuf"
	streamHeader  = "Mesos-Stream-Id"
	maxRedirects  = 5
	dialTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
)

// Detector finds the leading master: *detect.List or *detect.ZooKeeper.
type Detector interface {
	// Leader returns the master to try next. It may block for a while, and fails
	// when none is known.
	Leader(ctx context.Context) (detect.Leader, error)
}

// Credential is what a scheduler proves who it is with, by HTTP Basic
// authentication. The principal has no colon in it.
type Credential struct{ Principal, Secret string }

// Options are what a Client is made of.
type Options struct {
	// Detector finds the leading master. Required.
	Detector Detector
	// Credential returns what is sent with every call of the subscription that
	// is made now; nil, or a result of nil, sends none. Blocking holds up the
	// subscription.
	Credential func() *Credential
	// TLS returns the settings of a connection that is made now, over https; nil
	// makes calls over http.
	TLS func() *tls.Config
	// AnswerTimeout is how long a master may take to answer a call. Default: 30s.
	AnswerTimeout time.Duration
	// MissedHeartbeats is after how many heartbeat intervals without any event a
	// subscription is given up. Default: 3.
	MissedHeartbeats int
	// Dial opens connections. Default: TCP with keepalive, so that a connection
	// whose other end has vanished is noticed within about half a minute.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o *Options) validate() error {
	switch {
	case o.Detector == nil:
		return errors.New("Detector is missing")
	case o.AnswerTimeout < 0 || o.MissedHeartbeats < 0:
		return errors.New("AnswerTimeout and MissedHeartbeats must not be negative")
	}
	return nil
}

// Client subscribes. It may be used by several goroutines.
type Client struct {
	opt  Options
	http *http.Client
}

// New returns a client, which does nothing by itself.
func New(opt Options) (*Client, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("cannot make a client of the scheduler API: %w", err)
	}
	if opt.AnswerTimeout == 0 {
		opt.AnswerTimeout = answerTimeout
	}
	if opt.MissedHeartbeats == 0 {
		opt.MissedHeartbeats = 3
	}
	if opt.Dial == nil {
		dialer := &net.Dialer{
			Timeout: dialTimeout,
			KeepAliveConfig: net.KeepAliveConfig{
				Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
			},
		}
		opt.Dial = dialer.DialContext
	}
	return &Client{
		opt: opt,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:           opt.Dial,
				DialTLSContext:        opt.dialTLS,
				ResponseHeaderTimeout: opt.AnswerTimeout,
				// A master never codes a stream, and a connection with a stream
				// must not be used for anything else.
				DisableCompression: true,
				DisableKeepAlives:  true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// dialTLS opens a connection over which the master has proved who it is.
func (o *Options) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := o.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := o.TLS().Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// Subscribe subscribes with the leading master, wherever masters redirect to,
// and returns when it has answered. The subscription lasts until ctx ends, the
// Stream is closed or it fails. The call's type must be SUBSCRIBE. Errors are of
// type *Error.
func (c *Client) Subscribe(ctx context.Context, call *scheduler.Call) (*Stream, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, &Error{Kind: Refused, Err: fmt.Errorf("cannot encode the call: %w", err)}
	}
	leader, err := c.opt.Detector.Leader(ctx)
	if err != nil {
		return nil, &Error{Kind: Unavailable, Err: err}
	}
	at := &url.URL{Scheme: "http", Host: leader.Address, Path: endpoint}
	if c.opt.TLS != nil {
		at.Scheme = "https"
	}
	header, asked := c.header(), []string{at.Host}
	ctx, cancel := context.WithCancelCause(ctx)
	for {
		r, failed := c.post(ctx, at, header, body)
		if failed != nil {
			cancel(nil)
			failed.Doubt = leader.Doubt
			return nil, failed
		}
		if r.StatusCode == http.StatusTemporaryRedirect {
			r.Body.Close()
			next, err := redirected(at, r.Header.Get("Location"))
			if err == nil && (slices.Contains(asked, next.Host) || len(asked) > maxRedirects) {
				err = fmt.Errorf("masters name each other as leader: %s", strings.Join(append(asked, next.Host), " → "))
			}
			if err != nil {
				cancel(nil)
				return nil, &Error{Kind: Unavailable, Err: err}
			}
			at, asked = next, append(asked, next.Host)
			continue
		}
		s, err := c.stream(ctx, cancel, at, header, r, leader.Changed)
		if err != nil {
			r.Body.Close()
			cancel(nil)
			return nil, err
		}
		return s, nil
	}
}

// redirected is where a master that does not lead sends a caller: a Location
// such as //10.0.0.1:5050/master/api/v1/scheduler, which takes the scheme of the
// request.
func redirected(from *url.URL, location string) (*url.URL, error) {
	to, err := url.Parse(location)
	if err != nil || location == "" || to.Host == "" {
		return nil, fmt.Errorf("the master at %s does not lead, and names no leader", from.Host)
	}
	to = from.ResolveReference(to)
	if to.Path == "" || to.Path == "/" {
		to.Path = endpoint
	}
	return &url.URL{Scheme: from.Scheme, Host: to.Host, Path: to.Path}, nil
}

// post sends the body to one master. The answer's body is the caller's to close.
func (c *Client) post(ctx context.Context, at *url.URL, header http.Header, body []byte) (*http.Response, *Error) {
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Kind: Unavailable, Master: at.Host, Err: err}
	}
	req.Header = header.Clone()
	r, err := c.http.Do(req)
	if err != nil {
		e := &Error{Kind: Unavailable, Master: at.Host, Err: err}
		if connected {
			e.Kind = Uncertain
		}
		return nil, e
	}
	return r, nil
}

// header is what every call of a subscription carries.
func (c *Client) header() http.Header {
	h := http.Header{}
	// Masters compare these byte for byte, the scheme of the credentials too.
	h.Set("Content-Type", mediaType)
	h.Set("Accept", mediaType)
	if c.opt.Credential == nil {
		return h
	}
	if cr := c.opt.Credential(); cr != nil {
		r := http.Request{Header: h}
		r.SetBasicAuth(cr.Principal, cr.Secret)
	}
	return h
}
