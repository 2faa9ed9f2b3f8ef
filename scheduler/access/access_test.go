package access_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
)

const (
	read    = tandemv1.Right_RIGHT_READ
	operate = tandemv1.Right_RIGHT_OPERATE
	admin   = tandemv1.Right_RIGHT_ADMIN
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// line is that of a token in the file.
func line(name, token, more string) string {
	return fmt.Sprintf("%s sha256:%x %s\n", name, sha256.Sum256([]byte(token)), more)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gate(t *testing.T, opt access.Options) *access.Gate {
	t.Helper()
	opt.Now = func() time.Time { return now }
	g, err := access.NewGate(opt)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestWhoMayDoWhat is the table of rights.
func TestWhoMayDoWhat(t *testing.T) {
	g := gate(t, access.Options{
		TokensFile: write(t, "tokens", line("ci", "ci's", "")+line("watcher", "watcher's", "# reads")+line("boss", "boss's", "")+line("stray", "stray's", "")),
		RulesFile: write(t, "rules.yaml", `
rules:
  - who: [token:ci, "cert:deploy.example.org"]
    right: operate
    jobs: [/payments/*, /shared/cache]
  - who: [everyone]
    right: read
    jobs: [/payments]
  - who: [token:boss]
    right: admin
    jobs: [/*]
  - who: [anonymous]
    right: read
    jobs: [/public]
`),
		Certificates: true,
	})
	certificate := &http.Request{TLS: &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "deploy"}, DNSNames: []string{"deploy.example.org"}}},
		VerifiedChains:   [][]*x509.Certificate{{}},
	}}
	unverified := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: certificate.TLS.PeerCertificates}}
	plain := &http.Request{}
	for _, tt := range []struct {
		token string
		r     *http.Request
		name  string
		right tandemv1.Right
		job   string
		may   bool
	}{
		{"ci's", plain, "token:ci", operate, "/payments/api", true},
		{"ci's", plain, "token:ci", read, "/payments/api", true},
		{"ci's", plain, "token:ci", admin, "/payments/api", false},
		{"ci's", plain, "token:ci", operate, "/payments/api/v2", true},
		// What is below a path is not the path itself.
		{"ci's", plain, "token:ci", operate, "/payments", false},
		{"ci's", plain, "token:ci", operate, "/payments/", false},
		{"ci's", plain, "token:ci", operate, "/payments2/api", false},
		{"ci's", plain, "token:ci", operate, "/shared/cache", true},
		// The runs of a cron job are below it.
		{"ci's", plain, "token:ci", operate, "/shared/cache/2026-03-01t00-00-00", true},
		{"ci's", plain, "token:ci", operate, "/shared/cache2", false},
		{"ci's", plain, "token:ci", operate, "/", false},
		{"ci's", plain, "token:ci", operate, "", false},
		{"ci's", plain, "token:ci", read, "/public", false},
		{"watcher's", plain, "token:watcher", read, "/payments", true},
		{"watcher's", plain, "token:watcher", operate, "/payments", false},
		{"boss's", plain, "token:boss", admin, "/anything/at/all", true},
		{"boss's", plain, "token:boss", admin, "/", true},
		{"", certificate, "cert:deploy", operate, "/payments/api", true},
		{"", certificate, "cert:deploy", admin, "/payments/api", false},
		// A token goes before a certificate.
		{"watcher's", certificate, "token:watcher", operate, "/payments/api", false},
		{"", unverified, "anonymous", operate, "/payments/api", false},
		{"", plain, "anonymous", read, "/public", true},
		{"", plain, "anonymous", operate, "/public", false},
		{"", plain, "anonymous", read, "/payments", false},
		{"boss's", plain, "token:boss", tandemv1.Right_RIGHT_UNSPECIFIED, "/a", false},
	} {
		grant, err := g.Caller(t.Context(), tt.token, tt.r)
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if grant.Name != tt.name || grant.May(tt.right, tt.job) != tt.may {
			t.Errorf("%s may %s %q: %v, want %s: %v", grant.Name, access.Word(tt.right), tt.job, !tt.may, tt.name, tt.may)
		}
	}
}

func TestAGateWithoutProofsIsOpen(t *testing.T) {
	g := gate(t, access.Options{})
	grant, err := g.Caller(t.Context(), "any", &http.Request{})
	if err != nil || !grant.MayAll(admin) || !g.Open() {
		t.Errorf("got %v, %v", grant, err)
	}
}

func TestWhoIsNotKnownMayDoNothing(t *testing.T) {
	if grant := access.Of(t.Context()); grant.May(read, "/a") || grant.MaySome(read) || grant.MayAll(read) {
		t.Error("a context without a grant gives a right")
	}
}

func TestWrongProofsAreRefused(t *testing.T) {
	g := gate(t, access.Options{
		TokensFile: write(t, "tokens", line("old", "old's", "2026-02-28T00:00:00Z")+line("new", "new's", "2026-03-02T00:00:00Z")),
		RulesFile:  write(t, "rules.yaml", "rules: [{who: [everyone], right: read, jobs: [/*]}]"),
	})
	for token, want := range map[string]string{
		"nobody's": "the token is not known", "old's": "the token of old has expired at 2026-02-28T00:00:00Z", "new's": "",
	} {
		_, err := g.Caller(t.Context(), token, &http.Request{})
		if want == "" && err != nil || want != "" && (!errors.Is(err, access.ErrUnproven) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", token, err, want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the refusal repeats the token: %v", err)
		}
	}
}

// TestFilesAreReadAnew: what a file says now holds for callers who are there
// already, and a file that has become wrong changes nothing.
func TestFilesAreReadAnew(t *testing.T) {
	tokens := write(t, "tokens", line("ci", "ci's", ""))
	rules := write(t, "rules.yaml", "rules: [{who: [token:ci], right: operate, jobs: [/a]}]")
	g := gate(t, access.Options{TokensFile: tokens, RulesFile: rules})
	grant, err := g.Caller(t.Context(), "ci's", &http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	replace := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told := grant.Changed()
	replace(rules, "rules: [{who: [token:ci], right: reed, jobs: [/a]}]")
	if err := g.LoadRules(); err == nil || !strings.Contains(err.Error(), `rules[0].right: "reed" is not read, operate or admin`) {
		t.Errorf("got %v", err)
	}
	if !grant.May(operate, "/a") {
		t.Error("a wrong file has taken a right away")
	}
	select {
	case <-told:
		t.Error("a wrong file was told as a change")
	default:
	}
	replace(rules, "rules: [{who: [token:ci], right: read, jobs: [/a]}]")
	if err := g.LoadRules(); err != nil {
		t.Fatal(err)
	}
	<-told
	if grant.May(operate, "/a") || !grant.May(read, "/a") {
		t.Error("the new rules do not hold")
	}
	replace(tokens, "")
	if err := errors.Join(grant.Check(), g.LoadTokens()); err != nil {
		t.Fatal(err)
	}
	if err := grant.Check(); !errors.Is(err, access.ErrUnproven) {
		t.Errorf("a token that was taken away still proves something: %v", err)
	}
}

func TestWrongRulesAreNamed(t *testing.T) {
	for content, want := range map[string]string{
		"rule: []": "rule",
		"rules: [{who: [everyone], right: read, jobs: [/*], until: never}]":     "until",
		"rules: [{who: [everyone], right: write, jobs: [/*]}]":                  `rules[0].right: "write" is not read, operate or admin`,
		"rules: [{right: read, jobs: [/*]}]":                                    "rules[0].who: names nobody",
		"rules: [{who: [everyone], right: read}]":                               "rules[0].jobs: names no jobs",
		"rules: [{who: [ann], right: read, jobs: [/*]}]":                        `rules[0].who: "ann" is not token:NAME`,
		"rules: [{who: ['token:'], right: read, jobs: [/*]}]":                   `rules[0].who: "token:" is not token:NAME`,
		"rules: [{who: [everyone], right: read, jobs: [payments]}]":             `rules[0].jobs: "payments" is no path`,
		"rules: [{who: [everyone], right: read, jobs: [/a/*/b]}]":               `rules[0].jobs: "/a/*/b" is no path`,
		"rules: [{who: [everyone], right: read, jobs: [/]}]":                    `rules[0].jobs: "/" is no path`,
		"rules: [{who: [everyone], right: read, jobs: [/*]}]\n---\nrules: []\n": "something follows its first document",
	} {
		if _, err := access.ParseRules([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}

func TestWrongTokensAreNamed(t *testing.T) {
	for content, want := range map[string]string{
		"ci":                           "line 1: a name, sha256:",
		"ci tandem_planted":            "line 1: a name, sha256:",
		"ci sha256:abc":                "line 1: the hash is not",
		"c/i " + line("", "x", "")[1:]: "line 1: the name has",
		line("a", "x", "tomorrow"):     "line 1: the time is not",
		line("a", "x", "") + "\n" + line("b", "x", ""): "line 3: the token stands there already",
	} {
		_, err := access.ParseTokens([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("the error repeats what may be a token: %v", err)
		}
	}
}

func TestANewTokenIsKnownByItsLine(t *testing.T) {
	token, l, err := access.NewToken("ci")
	if err != nil || !strings.HasPrefix(token, "tandem_") || strings.Contains(l, token) {
		t.Fatalf("got %q, %q, %v", token, l, err)
	}
	g := gate(t, access.Options{TokensFile: write(t, "tokens", l), RulesFile: write(t, "rules", "")})
	if grant, err := g.Caller(t.Context(), token, &http.Request{}); err != nil || grant.Name != "token:ci" {
		t.Errorf("got %v, %v", grant, err)
	}
	if _, _, err := access.NewToken("c i"); err == nil {
		t.Error("a name with a space is taken")
	}
}

func TestCertificatesNameTheirHolders(t *testing.T) {
	g := gate(t, access.Options{Certificates: true, RulesFile: write(t, "rules", `rules:
- {who: ["cert:spiffe://example.org/ci"], right: read, jobs: [/uri]}
- {who: ["cert:ann@example.org"], right: read, jobs: [/mail]}
- {who: ["cert:Ann"], right: read, jobs: [/cn]}`)})
	spiffe, _ := url.Parse("spiffe://example.org/ci")
	r := &http.Request{TLS: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}, PeerCertificates: []*x509.Certificate{{
		Subject: pkix.Name{CommonName: "Ann"}, URIs: []*url.URL{spiffe}, EmailAddresses: []string{"ann@example.org"},
	}}}}
	grant, err := g.Caller(t.Context(), "", r)
	if err != nil || !grant.May(read, "/uri") || !grant.May(read, "/mail") || !grant.May(read, "/cn") || grant.May(read, "/other") {
		t.Errorf("got %+v, %v", grant, err)
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte("rules: [{who: [everyone], right: read, jobs: [/*]}]"))
	f.Add([]byte("rules: &a [{who: [token:x], right: admin, jobs: [/a/b, /c/*]}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if rules, err := access.ParseRules(content); (rules == nil) == (err == nil) {
			t.Errorf("got %v, %v", rules, err)
		}
	})
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(line("ci", "x", "2026-01-01T00:00:00Z # note")))
	f.Fuzz(func(t *testing.T, content []byte) {
		if tokens, err := access.ParseTokens(content); (tokens == nil) == (err == nil) {
			t.Errorf("got %v, %v", tokens, err)
		}
	})
}
