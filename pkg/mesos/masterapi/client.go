// Package masterapi is a client of what a Mesos master shows of its cluster to
// everybody who may look: which agents and frameworks it knows.
//
// It must never change anything, nor decide when to try again.
package masterapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds an answer, in bytes: that of a cluster of 50,000 agents fits.
const maxAnswer = 256 << 20

// ErrForbidden is the answer to who may not look.
var ErrForbidden = errors.New("it does not let this principal look")

// Options says how to speak with masters.
type Options struct {
	// Credential returns what a call that is made now is sent with, by HTTP Basic
	// authentication. Nil, or an empty secret, sends nothing.
	Credential func() (principal, secret string)
	// TLS returns the settings of a call that is made now, over https; nil makes
	// calls over http.
	TLS func() *tls.Config
	// Timeout bounds one call. Default: 10 seconds.
	Timeout time.Duration
}

// Client asks masters. Its methods block until the answer is there, and are safe
// for concurrent use.
type Client struct {
	opt  Options
	http *http.Client
}

// New returns a client, which does nothing by itself.
func New(opt Options) *Client {
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	if opt.TLS != nil {
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: dialer, Config: opt.TLS()}).DialContext(ctx, network, address)
		}
	}
	return &Client{opt: opt, http: &http.Client{Timeout: opt.Timeout, Transport: transport}}
}

// Known are the IDs that a master knows.
type Known struct {
	// Agents are those that are registered, and those of the registry that have
	// not come back since the master began to lead. One that was marked
	// unreachable is among neither.
	Agents []string
	// Frameworks are those that are registered, that agents have told of, and
	// that the master remembers as completed.
	Frameworks []string
}

// Known asks the master at the address, host:port, or the one that it names as
// the leader, whom it knows. A master shows only what the principal may see; the
// error is ErrForbidden when that is nothing.
func (c *Client) Known(ctx context.Context, master string) (Known, error) {
	type id struct{ ID string }
	var agents struct {
		Slaves          []id
		RecoveredSlaves []id `json:"recovered_slaves"`
	}
	var frameworks struct {
		Frameworks          []id
		CompletedFrameworks []id `json:"completed_frameworks"`
	}
	if err := c.get(ctx, master, "/slaves", &agents); err != nil {
		return Known{}, err
	}
	if err := c.get(ctx, master, "/frameworks", &frameworks); err != nil {
		return Known{}, err
	}
	var k Known
	for _, list := range [][]id{agents.Slaves, agents.RecoveredSlaves} {
		for _, a := range list {
			k.Agents = append(k.Agents, a.ID)
		}
	}
	for _, list := range [][]id{frameworks.Frameworks, frameworks.CompletedFrameworks} {
		for _, f := range list {
			k.Frameworks = append(k.Frameworks, f.ID)
		}
	}
	return k, nil
}

func (c *Client) scheme() string {
	if c.opt.TLS != nil {
		return "https://"
	}
	return "http://"
}

func (c *Client) get(ctx context.Context, master, path string, into any) error {
	fail := func(err error) error { return fmt.Errorf("cannot ask the master at %s for %s: %w", master, path, err) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.scheme()+master+path, nil)
	if err != nil {
		return fail(err)
	}
	if c.opt.Credential != nil {
		if principal, secret := c.opt.Credential(); secret != "" {
			req.SetBasicAuth(principal, secret)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return fail(ErrForbidden)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fail(fmt.Errorf("it answered %s: %s", resp.Status, strings.TrimSpace(string(text))))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fail(err)
	}
	return nil
}
