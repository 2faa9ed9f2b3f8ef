package access_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tandem-mesos/tandem/scheduler/access"
)

// issuer is an OIDC issuer on this machine.
type issuer struct {
	*httptest.Server
	key  *rsa.PrivateKey
	down bool
}

func newIssuer(t *testing.T) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case i.down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "openid-configuration"):
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
			})
		default:
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// token returns an ID token with the claims, signed with a key.
func (i *issuer) token(t *testing.T, key any, alg jose.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.URL, "aud": "tandem", "sub": "1", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "email": "ann@example.org"}
	for k, v := range claims {
		all[k] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestIDTokens(t *testing.T) {
	i := newIssuer(t)
	clock := now
	at := func() time.Time { return clock }
	known, err := access.NewIssuer(access.IssuerOptions{URL: i.URL, Audience: "tandem", Now: at})
	if err != nil {
		t.Fatal(err)
	}
	g := gate(t, access.Options{Issuer: known, RulesFile: write(t, "rules", `rules:
- {who: ["oidc:ann@example.org"], right: operate, jobs: [/ann]}
- {who: ["group:payments"], right: read, jobs: [/payments]}`)})

	// An issuer that is away refuses callers, and is asked again later.
	i.down = true
	good := i.token(t, i.key, jose.RS256, map[string]any{"groups": []string{"payments", "web"}})
	if _, err := g.Caller(t.Context(), good, &http.Request{}); err == nil || !strings.Contains(err.Error(), "does not give its keys") {
		t.Errorf("got %v", err)
	}
	i.down, clock = false, now.Add(10*time.Second)

	grant, err := g.Caller(t.Context(), good, &http.Request{})
	if err != nil || grant.Name != "oidc:ann@example.org" || !grant.May(operate, "/ann") || !grant.May(read, "/payments") || grant.May(operate, "/payments") {
		t.Fatalf("got %+v, %v", grant, err)
	}
	one, err := g.Caller(t.Context(), i.token(t, i.key, jose.RS256, map[string]any{"groups": "payments"}), &http.Request{})
	if err != nil || !one.May(read, "/payments") {
		t.Errorf("the only group of a caller counts for nothing: %+v, %v", one, err)
	}
	if !grant.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("the proof expires at %v", grant.Expires)
	}

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ token, want string }{
		"another key":      {i.token(t, other, jose.RS256, nil), "failed to verify signature"},
		"a shared secret":  {i.token(t, []byte(strings.Repeat("s", 32)), jose.HS256, nil), "malformed jwt"},
		"another audience": {i.token(t, i.key, jose.RS256, map[string]any{"aud": "wiki"}), "expected audience"},
		"another issuer":   {i.token(t, i.key, jose.RS256, map[string]any{"iss": "https://elsewhere"}), "different provider"},
		"expired":          {i.token(t, i.key, jose.RS256, map[string]any{"exp": now.Add(-time.Minute).Unix()}), "token is expired"},
		"nobody":           {i.token(t, i.key, jose.RS256, map[string]any{"email": ""}), "names nobody"},
		"unverified":       {i.token(t, i.key, jose.RS256, map[string]any{"email_verified": false}), "not verified"},
		"nonsense":         {"a.b.c", "malformed jwt"},
	} {
		if _, err := g.Caller(t.Context(), tt.token, &http.Request{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}

	clock = now.Add(2 * time.Hour)
	if err := grant.Check(); err == nil {
		t.Error("a token that has expired still proves something")
	}
}

func TestWrongIssuers(t *testing.T) {
	for _, opt := range []access.IssuerOptions{
		{URL: "login.example", Audience: "tandem"}, {URL: "http://login.example", Audience: "tandem"}, {URL: "https://login.example"},
	} {
		if _, err := access.NewIssuer(opt); err == nil {
			t.Errorf("%+v is taken", opt)
		}
	}
}
