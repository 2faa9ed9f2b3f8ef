package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// FuzzEveryCall sends anything to every call, as JSON and as protobuf: it is
// answered, and what is refused is refused with a code.
func FuzzEveryCall(f *testing.F) {
	methods := tandemv1.File_tandem_v1_api_proto.Services().ByName("SchedulerService").Methods()
	for _, m := range []proto.Message{
		&tandemv1.SubmitJobRequest{Job: words()}, &tandemv1.GetJobRequest{Id: "/team/words", PageSize: 1, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"job"}}},
		&tandemv1.ListJobsRequest{PageToken: "L2E", Labels: []string{"a=b"}, Below: "/"}, &tandemv1.KillTaskRequest{TaskId: "team_words.0.1.count"},
		&tandemv1.DrainAgentRequest{Agent: "agent1", Cancel: true},
		&tandemv1.ExecTaskRequest{TaskId: "team_words.0.1.count", Input: &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{
			Command: &tandemv1.ExecCommand{Args: []string{"cat"}, Stdin: true, Terminal: true},
		}}},
	} {
		text, err := protojson.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for n := range methods.Len() {
			f.Add(uint8(n), true, text)
			f.Add(uint8(n), false, wire)
		}
	}
	r := teams()
	s, err := api.New(options(&commander{task: func(core.Command) (core.Reply, error) {
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "the task has ended"}
	}}, r))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, n uint8, text bool, content []byte) {
		m := methods.Get(int(n) % methods.Len())
		kind := "proto"
		if text {
			kind = "json"
		}
		if m.IsStreamingServer() || m.IsStreamingClient() {
			kind = "connect+" + kind
			head := []byte{0, byte(len(content) >> 24), byte(len(content) >> 16), byte(len(content) >> 8), byte(len(content))}
			content = append(head, content...)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "/tandem.v1.SchedulerService/"+string(m.Name()), bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/"+kind)
		req.RemoteAddr = "127.0.0.1:1"
		if m.IsStreamingClient() {
			req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/2.0", 2, 0
		}
		w := &answer{header: http.Header{}}
		s.Handler().ServeHTTP(w, req)
		said := w.body.String()
		if w.status >= 500 && !strings.Contains(said, `"code":`) {
			t.Errorf("%s answered %d %s", m.Name(), w.status, said)
		}
		// What cannot be read is refused before anybody looks at it.
		if strings.Contains(said, `"code":`) && !strings.Contains(said, "google.rpc.ErrorInfo") && !strings.Contains(said, "unmarshal") {
			t.Errorf("%s was refused without a reason: %s", m.Name(), said)
		}
	})
}

// answer is a ResponseWriter that streams can write to.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) Flush() {}

// FuzzEveryHandler sends anything to whatever else a server and a standby answer, and to
// the calls by every protocol: it is answered, and not with a fault of their own.
func FuzzEveryHandler(f *testing.F) {
	content := "words"
	file := fmt.Sprintf("/files/%x/words.txt", sha256.Sum256([]byte(content)))
	for _, seed := range [][6]string{
		{"GET", "/", "", "", "", ""}, {"GET", "/jobs/team/words", "", "", "", ""}, {"GET", "/static/main.js", "", "", "", ""},
		{"GET", "/healthz", "", "", "", ""}, {"GET", "/readyz", "", "", "", ""}, {"GET", "/metrics", "", "Bearer planted-boss", "", ""},
		{"PUT", file, "", "Bearer planted-writer", "", content}, {"HEAD", file, "", "Bearer planted-writer", "", ""}, {"PUT", "/files/../x", "", "", "", ""},
		{"GET", "/sessions/abc", "", "Bearer x", "", ""}, {"GET", "/artifacts/abc", "", "", "", ""},
		{"GET", "/login", "", "", "tandem_login=x", ""}, {"POST", "/login", "application/json", "", "", `{"token":"planted-boss"}`}, {"DELETE", "/login", "", "", "tandem_login=x", ""},
		{"GET", "/tandem.v1.SchedulerService/GetJob?connect=v1&encoding=json&message=%7B%7D", "", "Bearer planted-reader", "", ""},
		{"POST", "/tandem.v1.SchedulerService/ListJobs", "application/grpc", "Bearer planted-reader", "", "\x00\x00\x00\x00\x00"},
		{"POST", "/tandem.v1.SchedulerService/Watch", "application/grpc-web+proto", "Bearer planted-reader", "", "\x00\x00\x00\x00\x00"},
		{"POST", "/tandem.v1.SchedulerService/Nothing", "application/json", "Basic eDp5", "", "{}"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], []byte(seed[5]))
	}
	opt, _, _ := guarded(f, &commander{}, teams())
	opt.Limits.Rate = -1
	s, err := api.New(opt)
	if err != nil {
		f.Fatal(err)
	}
	copied, _, _ := guarded(f, &commander{}, teams())
	copied.Limits.Rate = -1
	handlers := map[string]http.Handler{"the server": s.Handler(), "a standby": newStandby(f, copied).handler}
	f.Fuzz(func(t *testing.T, method, target, kind, token, cookie string, content []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip("no request has this target")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for who, handler := range handlers {
			req, err := http.NewRequestWithContext(ctx, method, "/", bytes.NewReader(content))
			if err != nil {
				t.Skip("no request has this method")
			}
			req.URL, req.RemoteAddr = u, "127.0.0.1:1"
			for name, value := range map[string]string{"Content-Type": kind, "Authorization": token, "Cookie": cookie} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			w := &answer{header: http.Header{}}
			handler.ServeHTTP(w, req)
			if w.status >= 500 && w.status != http.StatusNotImplemented && w.status != http.StatusServiceUnavailable {
				t.Errorf("%s answered %s %s with %d %s", who, method, target, w.status, &w.body)
			}
		}
	})
}
