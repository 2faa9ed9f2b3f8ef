package wire_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestAuthenticated(t *testing.T) {
	secrets := map[string]string{"alice": "secret"}
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, c := range map[string]struct {
		header string
		want   string // the principal; empty if refused
	}{
		"right":             {basic("alice:secret"), "alice"},
		"none":              {"", ""},
		"wrong secret":      {basic("alice:other"), ""},
		"unknown principal": {basic("bob:secret"), ""},
		"no colon":          {basic("alice"), ""},
		"not base64":        {"Basic ***", ""},
		"lower case":        {"basic" + basic("alice:secret")[5:], ""},
		"two blanks":        {"Basic " + basic("alice:secret")[5:], ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/state", nil)
			r.Header.Set("Authorization", c.header)
			var served *http.Request
			err := wire.Authenticated("the realm", secrets, func(_ http.ResponseWriter, r *http.Request) error {
				served = r
				return nil
			})(httptest.NewRecorder(), r)
			if c.want == "" {
				var refused *wire.Error
				if served != nil || !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || refused.Authenticate != `Basic realm="the realm"` {
					t.Fatalf("served %v, error %v", served != nil, err)
				}
				return
			}
			if err != nil || wire.Principal(served) != c.want {
				t.Fatalf("principal %q, error %v", wire.Principal(served), err)
			}
		})
	}
	if p := wire.Principal(httptest.NewRequest(http.MethodGet, "/", nil)); p != "" {
		t.Errorf("a request that nobody authenticated is %q's", p)
	}
}
