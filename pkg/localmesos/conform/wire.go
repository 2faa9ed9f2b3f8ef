package conform

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// report is one thing that came on a connection, in the order of arrival.
type report struct {
	// Head is set when the answer began.
	Head *head
	// Record is an event of a stream, Body a whole body; one of them is set
	// after the head.
	Record, Body []byte
	// End is how the stream, or the connection before an answer, ended.
	End string
}

// head is the first part of an answer.
type head struct {
	Status   int
	Reason   string // the whole status line
	Header   http.Header
	Chunked  bool
	IsStream bool
}

// dialTimeout bounds the time to a connection: everything is on this machine.
const dialTimeout = 5 * time.Second

// exchange makes one request on a connection of its own, and tells what comes
// until the answer is complete, the stream has ended, or the context ends.
func exchange(ctx context.Context, network, address string, request []byte, tell func(report)) {
	conn, err := send(ctx, network, address, request)
	if err != nil {
		tell(report{End: err.Error()})
		return
	}
	receive(conn, methodOf(request), tell)
}

// send opens a connection, which closes at the end of the context, and sends a
// request on it.
func send(ctx context.Context, network, address string, request []byte) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	return conn, nil
}

func methodOf(request []byte) string {
	method, _, _ := bytes.Cut(request, []byte(" "))
	return string(method)
}

// receive reads one answer.
func receive(conn io.ReadCloser, method string, tell func(report)) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := peekLine(in)
	if err != nil {
		tell(report{End: err.Error()})
		return
	}
	answer, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		tell(report{End: err.Error()})
		return
	}
	defer answer.Body.Close()
	chunked := len(answer.TransferEncoding) > 0
	stream := chunked && answer.StatusCode == http.StatusOK && answer.Header.Get("Content-Encoding") == "" &&
		strings.HasPrefix(answer.Header.Get("Content-Type"), "application/")
	tell(report{Head: &head{
		Status: answer.StatusCode, Reason: line, Header: answer.Header, Chunked: chunked, IsStream: stream,
	}})
	if !stream {
		body, err := io.ReadAll(answer.Body)
		end := ""
		if err != nil {
			end = err.Error()
		}
		tell(report{Body: append([]byte{}, body...), End: end})
		return
	}
	records := wire.NewRecordReader(answer.Body)
	for {
		record, err := records.Next()
		if err != nil {
			tell(report{End: err.Error()})
			return
		}
		tell(report{Record: record})
	}
}

// peekLine returns the first line, which stays to be read.
func peekLine(in *bufio.Reader) (string, error) {
	for n := 1; ; n = in.Buffered() + 1 {
		_, err := in.Peek(n)
		seen, _ := in.Peek(in.Buffered())
		if i := bytes.IndexByte(seen, '\n'); i >= 0 {
			return strings.TrimRight(string(seen[:i]), "\r"), nil
		}
		if err != nil {
			return "", err
		}
	}
}
