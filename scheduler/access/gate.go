package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a Gate is made of. With none of TokensFile, Issuer and
// Certificates everybody may do everything.
type Options struct {
	// TokensFile and RulesFile are the paths of the files that ParseTokens and
	// ParseRules read.
	TokensFile, RulesFile string
	// Issuer verifies ID tokens; nil takes none.
	Issuer *Issuer
	// Certificates says that the server's TLS verifies client certificates, so
	// that they prove who a caller is.
	Certificates bool
	// Now is the time. Default: time.Now.
	Now func() time.Time
}

func (o *Options) authenticates() bool {
	return o.TokensFile != "" || o.Issuer != nil || o.Certificates
}

func (o *Options) validate() error {
	switch {
	case o.authenticates() && o.RulesFile == "":
		return errors.New("callers prove who they are, but nothing says what they may do: name a file of rules with --rules")
	case !o.authenticates() && o.RulesFile != "":
		return errors.New("--rules says what callers may do, but nothing proves who they are: add --tokens, --client-ca or --oidc-issuer")
	}
	return nil
}

// Gate tells who callers are. Its methods are safe for concurrent use.
type Gate struct {
	opt Options
	// mu guards what is below.
	mu     sync.RWMutex
	tokens *Tokens
	list   *Rules
	// changed is closed, and replaced, whenever something was loaded.
	changed chan struct{}
}

// NewGate returns a gate, and fails when a file cannot be used.
func NewGate(opt Options) (*Gate, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	g := &Gate{opt: opt, tokens: &Tokens{}, list: openRules, changed: make(chan struct{})}
	if opt.authenticates() {
		g.list = &Rules{}
	}
	if err := errors.Join(g.LoadTokens(), g.LoadRules()); err != nil {
		return nil, err
	}
	return g, nil
}

// Open reports whether everybody may do everything.
func (g *Gate) Open() bool { return !g.opt.authenticates() }

// LoadTokens reads the file of tokens anew. When it fails those that were read
// before go on to hold.
func (g *Gate) LoadTokens() error {
	if g.opt.TokensFile == "" {
		return nil
	}
	content, err := os.ReadFile(g.opt.TokensFile)
	if err != nil {
		return fmt.Errorf("--tokens: %w", err)
	}
	tokens, err := ParseTokens(content)
	if err != nil {
		return lines("--tokens: "+g.opt.TokensFile, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens = tokens
	g.tellChange()
	return nil
}

// LoadRules reads the file of rules anew. When it fails those that were read
// before go on to hold.
func (g *Gate) LoadRules() error {
	if g.opt.RulesFile == "" {
		return nil
	}
	content, err := os.ReadFile(g.opt.RulesFile)
	if err != nil {
		return fmt.Errorf("--rules: %w", err)
	}
	list, err := ParseRules(content)
	if err != nil {
		return lines("--rules: "+g.opt.RulesFile, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = list
	g.tellChange()
	return nil
}

// lines puts the place before each line of an error.
func lines(place string, err error) error {
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			errs = append(errs, fmt.Errorf("%s: %s", place, line))
		}
	}
	return errors.Join(errs...)
}

// tellChange is called with mu held.
func (g *Gate) tellChange() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gate) changes() <-chan struct{} {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.changed
}

func (g *Gate) rules() *Rules {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.list == nil {
		return &Rules{}
	}
	return g.list
}

// ErrUnproven is within every error of Caller: what the request brings proves
// nothing.
var ErrUnproven = errors.New("who is calling is not proven")

// Caller returns who makes a request: by the token, which may be empty, or else
// by the request's client certificate, or else nobody in particular. It asks an
// issuer for its keys when they are not known, and else does not block.
func (g *Gate) Caller(ctx context.Context, token string, r *http.Request) (*Grant, error) {
	grant := &Grant{Caller: anonymous, gate: g, prove: func() error { return nil }}
	switch {
	case g.Open():
	case token != "":
		caller, err := g.byToken(ctx, token)
		if err != nil {
			return nil, err
		}
		grant.Caller = caller
		grant.prove = func() error {
			_, err := g.byToken(context.WithoutCancel(ctx), token)
			return err
		}
	case g.opt.Certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		grant.Caller = byCertificate(r.TLS.PeerCertificates[0])
	}
	return grant, nil
}

// byToken names a caller by a token of the file, or of the issuer.
func (g *Gate) byToken(ctx context.Context, token string) (caller Caller, err error) {
	if g.opt.Issuer != nil && strings.Count(token, ".") == 2 {
		caller, err = g.opt.Issuer.caller(ctx, token)
	} else {
		g.mu.RLock()
		tokens := g.tokens
		g.mu.RUnlock()
		caller, err = tokens.caller(token, g.opt.Now())
	}
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return caller, nil
}

// byCertificate names a caller by a certificate that has been verified.
func byCertificate(c *x509.Certificate) Caller {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, "cert:"+name) {
			names = append(names, "cert:"+name)
		}
	}
	add(c.Subject.CommonName)
	for _, u := range c.URIs {
		add(u.String())
	}
	for _, name := range slices.Concat(c.DNSNames, c.EmailAddresses) {
		add(name)
	}
	if len(names) == 0 {
		add(c.Subject.String())
	}
	if len(names) == 0 {
		names = []string{"cert:" + c.SerialNumber.String()}
	}
	return Caller{Name: names[0], Others: names[1:], Expires: c.NotAfter}
}
