package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
	"github.com/tandem-mesos/tandem/scheduler/audit"
	"github.com/tandem-mesos/tandem/scheduler/cli"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// start serves a fake scheduler and returns its address.
func start(t *testing.T) string {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	registry := prometheus.NewRegistry()
	f := &fake{jobs: map[string]*tandemv1.JobView{}, versions: map[string]uint64{}, specs: map[string][]*tandemv1.VersionRecord{}}
	files, err := artifact.Open(filepath.Join(t.TempDir(), "artifacts"), "http://10.0.0.9:7070")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.NewGate(access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	writes, err := audit.Open("", log)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	s, err := api.New(api.Options{
		Commander: f, Reader: f, Files: files, Artifacts: files, Sandboxes: sandboxes{}, CallBack: "http://" + server.Listener.Addr().String(),
		Log: log, Registerer: registry, Gatherer: registry,
		Gate: gate, Audit: writes, Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler, server.Config.Protocols = s.Handler(), new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// system returns a System without a terminal whose clock stands still.
func system(env map[string]string) (sys cli.System, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return cli.System{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Getenv:       func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Now:          func() time.Time { return noon },
		TerminalSize: func() (int, int, bool) { return 0, 0, false },
	}, stdout, stderr
}

// TestTranscripts runs the command lines of each file in testdata/transcripts/*.txt against
// a fake scheduler, and compares what they print. A line "$ tandem …" is run,
// what follows is what it printed, and its exit status if that was not 0. DIR stands
// for a directory that is empty when the file begins, and where contexts are kept.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			base, dir := start(t), t.TempDir()
			shown := strings.NewReplacer(base, "http://scheduler:7070", dir, "DIR", runtime.Version(), "GO", runtime.GOOS+"/"+runtime.GOARCH, "PLATFORM")
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ tandem")
				if !ok {
					if strings.HasPrefix(line, "#") {
						got.WriteString(line)
					}
					continue
				}
				got.WriteString(line)
				env := map[string]string{"TANDEM_SCHEDULER": base, "XDG_CONFIG_HOME": dir}
				var args []string
				for _, arg := range strings.Fields(command) {
					if name, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(name, "TANDEM_") {
						env[name] = value
						continue
					}
					if arg == `""` {
						arg = ""
					}
					args = append(args, strings.ReplaceAll(arg, "DIR", dir))
				}
				sys, stdout, stderr := system(env)
				status := cli.Run(t.Context(), args, sys)
				got.WriteString(shown.Replace(stdout.String() + stderr.String()))
				if status != 0 {
					fmt.Fprintf(&got, "exit %d\n", status)
				}
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("the transcript differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTerminalIsDrawnAnew(t *testing.T) {
	sys, stdout, _ := system(map[string]string{"TANDEM_SCHEDULER": start(t)})
	sys.TerminalSize = func() (int, int, bool) { return 60, 8, true }
	if status := cli.Run(t.Context(), []string{"run", "--wait", "testdata/words.yaml"}, sys); status != 0 {
		t.Fatalf("exit %d", status)
	}
	// However often it was drawn, the last table was taken away, and the report
	// stands in its place.
	text := stdout.String()
	last := strings.LastIndex(text, "\x1b[J")
	if last < 0 || !strings.Contains(text[:last], "INSTANCE") || !strings.Contains(text[last:], "TASK ") {
		t.Errorf("got %q", text)
	}
	for line := range strings.Lines(text[:last]) {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("a line of %d characters: %q", n, line)
		}
	}
}

func TestInterruptedWait(t *testing.T) {
	sys, _, stderr := system(map[string]string{"TANDEM_SCHEDULER": start(t)})
	ctx, cancel := context.WithCancel(t.Context())
	sys.Stdout = writerFunc(func(p []byte) (int, error) {
		// Somebody presses Ctrl-C when the first change is shown.
		if bytes.Contains(p, []byte("PENDING")) {
			cancel()
		}
		return len(p), nil
	})
	sys.Stdin = strings.NewReader("{id: /slow, type: batch, workloads: [{name: sleep, cmd: sleep 1000}]}")
	if status := cli.Run(ctx, []string{"run", "--wait", "-"}, sys); status != 130 || stderr.String() != "tandem: interrupted; job /slow goes on, and tandem wait waits for it\n" {
		t.Errorf("exit %d: %s", status, stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestSchedulerThatCannotBeReached(t *testing.T) {
	gone := httptest.NewServer(nil)
	address := gone.URL
	gone.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := "http" + strings.TrimPrefix(secure.URL, "https")
	for _, tt := range []struct{ name, scheduler, want string }{
		{"nobody listens", address, "tandem: cannot reach the scheduler at " + address + `: connection refused; is "tandem scheduler" running? set --scheduler or TANDEM_SCHEDULER`},
		{"something else listens", page.URL, "tandem: what answers at " + page.URL + " is no Tandem scheduler: 404 Not Found; set --scheduler or TANDEM_SCHEDULER"},
		{"it speaks https", plain, "tandem: what answers at " + plain + " is no Tandem scheduler: 400 Bad Request; one that speaks https would be " + secure.URL + "; set --scheduler or TANDEM_SCHEDULER"},
		{"no address", "ftp://x", `tandem: "ftp://x" is no address of a scheduler; one such as http://127.0.0.1:7070 is asked for`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys, _, stderr := system(nil)
			status := cli.Run(t.Context(), []string{"list", "--scheduler", tt.scheduler}, sys)
			if got := strings.TrimSpace(stderr.String()); got != tt.want || status == 0 {
				t.Errorf("exit %d\n got %s\nwant %s", status, got, tt.want)
			}
		})
	}
}

func TestRelativeFilesAreUploaded(t *testing.T) {
	base := start(t)
	sys, stdout, stderr := system(map[string]string{"TANDEM_SCHEDULER": base})
	if status := cli.Run(t.Context(), []string{"run", "testdata/fetch.yaml"}, sys); status != 0 {
		t.Fatalf("exit %d: %s", status, stderr)
	}
	stdout.Reset()
	if status := cli.Run(t.Context(), []string{"status", "-o", "json", "/words"}, sys); status != 0 {
		t.Fatalf("exit %d: %s", status, stderr)
	}
	uri := ""
	for line := range strings.Lines(stdout.String()) {
		if _, rest, ok := strings.Cut(line, `"uri": "`); ok {
			uri = strings.TrimRight(strings.TrimSpace(rest), `",`)
		}
	}
	res, err := http.Get(jobspec.AddressOf(uri, base+artifact.Prefix))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	want, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s holds %q", uri, got)
	}
}
