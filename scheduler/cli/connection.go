package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/pkg/certs"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// connection says where a scheduler is, and how to prove to it who is calling.
type connection struct {
	// scheduler is its address, such as http://host:7070 or host:7070.
	scheduler string
	// ca holds the authorities of its certificate; cert and key prove who is
	// calling, as does the token in tokenFile. All are paths of files.
	ca, cert, key, tokenFile string
	// context is the name of the context that the rest is taken from.
	context string
	// retry is for how long a write is asked for again that was not answered.
	retry time.Duration
	// notices is where the scheduler's notices for a person go.
	notices func() io.Writer
}

// connectionFlags are the names of the flags that a context may set.
var connectionFlags = []string{"scheduler", "tls-ca", "tls-cert", "tls-key", "token-file"}

// schedulerFlag adds --scheduler, and the flags that say how to reach it.
func schedulerFlag(cmd *cobra.Command, c *connection) {
	addressFlags(cmd, c)
	cmd.Flags().DurationVar(&c.retry, "retry", defaultRetry, "for how long a change is asked for again that was not answered; 0: not at all")
	cmd.Flags().StringVar(&c.context, "context", "", "the `name` of the context to use; see tandem context --help")
}

func addressFlags(cmd *cobra.Command, c *connection) {
	c.notices = cmd.ErrOrStderr
	f := cmd.Flags()
	f.StringVar(&c.scheduler, "scheduler", defaultScheduler, "the scheduler's `URL`")
	f.StringVar(&c.ca, "tls-ca", "", "a `file` with the authorities of the scheduler's certificate (default: the machine's)")
	f.StringVar(&c.cert, "tls-cert", "", "a `file` with the certificate that proves who is calling")
	f.StringVar(&c.key, "tls-key", "", "a `file` with the key of --tls-cert")
	f.StringVar(&c.tokenFile, "token-file", "", "a `file` with the token that proves who is calling")
}

// url is the scheduler's address in full.
func (c connection) url() (*url.URL, error) {
	base := strings.TrimRight(c.scheduler, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, failed(exitUsage, "%q is no address of a scheduler; one such as %s is asked for", c.scheduler, defaultScheduler)
	}
	return u, nil
}

// token reads the token, or nothing.
func (c connection) token(to *url.URL) (string, error) {
	if c.tokenFile == "" {
		return "", nil
	}
	if ip := net.ParseIP(to.Hostname()); to.Scheme == "http" && to.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", failed(exitUsage, "--token-file: the token would go to %s in clear; let the scheduler speak https, and name it so", to)
	}
	f, err := openFile(c.tokenFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", failed(exitUsage, "cannot read %s: %s", c.tokenFile, causeOf(err))
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", failed(exitUsage, "--token-file: %s does not hold a token in one line", c.tokenFile)
	}
	return token, nil
}

// newClient returns a client of the scheduler, which has not been called yet.
func newClient(to connection) (*client, error) { return newClientBy(to, nil) }

// newDuplexClient is newClient for calls that stream both ways, which takes
// HTTP/2.
func newDuplexClient(to connection) (*client, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return newClientBy(to, protocols)
}

func newClientBy(to connection, protocols *http.Protocols) (*client, error) {
	base, err := to.url()
	if err != nil {
		return nil, err
	}
	token, err := to.token(base)
	if err != nil {
		return nil, err
	}
	set, err := certs.Load(certs.Files{Cert: to.cert, Key: to.key, CA: to.ca})
	if err != nil {
		return nil, failed(exitUsage, "--tls-ca, --tls-cert: %s", err)
	}
	var transport http.RoundTripper = &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		Protocols:       protocols,
		DialContext:     (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig: set.Client(), TLSHandshakeTimeout: 10 * time.Second,
	}
	if token != "" {
		transport = bearer{token: token, host: base.Host, next: transport}
	}
	if to.notices != nil {
		transport = &noticing{to: to.notices(), next: transport}
	}
	c := &http.Client{Transport: transport}
	again := connect.UnaryInterceptorFunc((&insistent{retry: to.retry, say: to.notices}).wrap)
	return &client{
		SchedulerServiceClient: tandemv1connect.NewSchedulerServiceClient(c, base.String(), connect.WithInterceptors(again)),
		base:                   base.String(),
		http:                   c,
	}, nil
}

// bearer sends a token with each request to the scheduler, and to nobody that it
// redirects to.
type bearer struct {
	token, host string
	next        http.RoundTripper
}

// RoundTrip sends a request.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != b.host {
		return nil, fmt.Errorf("the scheduler sends the request on to %s, which must not see the token", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// noticing shows what the scheduler says beside its answers, once.
type noticing struct {
	to   io.Writer
	once sync.Once
	next http.RoundTripper
}

// RoundTrip sends a request.
func (n *noticing) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := n.next.RoundTrip(r)
	if err == nil && res.Header.Get(api.NoticeHeader) != "" {
		n.once.Do(func() { fmt.Fprintf(n.to, "note: %s\n", present.OneLine(res.Header.Get(api.NoticeHeader))) })
	}
	return res, err
}
