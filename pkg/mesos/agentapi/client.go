// Package agentapi is a client of the files that a Mesos agent shows: the
// sandboxes of executors and tasks. It speaks the agent's v1 operator API, which
// gives the bytes of a file as they are, and its size with them; /files/read
// gives neither.
//
// It must never decide when to try again, and holds nothing of any framework.
package agentapi

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

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"
)

const (
	mediaType = "application/x-protobuf"
	// maxAnswer bounds an answer, in bytes: a piece of a file has 64 KiB, and
	// ten thousand files in one directory fit.
	maxAnswer = 4 << 20
)

// ErrNoFile is the answer to a path that leads to nothing: a file that has not
// been made yet, or a sandbox that the agent has removed.
var ErrNoFile = errors.New("there is no such file")

// Options says how to speak with agents.
type Options struct {
	// Credential returns what a call that is made now is sent with, by HTTP Basic
	// authentication. Nil, or an empty principal, sends nothing.
	Credential func() (principal, secret string)
	// TLS returns the settings of a connection that is made now with an agent
	// whose address begins with https. Nil has the default.
	TLS func() *tls.Config
	// Timeout bounds one call. Default: 10 seconds.
	Timeout time.Duration
}

// Client reads agents' files. Its methods block until the answer is there, and
// are safe for concurrent use.
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
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		DisableCompression: true,
	}
	if opt.TLS != nil {
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: dialer, Config: opt.TLS()}).DialContext(ctx, network, address)
		}
	}
	return &Client{opt: opt, http: &http.Client{
		Timeout:   opt.Timeout,
		Transport: transport,
		// An agent never redirects; whoever does must not get the secret.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ReadFile returns up to length bytes of a file of the agent at an address such
// as http://10.0.0.5:5051, from the offset on, and how large the file is. An
// agent gives no more than 64 KiB at once (16 pages), and nothing beyond the
// end. ErrNoFile says that there is no such file.
func (c *Client) ReadFile(ctx context.Context, agentURL, path string, offset, length int64) (data []byte, size int64, err error) {
	n := uint64(length)
	res, err := c.call(ctx, agentURL, &agent.Call{
		Type:     agent.Call_READ_FILE,
		ReadFile: &agent.Call_ReadFile{Path: path, Offset: uint64(offset), Length: &n},
	})
	if err != nil {
		return nil, 0, err
	}
	return res.GetReadFile().GetData(), int64(res.GetReadFile().GetSize_()), nil
}

// ListFiles returns what is in a directory of the agent, with full paths; a file
// has nothing in it. ErrNoFile says that there is no such directory.
func (c *Client) ListFiles(ctx context.Context, agentURL, path string) ([]mesos.FileInfo, error) {
	res, err := c.call(ctx, agentURL, &agent.Call{
		Type: agent.Call_LIST_FILES, ListFiles: &agent.Call_ListFiles{Path: path},
	})
	if err != nil {
		return nil, err
	}
	return res.GetListFiles().GetFileInfos(), nil
}

func (c *Client) call(ctx context.Context, agentURL string, call *agent.Call) (*agent.Response, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot encode a call: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, agentURL+"/api/v1", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cannot ask the agent at %s: %w", agentURL, err)
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Accept", mediaType)
	if c.opt.Credential != nil {
		if principal, secret := c.opt.Credential(); principal != "" {
			req.SetBasicAuth(principal, secret)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the agent: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the answer of the agent at %s: %w", agentURL, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the agent at %s answers with more than %d bytes", agentURL, maxAnswer)
	case res.StatusCode == http.StatusNotFound:
		return nil, ErrNoFile
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("the agent at %s does not let this scheduler read sandboxes: %s", agentURL, res.Status)
	case res.StatusCode != http.StatusOK:
		text := strings.TrimSpace(string(answer[:min(len(answer), 200)]))
		return nil, fmt.Errorf("the agent at %s answers: %s", agentURL, strings.TrimSpace(res.Status+" "+text))
	}
	r := &agent.Response{}
	if err := r.Unmarshal(answer); err != nil {
		return nil, fmt.Errorf("cannot decode the answer of the agent at %s: %w", agentURL, err)
	}
	return r, nil
}
