package executorapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// An update by this package's own way of calling and by net/http's, in turns: the time
// until it is taken, and the processor time, in which the agent's is included that both
// have.
func BenchmarkCallBesideNetHTTP(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go take(conn)
		}
	}()
	c, err := New(Options{Endpoint: listener.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	update := aCall(executor.Call_UPDATE)
	ways := []func() error{
		func() error { return c.Send(b.Context(), update) },
		func() error {
			response, err := c.post(b.Context(), update)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			return err
		},
	}
	const calls = 200
	var took, spent [2]time.Duration
	for b.Loop() {
		for i, call := range ways {
			start, before := time.Now(), processorTime(b)
			for range calls {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			took[i] += time.Since(start)
			spent[i] += processorTime(b) - before
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"own", "net-http"} {
		b.ReportMetric(float64(took[i].Microseconds())/float64(b.N*calls), name+"-us")
		b.ReportMetric(float64(spent[i].Microseconds())/float64(b.N*calls), name+"-cpu-us")
	}
}

// take answers each request as an agent does that takes an update.
func take(conn net.Conn) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n")
		}
		if err != nil {
			return
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
