// Package masterapi is a client of what a Mesos master shows of its cluster to
// everybody who may look: which agents and frameworks it knows, whether an operator
// drains one, and the quotas of roles. For the first it speaks the v1 operator API,
// whose answers, unlike those of /slaves and /frameworks, do not list every task, and
// asks for these where a master keeps that API to itself; of quotas that API does not
// tell what is consumed, and nothing of one agent alone.
//
// It must never change anything, nor decide when to try again.
package masterapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"
)

const (
	mediaType = "application/x-protobuf"
	// maxAnswer bounds an answer, in bytes: that of a cluster of 50,000 agents
	// fits.
	maxAnswer = 256 << 20
)

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

// Frameworks returns the IDs of the frameworks that the master at the address,
// host:port, or the one that it names as the leader, knows: those that are
// registered, that agents have told of, and that it remembers as completed. A
// master leaves out those that the principal may not see; the error is
// ErrForbidden when it may not ask.
func (c *Client) Frameworks(ctx context.Context, at string) ([]string, error) {
	r, err := c.call(ctx, at, master.Call_GET_FRAMEWORKS)
	if errors.Is(err, ErrForbidden) {
		return c.page(ctx, at, "/frameworks")
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, list := range [][]master.Response_GetFrameworks_Framework{r.GetGetFrameworks().GetFrameworks(), r.GetGetFrameworks().GetCompletedFrameworks()} {
		for i := range list {
			ids = append(ids, list[i].FrameworkInfo.GetID().GetValue())
		}
	}
	return ids, nil
}

// Agents returns the IDs of the agents that the master knows as Frameworks does:
// those that are registered, and those of the registry that have not come back
// since it began to lead. One that was marked unreachable is among neither.
func (c *Client) Agents(ctx context.Context, at string) ([]string, error) {
	r, err := c.call(ctx, at, master.Call_GET_AGENTS)
	if errors.Is(err, ErrForbidden) {
		return c.page(ctx, at, "/slaves")
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, a := range r.GetGetAgents().GetAgents() {
		ids = append(ids, a.AgentInfo.GetID().GetValue())
	}
	for _, a := range r.GetGetAgents().GetRecoveredAgents() {
		ids = append(ids, a.GetID().GetValue())
	}
	return ids, nil
}

func (c *Client) call(ctx context.Context, at string, what master.Call_Type) (*master.Response, error) {
	fail := func(err error) (*master.Response, error) {
		return nil, fmt.Errorf("cannot make the call %s to the master at %s: %w", what, at, err)
	}
	body, err := (&master.Call{Type: what}).Marshal()
	if err != nil {
		return fail(err)
	}
	answer, err := c.ask(ctx, http.MethodPost, at+"/api/v1", body)
	if err != nil {
		return fail(err)
	}
	r := &master.Response{}
	if err := r.Unmarshal(answer); err != nil {
		return fail(err)
	}
	return r, nil
}

// page returns the IDs that stand on an older page. A master may keep the v1
// API to itself, for clusters are changed by it, and show these.
func (c *Client) page(ctx context.Context, at, path string) ([]string, error) {
	fail := func(err error) ([]string, error) {
		return nil, fmt.Errorf("cannot ask the master at %s for %s: %w", at, path, err)
	}
	answer, err := c.ask(ctx, http.MethodGet, at+path, nil)
	if err != nil {
		return fail(err)
	}
	type id struct{ ID string }
	var shown struct {
		Frameworks          []id
		CompletedFrameworks []id `json:"completed_frameworks"`
		Slaves              []id
		RecoveredSlaves     []id `json:"recovered_slaves"`
	}
	if err := json.Unmarshal(answer, &shown); err != nil {
		return fail(err)
	}
	var ids []string
	for _, entry := range slices.Concat(shown.Frameworks, shown.CompletedFrameworks, shown.Slaves, shown.RecoveredSlaves) {
		ids = append(ids, entry.ID)
	}
	return ids, nil
}

// ask returns the body of a good answer.
func (c *Client) ask(ctx context.Context, method, where string, body []byte) ([]byte, error) {
	scheme := "http://"
	if c.opt.TLS != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+where, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", mediaType)
		req.Header.Set("Accept", mediaType)
	}
	if c.opt.Credential != nil {
		if principal, secret := c.opt.Credential(); secret != "" {
			req.SetBasicAuth(principal, secret)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, ErrForbidden
	case http.StatusOK:
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return nil, fmt.Errorf("it answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}
