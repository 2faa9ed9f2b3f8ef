package fetcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// client follows redirects and takes what is sent as it is, as libcurl does. One
// is for one request.
func client() (*http.Client, func()) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, DisableKeepAlives: true}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// sizeTimeout bounds the question for a size.
const sizeTimeout = time.Minute

// contentLength asks a server for the size of a file.
func contentLength(ctx context.Context, uri string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, uri, nil)
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the size: %w", err)
	}
	c, done := client()
	defer done()
	response, err := c.Do(request)
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the size: %w", err)
	}
	_ = response.Body.Close() // a HEAD has none
	switch {
	case response.ContentLength < 0:
		return 0, errors.New("the server tells no size")
	case response.ContentLength == 0:
		return 0, errors.New("the server tells that it is empty")
	}
	return response.ContentLength, nil
}

// downloadHTTP writes what a server answers to a file, whatever it is, and fails
// afterwards unless it was what was asked for.
func (p *program) downloadHTTP(ctx context.Context, uri, to string) error {
	dir, name := p.order.Sandbox, ""
	if filepath.Dir(to) == p.cacheDir {
		dir = p.cacheDir
	}
	name, err := filepath.Rel(dir, to)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := p.create(root, name)
	if err != nil {
		return fmt.Errorf("Error downloading resource: %s", reason(err))
	}
	code, err := p.transfer(ctx, uri, f)
	err = errors.Join(err, f.Close())
	switch {
	case err != nil:
		return fmt.Errorf("Error downloading resource: %s", curlError(err))
	case code != http.StatusOK:
		return fmt.Errorf("Error downloading resource, received HTTP return code %d", code)
	}
	return nil
}

// errStalled ends a transfer that stands still.
var errStalled = errors.New("the transfer stands still")

// transfer gives up when nothing comes for the stall timeout.
func (p *program) transfer(ctx context.Context, uri string, to io.Writer) (code int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := p.fetcher.options.Stall
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer timer.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return 0, err
	}
	c, done := client()
	defer done()
	response, err := c.Do(request)
	if err != nil {
		return 0, errors.Join(context.Cause(ctx), err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		if n > 0 {
			timer.Reset(stall)
			if _, err := to.Write(buffer[:n]); err != nil {
				return 0, errWriting
			}
		}
		if errors.Is(err, io.EOF) {
			return response.StatusCode, nil
		}
		if err != nil {
			return 0, errors.Join(context.Cause(ctx), errPartial, err)
		}
	}
}

var (
	errPartial = errors.New("the transfer ended early")
	errWriting = errors.New("the file cannot be written")
)

// curlError words why a transfer failed as libcurl does (curl_easy_strerror).
func curlError(err error) string {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errStalled):
		return "Timeout was reached"
	case errors.Is(err, errWriting):
		return "Failed writing received data to disk/application"
	case errors.Is(err, errPartial):
		return "Transferred a partial file"
	case errors.As(err, &dns):
		return "Couldn't resolve host name"
	case errors.As(err, &authority), errors.As(err, &hostname):
		return "SSL peer certificate or SSH remote key was not OK"
	case errors.As(err, &record):
		return "SSL connect error"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ETIMEDOUT):
		return "Couldn't connect to server"
	case errors.Is(err, syscall.ECONNRESET):
		return "Failure when receiving data from the peer"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "Server returned nothing (no headers, no data)"
	}
	return err.Error()
}
