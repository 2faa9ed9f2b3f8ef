package switchboard_test

import (
	"bytes"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/switchboard"
)

func TestPipesKeepTheStreamsApart(t *testing.T) {
	var stdout, stderr bytes.Buffer
	s, err := switchboard.New(nil, &stdout, &stderr, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Detach(s.Attach()) // a patient one waits for the first
	if err := s.Write([]byte("in")); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(nil); err != nil { // the end of the input
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(s.Stdin); err != nil || got.String() != "in" {
		t.Errorf("the container read %q, %v", got.String(), err)
	}
	_, _ = s.Stdout.WriteString("out")
	_, _ = s.Stderr.WriteString("err")
	s.Close()
	if stdout.String() != "out" || stderr.String() != "err" {
		t.Errorf("stdout is %q and stderr %q", stdout.String(), stderr.String())
	}
	select {
	case <-s.Done():
	default:
		t.Error("a closed switchboard is not done")
	}
}

func TestTerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	s, err := switchboard.New(&mesos.TTYInfo{WindowSize: &mesos.TTYInfo_WindowSize{Rows: 5, Columns: 7}}, &stdout, &stderr, false)
	if err != nil {
		t.Skipf("no terminals are to be had here: %v", err)
	}
	_, _ = s.Stderr.WriteString("said")
	s.Close()
	if !strings.Contains(stdout.String(), "said") || stderr.Len() != 0 {
		t.Errorf("stdout is %q and stderr %q", stdout.String(), stderr.String())
	}
}

func TestOneGivesTheInput(t *testing.T) {
	s, err := switchboard.New(nil, &bytes.Buffer{}, &bytes.Buffer{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Take() || s.Take() {
		t.Error("two could take the input, or nobody")
	}
	s.Leave()
	if !s.Take() {
		t.Error("nobody could take the input after the first left it")
	}
}
