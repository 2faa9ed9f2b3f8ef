package agentapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
)

// serve starts an agent that answers calls with a response, or a status.
func serve(t *testing.T, answer func(*agent.Call) (*agent.Response, int)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		call := &agent.Call{}
		if err != nil || call.Unmarshal(body) != nil || r.URL.Path != "/api/v1" || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Accept") != "application/x-protobuf" {
			t.Errorf("a wrong request: %s %s %v", r.Method, r.URL, r.Header)
		}
		if user, secret, ok := r.BasicAuth(); !ok || user != "payments" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		res, status := answer(call)
		w.WriteHeader(status)
		if res != nil {
			text, err := res.Marshal()
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(text)
		} else {
			_, _ = io.WriteString(w, "it is what it is\n")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var payments = agentapi.Options{Credential: func() (string, string) { return "payments", "s3cret" }}

func TestFiles(t *testing.T) {
	url := serve(t, func(c *agent.Call) (*agent.Response, int) {
		switch c.Type {
		case agent.Call_READ_FILE:
			if r := c.ReadFile; r.Path != "/a" || r.Offset != 3 || *r.Length != 5 {
				t.Errorf("asked for %v", r)
			}
			return &agent.Response{Type: agent.Response_READ_FILE, ReadFile: &agent.Response_ReadFile{Size_: 9, Data: []byte("\xff\x00b")}}, 200
		case agent.Call_LIST_FILES:
			return &agent.Response{Type: agent.Response_LIST_FILES, ListFiles: &agent.Response_ListFiles{FileInfos: []mesos.FileInfo{{Path: c.ListFiles.Path + "/b"}}}}, 200
		}
		return nil, 501
	})
	c := agentapi.New(payments)
	if data, size, err := c.ReadFile(t.Context(), url, "/a", 3, 5); string(data) != "\xff\x00b" || size != 9 || err != nil {
		t.Errorf("read %q, %d, %v", data, size, err)
	}
	if files, err := c.ListFiles(t.Context(), url, "/a"); len(files) != 1 || files[0].Path != "/a/b" || err != nil {
		t.Errorf("listed %v, %v", files, err)
	}
}

func TestErrors(t *testing.T) {
	status := 0
	url := serve(t, func(*agent.Call) (*agent.Response, int) { return nil, status })
	for _, tt := range []struct {
		status int
		want   string
	}{
		{404, "there is no such file"},
		{403, "the agent at URL does not let this scheduler read sandboxes: 403 Forbidden"},
		{503, "the agent at URL answers: 503 Service Unavailable it is what it is"},
		{200, "cannot decode the answer of the agent at URL: "},
	} {
		status = tt.status
		_, err := agentapi.New(payments).ListFiles(t.Context(), url, "/a")
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), url, "URL"), tt.want) {
			t.Errorf("%d: got %v, want %s", tt.status, err, tt.want)
		}
		if errors.Is(err, agentapi.ErrNoFile) != (tt.status == 404) {
			t.Errorf("%d is %v", tt.status, err)
		}
	}
	if _, err := agentapi.New(agentapi.Options{}).ListFiles(t.Context(), url, "/a"); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") {
		t.Errorf("without a principal: %v", err)
	}
	if _, err := agentapi.New(payments).ListFiles(t.Context(), "http://127.0.0.1:1", "/a"); err == nil || !strings.HasPrefix(err.Error(), "cannot reach the agent: ") {
		t.Errorf("nobody there: %v", err)
	}
}
