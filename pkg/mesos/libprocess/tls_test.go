package libprocess_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/mesos/libprocess"
)

// A process that takes the suites of libprocess's own list is understood, and one that
// takes better ones is spoken to in these.
func TestClient(t *testing.T) {
	for name, c := range map[string]struct {
		takes []uint16
		want  uint16
	}{
		"libprocess's own": {[]uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		"both": {[]uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: c.takes}
			server.StartTLS()
			defer server.Close()
			transport := server.Client().Transport.(*http.Transport)
			given := transport.TLSClientConfig
			transport.TLSClientConfig = libprocess.Client(given)
			res, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got := res.TLS.CipherSuite; got != c.want {
				t.Errorf("they speak %s, want %s", tls.CipherSuiteName(got), tls.CipherSuiteName(c.want))
			}
			if given.CipherSuites != nil {
				t.Error("what was given is changed")
			}
		})
	}
}
