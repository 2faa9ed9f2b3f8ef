package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/certs"
	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/audit"
)

// Access says who may call the API, and how they are known. Files are named by
// their paths, and read anew when they change.
type Access struct {
	// Cert and Key have the API speak https. Without them it speaks http.
	Cert, Key string
	// ClientCA holds the authorities of client certificates, which then prove who
	// a caller is.
	ClientCA string
	// Tokens holds the hashes of the tokens that prove who a caller is.
	Tokens string
	// Rules say what callers may do. It is needed when they prove who they are.
	Rules string
	// Issuer is the URL of the OIDC issuer whose ID tokens, meant for Audience,
	// prove who a caller is. NameClaim and GroupsClaim are the claims that say it;
	// empty means email and groups.
	Issuer, Audience, NameClaim, GroupsClaim string
	// PeerCA holds the authorities of the certificates of the schedulers that share
	// a state with this one; empty means the machine's own.
	PeerCA string
	// AllowAnonymous lets anybody who can connect do everything, from other
	// machines too.
	AllowAnonymous bool
	// RateLimit is how many requests one client may make in a second, and
	// MaxConnections how many connections may be open; see api.Limits.
	RateLimit      float64
	MaxConnections int
	// AuditLog is the file that every write is recorded in; empty means the log.
	AuditLog string
}

// validate says all that is wrong, one line each.
func (a *Access) validate(listen string, advertised *url.URL) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if (a.Cert == "") != (a.Key == "") {
		bad("--tls-cert and --tls-key are given together, or none of them")
	}
	if a.ClientCA != "" && a.Cert == "" {
		bad("--client-ca: client certificates come with https: add --tls-cert and --tls-key")
	}
	if a.Cert != "" && advertised != nil && advertised.Scheme == "http" {
		bad("--advertise: %s is http, but with --tls-cert the API speaks https", advertised)
	}
	if a.Issuer == "" && (a.Audience != "" || a.NameClaim != "" || a.GroupsClaim != "") {
		bad("--oidc-issuer: name the issuer of the ID tokens")
	}
	if a.MaxConnections < 0 {
		bad("--max-connections: %d is negative", a.MaxConnections)
	}
	authenticates := a.Tokens != "" || a.ClientCA != "" || a.Issuer != ""
	switch {
	case authenticates && a.AllowAnonymous:
		bad("--allow-anonymous does not go together with --tokens, --client-ca or --oidc-issuer; a rule in --rules can give rights to anonymous")
	case !authenticates && !a.AllowAnonymous && isAddress(listen) && !loopback(listen):
		bad("--listen: anybody who can connect to %s may run programs on the cluster: have callers prove who they are "+
			"(--tokens, --client-ca or --oidc-issuer, with --rules), or say that you want that (--allow-anonymous)", listen)
	}
	return errors.Join(errs...)
}

// gate makes what tells callers.
func (a *Access) gate() (*access.Gate, error) {
	opt := access.Options{TokensFile: a.Tokens, RulesFile: a.Rules, Certificates: a.ClientCA != ""}
	if a.Issuer != "" {
		issuer, err := access.NewIssuer(access.IssuerOptions{
			URL: a.Issuer, Audience: a.Audience, NameClaim: a.NameClaim, GroupsClaim: a.GroupsClaim,
		})
		if err != nil {
			return nil, err
		}
		opt.Issuer = issuer
	}
	return access.NewGate(opt)
}

// certificates returns what the API's TLS is made of, or nil for none.
func (a *Access) certificates() (*certs.Set, error) {
	if a.Cert == "" {
		return nil, nil
	}
	set, err := certs.Load(certs.Files{Cert: a.Cert, Key: a.Key, CA: a.ClientCA})
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --client-ca: %w", err)
	}
	return set, nil
}

func (a *Access) scheme() string {
	if a.Cert != "" {
		return "https"
	}
	return "http"
}

// names are the hosts by which an API that is open to everybody may be called:
// any other could be a name of a page's own that leads here. Those of standbys are
// not known to the leader, which is called by any name then.
func (o *Options) names(advertised *url.URL) []string {
	if strings.HasPrefix(o.StateDir, zookeeper.Scheme) {
		return nil
	}
	names := []string{advertised.Hostname()}
	if own, err := os.Hostname(); err == nil {
		names = append(names, own)
	}
	return names
}

// warnOfClearText says so when tokens go over the network for all to read.
func (a *Access) warnOfClearText(log logrus.FieldLogger, listen string) {
	if a.Cert == "" && (a.Tokens != "" || a.Issuer != "") && !loopback(listen) {
		log.Warnf("tokens come to %s in clear: give --tls-cert and --tls-key, unless a proxy before it speaks https", listen)
	}
}

// door is what callers meet first, whether this scheduler leads or stands by.
type door struct {
	gate   *access.Gate
	writes *audit.Log
	// certificates are nil when the API speaks http.
	certificates *certs.Set
	// peers verify the other schedulers.
	peers *certs.Set
}

func (a *Access) door(log logrus.FieldLogger) (*door, error) {
	d := &door{}
	var err error
	if d.gate, err = a.gate(); err != nil {
		return nil, err
	}
	if d.certificates, err = a.certificates(); err != nil {
		return nil, err
	}
	if d.peers, err = certs.Load(certs.Files{CA: a.PeerCA}); err != nil {
		return nil, fmt.Errorf("--peer-ca: %w", err)
	}
	if d.writes, err = audit.Open(a.AuditLog, log.WithField("component", "audit")); err != nil {
		return nil, err
	}
	return d, nil
}

// server is how the API speaks https, or nil.
func (d *door) server() *tls.Config {
	if d.certificates == nil {
		return nil
	}
	return d.certificates.Server()
}
