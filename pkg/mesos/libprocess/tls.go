// Package libprocess knows what speaking TLS with a Mesos process takes, which is
// libprocess's TLS. It must offer nothing to anybody else.
package libprocess

import "crypto/tls"

// Client returns a copy of a client's configuration that a Mesos process understands.
// Without LIBPROCESS_SSL_CIPHERS one takes nothing but suites in which RSA itself
// exchanges the keys, and DHE, which Go does not have (src/openssl.cpp); and Go does not
// offer the former unless they are named. They come after those without that lack, which
// a process that has a better list takes.
func Client(config *tls.Config) *tls.Config {
	config = config.Clone()
	for _, suite := range tls.CipherSuites() {
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	config.CipherSuites = append(config.CipherSuites,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	return config
}
