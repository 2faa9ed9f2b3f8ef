package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/app"
)

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// file is the authority's own certificate.
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.file, _ = a.make(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "CA"}})
	return a
}

// make makes a certificate and returns the files with it and its key.
func (a *authority) make(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return cert, key, certFile, keyFile
}

func (a *authority) server(t *testing.T, name string) (certFile, keyFile string) {
	_, _, certFile, keyFile = a.make(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return certFile, keyFile
}

// tlsClient returns a client that trusts the authority, and shows a certificate
// if there is one. Each request has a connection of its own.
func tlsClient(t *testing.T, a *authority, certFile, keyFile string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestATeamsScheduler: over https, with tokens and client certificates, on an
// address that others reach; its files are read anew when asked for.
func TestATeamsScheduler(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	opt, log := options(t, startMesos(t))
	opt.Listen, opt.Advertise = "0.0.0.0:0", "https://127.0.0.1"
	opt.Access.Cert, opt.Access.Key = ca.server(t, "first")
	opt.Access.ClientCA = ca.file
	opt.Access.Tokens = file("tokens", fmt.Sprintf("ci sha256:%x\n", sha256.Sum256([]byte("planted-token"))))
	opt.Access.Rules = file("rules", `rules: [{who: [token:ci], right: operate, jobs: [/ci/*]}, {who: ["cert:robot"], right: read, jobs: [/*]}]`)
	opt.Access.AuditLog = filepath.Join(dir, "audit")
	opt.Principal, opt.SecretFile = "payments", file("secret", "planted-mesos-secret\n")
	reload := make(chan struct{})
	opt.Reload = reload
	at, stop := run(t, opt)
	if !strings.HasPrefix(at.Local, "https://127.0.0.1:") {
		t.Fatalf("the scheduler is at %s", at.Local)
	}

	anyone := tlsClient(t, ca, "", "")
	submit := func(token, id string) error {
		req := connect.NewRequest(&tandemv1.SubmitJobRequest{Job: &tandemv1.Job{Id: id, Workloads: []*tandemv1.Workload{{Name: "main", Cmd: "true"}}}})
		c := connect.NewClient[tandemv1.SubmitJobRequest, tandemv1.SubmitJobResponse](anyone, at.Local+tandemv1connect.SchedulerServiceSubmitJobProcedure)
		if token != "" {
			req.Header().Set("Authorization", "Bearer "+token)
		}
		_, err := c.CallUnary(t.Context(), req)
		return err
	}
	for _, tt := range []struct {
		token, id string
		want      connect.Code
	}{
		{"planted-token", "/ci/a", 0}, {"planted-token", "/other", connect.CodePermissionDenied},
		{"", "/ci/a", connect.CodeUnauthenticated}, {"wrong", "/ci/a", connect.CodeUnauthenticated},
	} {
		if err := submit(tt.token, tt.id); (err == nil) != (tt.want == 0) || err != nil && connect.CodeOf(err) != tt.want {
			t.Errorf("%s by %q: %v", tt.id, tt.token, err)
		}
	}
	_, _, cert, key := ca.make(t, &x509.Certificate{Subject: pkix.Name{CommonName: "robot"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	robot := tandemv1connect.NewSchedulerServiceClient(tlsClient(t, ca, cert, key), at.Local)
	if list, err := robot.ListJobs(t.Context(), &tandemv1.ListJobsRequest{}); err != nil || len(list.Jobs) != 1 {
		t.Errorf("the robot sees %v, %v", list, err)
	}
	old := &tls.Config{RootCAs: x509.NewCertPool(), MaxVersion: tls.VersionTLS11}
	old.RootCAs.AddCert(ca.cert)
	host := strings.TrimPrefix(at.Local, "https://")
	if c, err := tls.Dial("tcp", host, old); err == nil {
		c.Close()
		t.Error("the API speaks TLS 1.1")
	}

	// Everything is read anew: another certificate, no tokens.
	second, secondKey := ca.server(t, "second")
	copyFile(t, second, opt.Access.Cert)
	copyFile(t, secondKey, opt.Access.Key)
	if err := os.WriteFile(opt.Access.Tokens, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reload <- struct{}{}
	reload <- struct{}{} // The first is done with.
	if err := submit("planted-token", "/ci/b"); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a token that was taken away: %v", err)
	}
	res, err := anyone.Get(at.Local + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if name := res.TLS.PeerCertificates[0].Subject.CommonName; name != "second" {
		t.Errorf("the API shows the certificate %q", name)
	}
	metrics, err := tlsClient(t, ca, cert, key).Get(at.Local + "/metrics")
	if err != nil || metrics.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %v, %v", metrics, err)
	}
	shown := readAll(t, metrics)
	framework, err := robot.GetFramework(t.Context(), &tandemv1.GetFrameworkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stop()

	// No secret is anywhere that somebody looks at.
	outputs := map[string]string{"metrics": shown, "framework": framework.String()}
	for _, e := range log.AllEntries() {
		line, err := (&logrus.JSONFormatter{}).Format(e)
		if err != nil {
			t.Fatal(err)
		}
		outputs["log"] += string(line)
	}
	writes, err := os.ReadFile(opt.Access.AuditLog)
	if err != nil || !strings.Contains(string(writes), `"who":"token:ci"`) {
		t.Errorf("the audit log holds %s, %v", writes, err)
	}
	outputs["audit log"] = string(writes)
	for name, text := range outputs {
		if strings.Contains(text, "planted") {
			t.Errorf("the %s holds a secret:\n%s", name, text)
		}
	}
	if err := filepath.WalkDir(opt.StateDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "artifacts") {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "planted") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	content, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestProfilesAreForTheOwnUser: they are on a socket that only that user may
// open, also after a process that could not remove it.
func TestProfilesAreForTheOwnUser(t *testing.T) {
	dir, err := os.MkdirTemp("", "tandem") // A socket's path has at most 107 bytes.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opt, _ := options(t, startMesos(t))
	opt.DebugSocket = filepath.Join(dir, "debug")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: opt.DebugSocket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	run(t, opt)
	if info, err := os.Stat(opt.DebugSocket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", opt.DebugSocket)
	}}}
	res, err := client.Get("http://localhost/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, res); !strings.Contains(text, "goroutine profile") {
		t.Errorf("got %s", text)
	}
	other, _ := options(t, opt.Master)
	other.DebugSocket = opt.DebugSocket
	if err := app.Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another process listens on") {
		t.Errorf("a second scheduler: %v", err)
	}
}
