package ui_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/ui"
)

func TestFiles(t *testing.T) {
	mux := http.NewServeMux()
	if err := ui.Route(mux); err != nil {
		t.Fatal(err)
	}
	get := func(path, tag string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("If-None-Match", tag)
		mux.ServeHTTP(w, r)
		return w
	}
	for path, want := range map[string]struct {
		status int
		media  string
		text   string
	}{
		"/":                               {200, "text/html; charset=utf-8", "<title>Tandem</title>"},
		"/jobs/payments/api":              {200, "text/html; charset=utf-8", "<title>Tandem</title>"},
		"/tasks/payments_api.0.1.web":     {200, "text/html; charset=utf-8", "<title>Tandem</title>"},
		"/ui/main.js":                     {200, "text/javascript; charset=utf-8", "viewOf"},
		"/ui/style.css":                   {200, "text/css; charset=utf-8", "prefers-color-scheme: dark"},
		"/ui/tandem.svg":                  {200, "image/svg+xml", "<svg"},
		"/ui/nothing.js":                  {404, "text/plain; charset=utf-8", "not found"},
		"/ui/..%2fui.go":                  {404, "text/plain; charset=utf-8", "not found"},
		"/nowhere":                        {404, "text/plain; charset=utf-8", "not found"},
		"/tasks/payments_api.0.1.web/log": {404, "text/plain; charset=utf-8", "not found"},
	} {
		w := get(path, "")
		if w.Code != want.status || w.Header().Get("Content-Type") != want.media || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s %.80s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if want.status != 200 {
			continue
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "form-action 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s", path, part)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
		if again := get(path, w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s: asked again, the answer is %d", path, again.Code)
		}
	}
}
