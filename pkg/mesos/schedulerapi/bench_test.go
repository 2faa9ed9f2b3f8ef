package schedulerapi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// BenchmarkSend makes calls to a master in the same process, so many at a time;
// the master's part is in the figure.
func BenchmarkSend(b *testing.B) {
	for _, together := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(together), func(b *testing.B) {
			server := httptest.NewServer(&master{Stay: true, Forget: true})
			defer server.Close()
			defer server.CloseClientConnections()
			c, err := schedulerapi.New(schedulerapi.Options{
				Detector: detect.NewList([]string{strings.TrimPrefix(server.URL, "http://")}),
			})
			if err != nil {
				b.Fatal(err)
			}
			s, err := c.Subscribe(context.Background(), subscribeCall())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			calls := kills(together)
			n := 0
			for b.Loop() {
				for _, err := range s.Send(context.Background(), calls) {
					if err != nil {
						b.Fatal(err)
					}
				}
				n += together
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
