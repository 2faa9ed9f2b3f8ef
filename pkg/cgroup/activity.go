package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Activity is what a group does with devices, and how much its processes wait.
// A part that the kernel does not tell is nil.
type Activity struct {
	IO *IOUsage
	// Pressure is measured for v2 groups only, and not by every kernel.
	CPU, Memory, Block *Pressure
}

// IOUsage is what has gone from and to block devices since the group was made.
// Page cache that is written back later counts on v2 only, where the kernel knows
// whose it is.
type IOUsage struct{ ReadBytes, WrittenBytes uint64 }

// Pressure is how much processes wait for a resource.
type Pressure struct {
	// Some and Full are the parts of the last ten seconds, in percent, in which
	// some of the processes waited and in which all did.
	Some, Full float64
	// SomeTotal is for how long some have waited since the group was made.
	SomeTotal time.Duration
}

// Activity reads up to four small files. Like Usage it must be called before
// the group is removed.
func (g *Group) Activity() (Activity, error) {
	a, err := g.activity()
	if err != nil {
		return Activity{}, fmt.Errorf("cannot read the activity of cgroup %s: %w", g.name, err)
	}
	return a, nil
}

func (g *Group) activity() (a Activity, err error) {
	if g.version == V1 {
		if dir, ok := g.dir("blkio"); ok {
			a.IO, err = optional(filepath.Join(dir, "blkio.throttle.io_service_bytes"), parseIOv1)
		}
		return a, err
	}
	dir := g.dirs[0].Path
	var errs [4]error
	a.IO, errs[0] = optional(filepath.Join(dir, "io.stat"), parseIOv2)
	a.CPU, errs[1] = optional(filepath.Join(dir, "cpu.pressure"), parsePressure)
	a.Memory, errs[2] = optional(filepath.Join(dir, "memory.pressure"), parsePressure)
	a.Block, errs[3] = optional(filepath.Join(dir, "io.pressure"), parsePressure)
	return a, errors.Join(errs[:]...)
}

// optional reads a file that may not be there, or not be supported: the result
// is nil then.
func optional[T any](file string, parse func([]byte) *T) (*T, error) {
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return parse(data), nil
}

// parseIOv1 reads lines such as "8:0 Read 4096"; the last line is "Total 4096".
func parseIOv1(data []byte) *IOUsage {
	u := &IOUsage{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			continue
		}
		n, err := strconv.ParseUint(words[2], 10, 64)
		switch {
		case err != nil:
		case words[1] == "Read":
			u.ReadBytes += n
		case words[1] == "Write":
			u.WrittenBytes += n
		}
	}
	return u
}

// parseIOv2 reads lines such as "8:0 rbytes=4096 wbytes=0 rios=1 wios=0".
func parseIOv2(data []byte) *IOUsage {
	u := &IOUsage{}
	for word := range strings.FieldsSeq(string(data)) {
		key, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
		case key == "rbytes":
			u.ReadBytes += n
		case key == "wbytes":
			u.WrittenBytes += n
		}
	}
	return u
}

// parsePressure reads "some avg10=0.12 avg60=0.00 avg300=0.00 total=1234" and
// the same for full, with total in microseconds. It is nil where there is no
// such line.
func parsePressure(data []byte) *Pressure {
	var p *Pressure
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		if kind != "some" && kind != "full" {
			continue
		}
		if p == nil {
			p = &Pressure{}
		}
		for word := range strings.FieldsSeq(rest) {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "avg10":
				part, err := strconv.ParseFloat(value, 64)
				if err != nil || !(part >= 0 && part <= 100) {
					continue
				}
				if kind == "some" {
					p.Some = part
				} else {
					p.Full = part
				}
			case "total":
				if n, err := strconv.ParseInt(value, 10, 63); err == nil && kind == "some" {
					p.SomeTotal = time.Duration(n) * time.Microsecond
				}
			}
		}
	}
	return p
}
