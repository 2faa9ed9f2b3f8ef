package recordio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tandem-mesos/tandem/pkg/mesos/recordio"
)

func readAll(r io.Reader) (records []string, err error) {
	in := recordio.NewReader(r)
	for {
		record, err := in.Next()
		if err != nil {
			return records, err
		}
		records = append(records, string(record))
	}
}

func TestReader(t *testing.T) {
	large := strings.Repeat("offer", 1<<20)
	for _, c := range []struct {
		name, stream string
		records      []string
		// err is a part of the error's text.
		err string
	}{
		{"nothing", "", nil, "EOF"},
		{"two records", "5\nhello5\nworld", []string{"hello", "world"}, "EOF"},
		{"an empty record", "0\n1\na", []string{"", "a"}, "EOF"},
		{"leading zeros", "0002\nab", []string{"ab"}, "EOF"},
		{"more than one buffer", fmt.Sprintf("%d\n%s1\nx", len(large), large), []string{large, "x"}, "EOF"},
		{"ends within a length", "12", nil, "unexpected EOF"},
		{"ends after a length", "12\n", nil, "unexpected EOF"},
		{"ends within a record", "12\nabc", nil, "unexpected EOF"},
		{"no length", "\nabc", nil, `'\n' where the length`},
		{"a negative length", "-1\n", nil, `'-' where the length`},
		{"an HTML page", "<html>", nil, `'<' where the length`},
		{"a length beyond all bounds", "99999999999999999999999\n", nil, "more than"},
		{"a large claim with nothing behind it", "1000000000\nabc", nil, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(c.stream),
				"half by half": iotest.HalfReader(strings.NewReader(c.stream)),
			} {
				records, err := readAll(r)
				if fmt.Sprint(records) != fmt.Sprint(c.records) {
					t.Errorf("%s: got %d records, want %d", name, len(records), len(c.records))
				}
				if !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: got error %q, want %q", name, err, c.err)
				}
			}
		})
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := readAll(io.MultiReader(strings.NewReader("5\nhe"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("5\nhello0\n"))
	f.Add([]byte("000000\n"))
	f.Add([]byte("1073741824\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		records, _ := readAll(bytes.NewReader(stream))
		size := 0
		for _, r := range records {
			size += len(r) + 2
		}
		if size > len(stream) {
			t.Errorf("%d bytes of records from a stream of %d", size, len(stream))
		}
	})
}
