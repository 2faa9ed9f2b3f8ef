package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// writes notes how long what is written at once was at most.
type writes struct {
	*httptest.ResponseRecorder
	longest int
}

func (w *writes) Write(p []byte) (int, error) {
	w.longest = max(w.longest, len(p))
	return w.ResponseRecorder.Write(p)
}

func TestManyEventsAreWrittenInPieces(t *testing.T) {
	schema, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	const events, size = 20, 10_000
	var queue Events
	for i := range events {
		queue.Send(&scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: fmt.Sprint(i, strings.Repeat(".", size))}})
	}
	queue.Close()
	w := &writes{ResponseRecorder: httptest.NewRecorder()}
	if err := schema.ServeEvents(w, httptest.NewRequest(http.MethodPost, "/", nil), JSON, "", &queue); err != nil {
		t.Fatal(err)
	}
	in := NewRecordReader(bytes.NewReader(w.Body.Bytes()))
	for i := range events {
		record, err := in.Next()
		if want := fmt.Sprintf(`"message":"%d.`, i); err != nil || !strings.Contains(string(record), want) {
			t.Fatalf("event %d is %.80s, %v", i, record, err)
		}
	}
	if record, err := in.Next(); err == nil {
		t.Errorf("more than what was sent: %.80s", record)
	}
	if w.longest >= enough+2*size {
		t.Errorf("%d bytes were written at once", w.longest)
	}
}
