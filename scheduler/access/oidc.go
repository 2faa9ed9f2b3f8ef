package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// IssuerOptions are what an Issuer is made of.
type IssuerOptions struct {
	// URL is the issuer's, as its tokens have it. Required, and https unless the
	// issuer is on this machine.
	URL string
	// Audience is what tokens must be meant for: the client ID that people's
	// tools log in with. Required.
	Audience string
	// NameClaim is the claim that names a caller. Default: email.
	NameClaim string
	// GroupsClaim is the claim that lists a caller's groups. Default: groups.
	GroupsClaim string
	// Now is the time. Default: time.Now.
	Now func() time.Time
}

func (o *IssuerOptions) validate() error {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("--oidc-issuer: %q is not an address of the form https://host", o.URL)
	case u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
		return fmt.Errorf("--oidc-issuer: keys from %s could be anybody's: https is asked for", o.URL)
	case o.Audience == "":
		return errors.New("--oidc-audience: name what ID tokens must be meant for, the client ID that people log in with")
	}
	return nil
}

// Issuer verifies ID tokens. Its methods are safe for concurrent use.
type Issuer struct {
	opt    IssuerOptions
	client *http.Client

	// mu lets one goroutine look for the keys at a time, and guards what is below.
	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	// failed and retry keep an issuer that does not answer from being asked at
	// every call.
	failed error
	retry  time.Time
}

// NewIssuer returns an issuer, which is asked for its keys at the first token.
func NewIssuer(opt IssuerOptions) (*Issuer, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	if opt.NameClaim == "" {
		opt.NameClaim = "email"
	}
	if opt.GroupsClaim == "" {
		opt.GroupsClaim = "groups"
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Issuer{opt: opt, client: &http.Client{Timeout: 10 * time.Second}}, nil
}

// again is how long an issuer that did not answer is left alone.
const again = 5 * time.Second

// keys returns what verifies tokens.
func (i *Issuer) keys() (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	if i.failed != nil && i.opt.Now().Before(i.retry) {
		return nil, i.failed
	}
	// The verifier goes on to use this context when keys change.
	p, err := oidc.NewProvider(oidc.ClientContext(context.Background(), i.client), i.opt.URL)
	if err != nil {
		i.failed, i.retry = fmt.Errorf("the issuer %s does not give its keys: %w", i.opt.URL, err), i.opt.Now().Add(again)
		return nil, i.failed
	}
	// The library takes asymmetric signatures alone, as none and a shared secret
	// would prove nothing.
	i.verifier = p.Verifier(&oidc.Config{ClientID: i.opt.Audience, Now: i.opt.Now})
	return i.verifier, nil
}

func (i *Issuer) caller(ctx context.Context, raw string) (Caller, error) {
	verifier, err := i.keys()
	if err != nil {
		return Caller{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return Caller{}, fmt.Errorf("the ID token is refused: %w", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Caller{}, fmt.Errorf("the ID token's claims cannot be read: %w", err)
	}
	name, _ := claims[i.opt.NameClaim].(string)
	if name == "" {
		return Caller{}, fmt.Errorf("the ID token names nobody in its claim %q", i.opt.NameClaim)
	}
	if verified, told := claims["email_verified"].(bool); i.opt.NameClaim == "email" && told && !verified {
		return Caller{}, errors.New("the ID token's e-mail address is not verified by its issuer")
	}
	c := Caller{Name: "oidc:" + name, Expires: token.Expiry}
	for _, g := range texts(claims[i.opt.GroupsClaim]) {
		c.Others = append(c.Others, "group:"+g)
	}
	return c, nil
}

// texts reads a claim of strings. Some issuers give a list of one without its brackets.
func texts(claim any) []string {
	one, is := claim.(string)
	if is && one != "" {
		return []string{one}
	}
	var all []string
	list, _ := claim.([]any)
	for _, v := range list {
		if v, is := v.(string); is {
			all = append(all, v)
		}
	}
	return all
}
