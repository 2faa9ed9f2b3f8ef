package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/api"
)

// part answers everything with its word.
type part struct {
	word  string
	ended atomic.Bool
}

func (p *part) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, p.word) })
}

func (p *part) End() { p.ended.Store(true) }

// frontOn starts a front that nobody answers yet, and stops it when the test ends.
func frontOn(t *testing.T, opt api.FrontOptions, l net.Listener) (front *api.Front, stop func()) {
	t.Helper()
	front, err := api.NewFront(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- front.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return front, stop
}

func front(t *testing.T) (f *api.Front, base string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt := options(&commander{}, teams())
	f, stop = frontOn(t, api.FrontOptions{Log: opt.Log, Registerer: opt.Registerer}, l)
	return f, "http://" + l.Addr().String(), stop
}

// TestNoConnectionIsCutWhileAnotherTakesOver: every request is answered by one or the
// other, on new connections and on old ones.
func TestNoConnectionIsCutWhileAnotherTakesOver(t *testing.T) {
	f, base, _ := front(t)
	one, two := &part{word: "one"}, &part{word: "two"}
	f.Answer(one)
	var asking, taken sync.WaitGroup
	for n := range 8 {
		taken.Add(1)
		asking.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
			first := sync.OnceFunc(taken.Done)
			defer first()
			for word := ""; word != "two"; {
				// A POST is not sent a second time by the client itself.
				res, err := client.Post(base, "text/plain", nil)
				if err != nil {
					t.Errorf("after %q: %v", word, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if word = string(body); err != nil || word != "one" && word != "two" {
					t.Errorf("answered %q, %v", word, err)
					return
				}
				first()
			}
		})
	}
	taken.Wait()
	f.Answer(nil)
	f.Answer(two)
	asking.Wait()
	if !one.ended.Load() || two.ended.Load() {
		t.Error("the one that goes was not told so, or the one that comes was")
	}
}

// TestARequestBetweenTwoWaits for whoever has the answers next; whether the process is
// well is told meanwhile, and all others are told when it stops.
func TestARequestBetweenTwoWaits(t *testing.T) {
	f, base, stop := front(t)
	get := func(path string) (int, string) {
		res, err := http.Get(base + path)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := get("/readyz"); status != http.StatusServiceUnavailable || body != "not yet: the state is being read\n" {
		t.Errorf("/readyz: %d %s", status, body)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if status, body := get("/"); body != "answer" {
			t.Errorf("who waited was answered %d %s", status, body)
		}
	})
	f.Answer(&part{word: "answer"})
	waiting.Wait()

	f.Answer(nil)
	waits := make(chan struct{})
	go func() {
		// Whoever comes after the end is not let in at all.
		defer close(waits)
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, base+"/tandem.v1.SchedulerService/StopJob", nil)
		req.Header.Set("Content-Type", "application/json")
		if res, err := http.DefaultClient.Do(req); err == nil {
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("who waited when it stopped was answered %d", res.StatusCode)
			}
			res.Body.Close()
		}
	}()
	stop()
	<-waits
}
