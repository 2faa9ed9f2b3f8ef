package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func TestJournalKeepsTheOrder(t *testing.T) {
	var to bytes.Buffer
	j := NewJournal(&to)
	for i := range 100 {
		fmt.Fprintln(j, i)
	}
	j.Close()
	j.Close()
	fmt.Fprintln(j, "too late")
	if got := to.String(); strings.Count(got, "\n") != 100 || !strings.HasPrefix(got, "0\n1\n") || !strings.HasSuffix(got, "\n99\n") {
		t.Errorf("got %q", got)
	}
}

// TestJournalNeverWaits has nobody read the log for a while.
func TestJournalNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		j := NewJournal(to)
		for i := range 3 * journalLines {
			fmt.Fprintln(j, i)
		}
		var got bytes.Buffer
		read := make(chan struct{})
		go func() {
			io.Copy(&got, from)
			close(read)
		}()
		synctest.Wait()
		fmt.Fprintln(j, "there is room")
		j.Close()
		to.Close()
		<-read
		if text := got.String(); !strings.Contains(text, " lines are missing here: nothing took them\nthere is room\n") {
			t.Errorf("it ends with %q", text[max(0, len(text)-100):])
		}
	})
}

func TestJournalDoesNotWaitAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		j := NewJournal(to)
		fmt.Fprintln(j, "nobody reads this")
		j.Close()
		from.Close() // What is still writing ends.
		<-j.done
	})
}
