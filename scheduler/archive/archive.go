// Package archive writes a scheduler's records as text, reads them back, and says
// what in them does not belong together: for moving between stores, for looking
// at, and for keeping copies.
//
// The package must never change what it is given, and never take a part of an
// archive for the whole.
package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// format is the version of the format below, which this package reads and
// writes. An archive is lines of JSON:
//
//	{"tandem":"state","format":1}
//	{"kind":"job","key":"/payments/api","record":{…}}
//	…
//	{"records":17,"crc32c":"9a7e01bc"}
//
// A record has the JSON form of its message in proto/tandem/v1. The last line
// counts the records, and has the CRC-32C of every line before it with its newline.
const format = 1

// maxLine bounds a line, in bytes.
const maxLine = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type headLine struct {
	Tandem string `json:"tandem"`
	Format int    `json:"format"`
}

type recordLine struct {
	Kind   state.Kind      `json:"kind"`
	Key    string          `json:"key"`
	Record json.RawMessage `json:"record"`
}

type endLine struct {
	Records *int   `json:"records"`
	CRC     string `json:"crc32c"`
}

// Write writes all records, in the order of their kinds.
func Write(w io.Writer, all state.Snapshot) error {
	sum := crc32.New(castagnoli)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(io.MultiWriter(out, sum))
	enc.SetEscapeHTML(false)
	if err := enc.Encode(headLine{"state", format}); err != nil {
		return err
	}
	n := 0
	for c := range all.Changes() {
		text, err := protojson.Marshal(c.Record)
		if err != nil {
			return fmt.Errorf("%s %q: %w", c.Kind, c.Key, err)
		}
		if err := enc.Encode(recordLine{c.Kind, c.Key.String(), text}); err != nil {
			return err
		}
		n++
	}
	if err := json.NewEncoder(out).Encode(endLine{&n, fmt.Sprintf("%08x", sum.Sum32())}); err != nil {
		return err
	}
	return out.Flush()
}

// Read reads an archive. The error says in one line what is wrong with it.
func Read(r io.Reader) (state.Snapshot, error) {
	var all state.Snapshot
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	sum := crc32.New(castagnoli)
	seen := map[string]bool{}
	n := 0
	for number := 1; lines.Scan(); number++ {
		line := lines.Bytes()
		if number == 1 {
			var head headLine
			if err := decode(line, &head); err != nil || head.Tandem != "state" {
				return all, errors.New("it is no archive of a scheduler's state")
			}
			if head.Format != format {
				return all, fmt.Errorf("it has format %d, and this program reads format %d; use the program that has written it, or a newer one", head.Format, format)
			}
		} else if end := (endLine{}); decode(line, &end) == nil && end.Records != nil {
			switch got := fmt.Sprintf("%08x", sum.Sum32()); {
			case *end.Records != n || end.CRC != got:
				return all, fmt.Errorf("it was changed or is damaged: it has %d records with the checksum %s, and should have %d with %s", n, got, *end.Records, end.CRC)
			case lines.Scan():
				return all, errors.New("there is more after its last line")
			}
			return all, lines.Err()
		} else if err := readRecord(line, &all, seen); err != nil {
			return all, fmt.Errorf("line %d: %w", number, err)
		} else {
			n++
		}
		sum.Write(line)
		sum.Write([]byte{'\n'})
	}
	if err := lines.Err(); err != nil {
		return all, err
	}
	if n == 0 && len(seen) == 0 {
		return all, errors.New("it is no archive of a scheduler's state, or not the whole of one")
	}
	return all, fmt.Errorf("it ends after %d records, before its last line: it is not whole", n)
}

func decode(line []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	return dec.Decode(to)
}

func readRecord(line []byte, all *state.Snapshot, seen map[string]bool) error {
	var r recordLine
	if err := decode(line, &r); err != nil {
		return errors.New("it is no record")
	}
	record, err := r.Kind.New()
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(r.Record, record); err != nil {
		return fmt.Errorf("%s %q cannot be read: %w", r.Kind, r.Key, err)
	}
	one := state.Snapshot{}
	one.Add(record)
	for c := range one.Changes() {
		if key := c.Key.String(); key != r.Key {
			return fmt.Errorf("%s %q says of itself that it is %q", r.Kind, r.Key, key)
		}
	}
	if name := string(r.Kind) + " " + r.Key; seen[name] {
		return fmt.Errorf("%s %q is there twice", r.Kind, r.Key)
	} else {
		seen[name] = true
	}
	all.Add(record)
	return nil
}
