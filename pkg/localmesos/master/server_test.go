package master

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// TestServesOverTheNetwork is the one test with a real listener.
func TestServesOverTheNetwork(t *testing.T) {
	m, err := New(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			if err := m.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	defer stop()

	body := `{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"x"}}}`
	res, err := http.Post(m.URL()+"/api/v1/scheduler", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stream := wire.NewRecordReader(res.Body)
	first, err := stream.Next()
	if err != nil || !bytes.HasPrefix(first, []byte(`{"type":"SUBSCRIBED"`)) {
		t.Fatalf("got %s, %v", first, err)
	}
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	health, err := http.Get(m.URL() + "/health")
	if err != nil {
		t.Fatal(err)
	}
	health.Body.Close()
	if health.StatusCode != 200 || health.ContentLength != 0 || health.Header.Get("Content-Type") != "" {
		t.Errorf("/health: %d, %v", health.StatusCode, health.Header)
	}
	stop()
	if _, err := stream.Next(); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}
