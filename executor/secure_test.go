package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// certificate makes one for this machine, and a directory with a file that
// vouches for it.
func certificate(t *testing.T) (config *tls.Config, dir, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "agent"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	file = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, dir, file
}

const token = "eyJhbGciOiJIUzI1NiJ9.eyJleGVjdXRvciI6ImFwaS4wLjEifQ.c2lnbmF0dXJl"

func TestAgentWithTLSAndTokens(t *testing.T) {
	for name, authorities := range map[string]func(dir, file string) string{
		"a file":      func(_, file string) string { return "LIBPROCESS_SSL_CA_FILE=" + file },
		"a directory": func(dir, _ string) string { return "LIBPROCESS_SSL_CA_DIR=" + dir },
	} {
		t.Run(name, func(t *testing.T) {
			config, dir, file := certificate(t)
			a := startAgent(t, &agent{tls: config, token: token}, authorities(dir, file),
				"LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=1", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN="+token)
			a.launch(shell("web", "env", 32))
			a.await("web", mesos.TASK_FINISHED)
			a.awaitExit(0)
			if out := a.output("web", "stdout"); strings.Contains(out, token) || strings.Contains(out, "LIBPROCESS") {
				t.Errorf("the task was told:\n%s", out)
			}
		})
	}
}

func TestAgentThatRefusesTheToken(t *testing.T) {
	a := startAgent(t, &agent{token: token}, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=eyJ.another.one")
	a.awaitExit(1)
	a.wantLog("the agent answers SUBSCRIBE with 401")
}

// TestAgentOfAnUnknownCertificate is one that an executor waits for: it may get
// another certificate.
func TestAgentOfAnUnknownCertificate(t *testing.T) {
	config, _, _ := certificate(t)
	_, _, other := certificate(t)
	a := startAgent(t, &agent{tls: config}, "LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=1", "LIBPROCESS_SSL_CA_FILE="+other)
	a.eventually("a complaint", func() bool {
		text, _ := os.ReadFile(filepath.Join(a.sandbox, "stderr"))
		return strings.Contains(string(text), "certificate")
	})
	select {
	case <-a.exited:
		t.Error("the executor has given up")
	default:
	}
}

// wantLog looks for a text in the executor's log.
func (a *agent) wantLog(text string) {
	a.t.Helper()
	log, err := os.ReadFile(filepath.Join(a.sandbox, "stderr"))
	if err != nil || !strings.Contains(string(log), text) {
		a.t.Errorf("the log does not say %q", text)
	}
}
