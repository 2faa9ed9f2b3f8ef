// Package masterapi is a client of what a Mesos master shows of its cluster to
// everybody who may look: which agents and frameworks it knows.
//
// It must never change anything, nor decide when to try again.
package masterapi

import (
	"context"
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
	// Principal and Secret are sent by HTTP Basic authentication, unless Secret
	// is empty.
	Principal, Secret string
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
	return &Client{opt: opt, http: &http.Client{
		Timeout:   opt.Timeout,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, DisableKeepAlives: true},
	}}
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

func (c *Client) get(ctx context.Context, master, path string, into any) error {
	fail := func(err error) error { return fmt.Errorf("cannot ask the master at %s for %s: %w", master, path, err) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+master+path, nil)
	if err != nil {
		return fail(err)
	}
	if c.opt.Secret != "" {
		req.SetBasicAuth(c.opt.Principal, c.opt.Secret)
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
