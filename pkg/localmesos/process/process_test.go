package process_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func get(t *testing.T, rt http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	rt.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

// TestToggle holds what a real Mesos of 1.12 answers.
func TestToggle(t *testing.T) {
	synctest.Test(t, toggle)
}

func toggle(t *testing.T) {
	p := process.New(process.Options{Clock: clock.Real{}})
	rt := wire.NewRouter("master")
	p.Register(rt)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/logging/toggle", 200, "0\n"},
		{"/logging/toggle?level=1", 400, "Expecting 'duration=value' in query.\n"},
		{"/logging/toggle?duration=1secs", 400, "Expecting 'level=value' in query.\n"},
		{"/logging/toggle?level=x&duration=1secs", 400, "Failed to convert 'x' to number.\n"},
		{"/logging/toggle?level=-1&duration=1secs", 400, "Invalid level '-1'.\n"},
		{"/logging/toggle?level=1&duration=x", 400, "Failed to convert '' to number.\n"},
		{"/logging/toggle?level=2&duration=1hrs", 200, ""},
		{"/logging/toggle", 200, "2\n"},
		{"/profiler/start", 400, "Perftools is disabled. To enable perftools, configure libprocess with --enable-perftools.\n"},
	} {
		if rec := get(t, rt, c.path); rec.Code != c.status || rec.Body.String() != c.body {
			t.Errorf("%s: %d %q", c.path, rec.Code, rec.Body)
		}
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	if level := p.Level(); level != 0 {
		t.Errorf("after the duration the level is %d", level)
	}
}

func TestGuard(t *testing.T) {
	p := process.New(process.Options{Clock: clock.Real{}, Guard: func(h wire.Handler) wire.Handler {
		return wire.Authenticated("realm", nil, h)
	}})
	rt := wire.NewRouter("master")
	p.Register(rt)
	for path, status := range map[string]int{
		"/logging/toggle": 401, "/profiler/start": 401, "/profiler/stop": 401, "/system/stats.json": 200, "/__processes__": 200, "/help": 200,
	} {
		if rec := get(t, rt, path); rec.Code != status {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

func TestStats(t *testing.T) {
	p := process.New(process.Options{Clock: clock.Real{}})
	rt := wire.NewRouter("master")
	p.Register(rt)
	var stats map[string]float64
	if err := json.Unmarshal(get(t, rt, "/system/stats.json").Body.Bytes(), &stats); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"avg_load_15min", "avg_load_1min", "avg_load_5min", "cpus_total", "mem_free_bytes", "mem_total_bytes"} {
		if _, ok := stats[name]; !ok {
			t.Errorf("%s is not told", name)
		}
	}
	if len(process.Metrics()) != len(stats) {
		t.Errorf("metrics: %v", process.Metrics())
	}
}

func TestTimeout(t *testing.T) {
	for query, want := range map[string]string{
		"":                 "",
		"?timeout=1secs":   "",
		"?timeout=1":       "Invalid timeout '1': Invalid duration '1'.\n",
		"?timeout=bogus":   "Invalid timeout 'bogus': Failed to convert '' to number.\n",
		"?timeout=1second": "Invalid timeout '1second': Unknown duration unit 'second'.\n",
	} {
		err := process.Timeout(httptest.NewRequest(http.MethodGet, "/metrics/snapshot"+query, nil))
		if got := ""; err != nil {
			got = err.Error()
			if got != want {
				t.Errorf("%s: %q", query, got)
			}
		} else if want != "" {
			t.Errorf("%s: taken", query)
		}
	}
}
