package task

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
)

// maxSaid is how much is kept of what the command of a check writes, in bytes. It is the
// end, where programs say why they failed.
const maxSaid = 1 << 10

// said is what a command writes to its standard output and error.
type said struct {
	in      *os.File // for the command
	out     *os.File
	done    chan struct{}
	secrets []string // the longest first
	tail    []byte
	cut     bool // there was more
}

// hear makes the two ends of an output, which must not tell secrets. What is written
// never waits for more than this to read it.
func hear(secrets []string) (*said, error) {
	// The longest first: one may begin with another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
	}
	if err := unix.SetNonblock(ends[0], true); err != nil { // for a deadline
		return nil, errors.Join(err, unix.Close(ends[0]), unix.Close(ends[1]))
	}
	s := &said{in: os.NewFile(uintptr(ends[1]), "output"), out: os.NewFile(uintptr(ends[0]), "output"), done: make(chan struct{}), secrets: secrets}
	go s.read()
	return s, nil
}

func (s *said) read() {
	defer close(s.done)
	buffer := make([]byte, maxSaid)
	for {
		n, err := s.out.Read(buffer)
		s.tail = append(s.tail, buffer[:n]...)
		if over := len(s.tail) - maxSaid - s.longest(); over > 0 {
			s.tail, s.cut = slices.Delete(s.tail, 0, over), true
		}
		if err != nil {
			return
		}
	}
}

// longest is the length of the longest secret.
func (s *said) longest() int {
	if len(s.secrets) == 0 {
		return 0
	}
	return len(s.secrets[0])
}

// end returns what was written as one line, when nobody is left to write. One that has
// got away from where its executor finds processes is not waited for.
func (s *said) end() string {
	const patience = 100 * time.Millisecond
	_ = s.in.Close()
	_ = s.out.SetReadDeadline(time.Now().Add(patience))
	<-s.done
	_ = s.out.Close()
	return line(s.tail, s.cut, s.secrets)
}

// line makes one of text, of no more than maxSaid bytes at its end, with *** in place of
// secrets. Where there was more, what is left out of it here may begin with half of one.
func line(text []byte, cut bool, secrets []string) string {
	for _, secret := range secrets {
		text = bytes.ReplaceAll(text, []byte(secret), bytes.Repeat([]byte{'*'}, len(secret)))
	}
	if over := len(text) - maxSaid; over > 0 {
		text, cut = text[over:], true
	}
	plain := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(text))
	for strings.Contains(plain, "****") {
		plain = strings.ReplaceAll(plain, "****", "***")
	}
	plain = strings.Join(strings.Fields(plain), " ")
	if cut && plain != "" {
		plain = "…" + plain
	}
	return plain
}

// secretsOf lists the values of a command's variables that were given as secrets. Those
// of a few letters are words of any text.
func secretsOf(c *mesos.CommandInfo) (values []string) {
	const few = 3
	for _, v := range c.GetEnvironment().GetVariables() {
		if secret := string(v.GetSecret().GetValue().GetData()); v.GetType() == mesos.Environment_Variable_SECRET && len(secret) > few {
			values = append(values, secret)
		}
	}
	return values
}
