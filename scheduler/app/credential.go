package app

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/tandem-mesos/tandem/pkg/certs"
	"github.com/tandem-mesos/tandem/pkg/mesos/libprocess"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// credential is what the scheduler proves to masters and agents who it is with.
// A secret that is read anew holds for the next subscription, and for the next
// call to an agent.
type credential struct {
	principal, file string
	secret          atomic.Pointer[string]
	// tls is nil when masters and agents are called over http.
	tls *certs.Set
}

func (o *Options) credential() (*credential, error) {
	c := &credential{principal: o.Principal, file: o.SecretFile}
	if err := c.reload(); err != nil {
		return nil, err
	}
	if o.MesosTLS {
		var err error
		if c.tls, err = certs.Load(certs.Files{Cert: o.MesosCert, Key: o.MesosKey, CA: o.MesosCA}); err != nil {
			return nil, fmt.Errorf("--mesos-ca, --mesos-cert: %w", err)
		}
	}
	return c, nil
}

// reload reads the secret anew.
func (c *credential) reload() error {
	if c.file == "" {
		return nil
	}
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return fmt.Errorf("--secret-file: %s is empty", c.file)
	}
	c.secret.Store(&secret)
	return nil
}

// master is what masters are shown.
func (c *credential) master() *schedulerapi.Credential {
	if secret := c.secret.Load(); secret != nil {
		return &schedulerapi.Credential{Principal: c.principal, Secret: *secret}
	}
	return nil
}

// agent is what agents, and the pages of masters, are shown.
func (c *credential) agent() (principal, secret string) {
	if s := c.secret.Load(); s != nil {
		secret = *s
	}
	return c.principal, secret
}

// mesosTLS is nil when masters and agents are called over http.
func (c *credential) mesosTLS() func() *tls.Config {
	if c.tls == nil {
		return nil
	}
	return func() *tls.Config { return libprocess.Client(c.tls.Client()) }
}
