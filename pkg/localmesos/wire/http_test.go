package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func TestReadCallChecksInMesosOrder(t *testing.T) {
	s := newSchema(t)
	const revive = `{"type":"REVIVE","framework_id":{"value":"nope"}}`
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte(revive))
	_ = zip.Close()

	for _, tt := range []struct {
		name    string
		method  string
		headers [][2]string
		body    string
		status  int
		text    string
	}{
		{"good", "POST", [][2]string{{"Content-Type", "application/json"}}, revive, 200, ""},
		{"zipped", "POST", [][2]string{{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}, zipped.String(), 200, ""},
		{"said to be zipped", "POST", [][2]string{{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}, revive, 500, "failed to decode body"},
		{"unknown coding is not looked at", "POST", [][2]string{{"Content-Type", "application/json"}, {"Content-Encoding", "deflate"}}, revive, 200, ""},
		{"method comes first", "PUT", nil, "", 405, "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'PUT'."},
		{"no content type", "POST", nil, revive, 400, "Expecting 'Content-Type' to be present"},
		{"parameters", "POST", [][2]string{{"Content-Type", "application/json; charset=utf-8"}}, revive, 415, "Expecting 'Content-Type' of application/json or application/x-protobuf"},
		{"case", "POST", [][2]string{{"Content-Type", "APPLICATION/JSON"}}, revive, 415, "Expecting 'Content-Type' of application/json or application/x-protobuf"},
		{"last header wins", "POST", [][2]string{{"Content-Type", "text/plain"}, {"Content-Type", "application/json"}}, revive, 200, ""},
		{"last header loses", "POST", [][2]string{{"Content-Type", "application/json"}, {"Content-Type", "text/plain"}}, revive, 415, "Expecting 'Content-Type' of application/json or application/x-protobuf"},
		{"bad JSON", "POST", [][2]string{{"Content-Type", "application/json"}}, "", 400, "Failed to parse body into JSON: syntax error at line 1 near: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/api/v1/scheduler", strings.NewReader(tt.body))
			for _, h := range tt.headers {
				r.Header.Add(h[0], h[1])
			}
			var call scheduler.Call
			_, err := s.ReadCall(r, &call)
			var answer *Error
			switch {
			case tt.status == 200:
				if err != nil || call.FrameworkID.Value != "nope" {
					t.Errorf("got %v, %v", err, &call)
				}
			case !errors.As(err, &answer):
				t.Errorf("got %v", err)
			case answer.Status != tt.status || answer.Text != tt.text:
				t.Errorf("got %d %q, want %d %q", answer.Status, answer.Text, tt.status, tt.text)
			}
		})
	}
}

func TestErrorsArePlainTextWithoutNewline(t *testing.T) {
	w := httptest.NewRecorder()
	MethodNotAllowed("GET", "POST").Write(w)
	if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" ||
		w.Header().Get("Content-Length") != "72" || w.Body.String() != "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'." {
		t.Errorf("got %d %v %q", w.Code, w.Header(), w.Body)
	}
}

func TestAcceptPrefersJSON(t *testing.T) {
	for accept, want := range map[string]string{
		"application/json":       "application/json",
		"application/x-protobuf": "application/x-protobuf",
		"*/*":                    "application/json",
		"application/*":          "application/json",
		"application/x-protobuf, application/json;q=0.1": "application/json",
		"application/json;q=0,application/x-protobuf":    "application/x-protobuf",
		"Application/JSON": "application/json",
		"text/html":        "",
		"text/html, application/x-protobuf ; q=0.5, a/b;c": "application/x-protobuf",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Accept", accept)
		got, err := Accept(r)
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("Accept: %s: got %q, %v, want %q", accept, got, err, want)
		}
	}
	if got, err := Accept(httptest.NewRequest("POST", "/", nil)); got != JSON || err != nil {
		t.Errorf("no Accept: got %q, %v", got, err)
	}
}

func TestRouterMatchesByElements(t *testing.T) {
	rt := NewRouter("master")
	for _, path := range []string{"/", "/api/v1", "/api/v1/scheduler", "/state"} {
		rt.Handle(path, func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, path)
			return err
		})
	}
	rt.Handle("/fails", func(http.ResponseWriter, *http.Request) error { return errors.New("disk on fire") })
	for path, want := range map[string]string{
		"/":                        "/",
		"/master":                  "/",
		"/api/v1/scheduler":        "/api/v1/scheduler",
		"/api/v1/scheduler/":       "/api/v1/scheduler",
		"/master/api/v1/scheduler": "/api/v1/scheduler",
		"//api/v1/scheduler":       "/api/v1/scheduler",
		"/api/v1/none":             "/api/v1",
		"/state/x?y=z":             "/state",
		"/%61pi/v1/scheduler":      "404 Not Found.",
		"/nope":                    "404 Not Found.",
		"/states":                  "404 Not Found.",
		"/fails":                   "disk on fire",
		"/state#x":                 "/state",
		"/state?y=z#x#y":           "/state",
		"/#/state":                 "/",
		"/state%23x":               "404 Not Found.",
	} {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestEventsReachTheClientInOrder(t *testing.T) {
	s := newSchema(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		events := new(Events)
		events.Send(&scheduler.Event{Type: scheduler.Event_HEARTBEAT})
		w := httptest.NewRecorder()
		done := make(chan error)
		go func() {
			r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
			done <- s.ServeEvents(w, r, JSON, "stream-1", events)
		}()
		synctest.Wait()
		events.Send(&scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: "Framework failed over"}})
		events.Close()
		events.Send(&scheduler.Event{Type: scheduler.Event_HEARTBEAT}) // too late
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := "20\n{\"type\":\"HEARTBEAT\"}" + "60\n{\"type\":\"ERROR\",\"error\":{\"message\":\"Framework failed over\"}}"
		if got := w.Body.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if w.Header().Get("Mesos-Stream-Id") != "stream-1" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("got headers %v", w.Header())
		}
		cancel()
	})
}

func TestStreamEndsWithItsClient(t *testing.T) {
	s := newSchema(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
			done <- s.ServeEvents(httptest.NewRecorder(), r, JSON, "", new(Events))
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRecordReader(t *testing.T) {
	in := NewRecordReader(strings.NewReader("3\nabc0\n2\nde5\nx"))
	for _, want := range []string{"abc", "", "de"} {
		got, err := in.Next()
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that is cut: %v", err)
	}
	if _, err := NewRecordReader(strings.NewReader("")).Next(); !errors.Is(err, io.EOF) {
		t.Errorf("an empty stream: %v", err)
	}
	for _, bad := range []string{"x\n", "\n", "-1\n", "99999999999999999999\n"} {
		if _, err := NewRecordReader(strings.NewReader(bad)).Next(); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func FuzzRecordReader(f *testing.F) {
	f.Add([]byte("3\nabc0\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := NewRecordReader(bytes.NewReader(stream))
		var again []byte
		for {
			record, err := in.Next()
			if err != nil {
				break
			}
			again = AppendRecord(again, record)
		}
		// Lengths with leading zeros are read, but not written.
		if !bytes.HasPrefix(stream, again) && !bytes.Contains(stream, []byte("0")) {
			t.Errorf("read %q, which is no prefix of %q", again, stream)
		}
	})
}
