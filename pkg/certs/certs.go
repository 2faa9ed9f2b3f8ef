// Package certs holds TLS certificates and authorities that are read from files
// and can be read anew while connections are made with them. What is read anew
// holds for new connections; those that are open go on.
//
// The package must never let a file that cannot be used take the place of one
// that could, and never offer less than TLS 1.2.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Files are the paths of PEM files. Each may be empty.
type Files struct {
	// Cert and Key are who this side is: a certificate, followed by those between
	// it and its authority, and its private key.
	Cert, Key string
	// CA holds the authorities that the other side's certificate must come from.
	CA string
}

// Set is what the files hold. Its methods are safe for concurrent use.
type Set struct {
	files Files
	now   atomic.Pointer[content]
}

type content struct {
	certificate *tls.Certificate
	authorities *x509.CertPool
}

// Load reads the files.
func Load(files Files) (*Set, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("a certificate and its key are given together, or none of them")
	}
	s := &Set{files: files}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Paths are the files' paths that are given.
func (s *Set) Paths() []string {
	var paths []string
	for _, p := range []string{s.files.Cert, s.files.Key, s.files.CA} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// Reload reads the files anew. When it fails what was read before stays.
func (s *Set) Reload() error {
	c := &content{}
	if s.files.Cert != "" {
		certificate, err := tls.LoadX509KeyPair(s.files.Cert, s.files.Key)
		if err != nil {
			return fmt.Errorf("cannot use the certificate %s with the key %s: %w", s.files.Cert, s.files.Key, err)
		}
		c.certificate = &certificate
	}
	if s.files.CA != "" {
		pem, err := os.ReadFile(s.files.CA)
		if err != nil {
			return fmt.Errorf("cannot read the authorities: %w", err)
		}
		c.authorities = x509.NewCertPool()
		if !c.authorities.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", s.files.CA)
		}
	}
	s.now.Store(c)
	return nil
}

// Server is for a server that presents the certificate. With authorities it
// verifies the certificates of clients that present one; those that present none
// are let through, and are not known.
func (s *Set) Server() *tls.Config {
	protocols := []string{"h2", "http/1.1"}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := s.now.Load()
			config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{*c.certificate}}
			if c.authorities != nil {
				config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, c.authorities
			}
			return config, nil
		},
	}
}

// Client is for a connection that is made now: it verifies the server by the
// authorities, or by the machine's own where there are none, and presents the
// certificate if there is one.
func (s *Set) Client() *tls.Config {
	c := s.now.Load()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.authorities}
	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}
	return config
}
