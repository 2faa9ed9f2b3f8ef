package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
)

// series is an agent on which a log is rotated: files[0] is the live one.
type series struct {
	mu    sync.Mutex // guards files
	files []string
	keep  int
	// hidden is how many reads find no live file, as in the midst of a rotation.
	hidden int
	// before is called before each answer.
	before func()
	// beside are names of other files in the directory.
	beside []string
}

// rotate moves all files on, and begins a new one with a text.
func (s *series) rotate(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append([]string{text}, s.files[:min(len(s.files), s.keep-1)]...)
}

// write adds to the live file.
func (s *series) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[0] += text
}

func (s *series) ReadFile(ctx context.Context, _, name string, offset, length int64) ([]byte, int64, error) {
	if s.before != nil {
		s.before()
	}
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == stdout && s.hidden > 0 {
		s.hidden--
		return nil, 0, agentapi.ErrNoFile
	}
	number := 0
	if rest, ok := strings.CutPrefix(name, stdout+"."); ok {
		number, _ = strconv.Atoi(rest)
	} else if name != stdout {
		return nil, 0, agentapi.ErrNoFile
	}
	if number >= len(s.files) {
		return nil, 0, agentapi.ErrNoFile
	}
	file := s.files[number]
	size := int64(len(file))
	from := min(offset, size)
	return []byte(file[from:min(size, from+min(length, pieces))]), size, nil
}

func (s *series) ListFiles(_ context.Context, _, dir string) ([]mesos.FileInfo, error) {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir != path.Dir(stdout) {
		return nil, agentapi.ErrNoFile
	}
	infos := []mesos.FileInfo{{Path: dir + "/stderr"}}
	for _, name := range s.beside {
		infos = append(infos, mesos.FileInfo{Path: path.Join(dir, name)})
	}
	for i := range s.files {
		infos = append(infos, mesos.FileInfo{Path: strings.TrimSuffix(fmt.Sprintf("%s.%d", stdout, i), ".0")})
	}
	return infos, nil
}

func TestRotatedFilesAreOneLog(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string // the live one first
		lines int      // -1: all
		want  string
	}{
		{"all", []string{"5\n", "3\n4\n", "1\n2\n"}, -1, "1\n2\n3\n4\n5\n"},
		{"an empty live one", []string{"", "3\n4\n"}, -1, "3\n4\n"},
		{"nothing but empty ones", []string{"", ""}, -1, ""},
		{"an empty one among them", []string{"2\n", "", "1\n"}, -1, "1\n2\n"},
		{"lines of the live one", []string{"5\n6\n", "3\n4\n"}, 1, "6\n"},
		{"all of the live one", []string{"5\n6\n", "3\n4\n"}, 2, "5\n6\n"},
		{"lines of several", []string{"5\n6\n", "3\n4\n", "1\n2\n"}, 5, "2\n3\n4\n5\n6\n"},
		{"more lines than there are", []string{"5\n6\n", "3\n4\n"}, 9, "3\n4\n5\n6\n"},
		{"a line that was cut", []string{"st\nlast\n", "first\nlonge"}, 2, "longest\nlast\n"},
		{"lines before an empty live one", []string{"", "3\n4\n"}, 1, "4\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, got, tail := &series{files: tt.files}, &text{}, sandbox.Tail{Name: "stdout"}
			if tt.lines >= 0 {
				tail.Lines = &tt.lines
			}
			if err := sandbox.Read(t.Context(), s, web, tail, got.add); err != nil {
				t.Fatal(err)
			}
			if got := got.take(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestFilesThatAreNumberedOtherwise: other programs number their files in other ways,
// and what is not found under the name that Tandem would give it is not looked for
// again and again.
func TestFilesThatAreNumberedOtherwise(t *testing.T) {
	s, got := &series{files: []string{"1\n"}, beside: []string{"stdout.01", "stdout.+1", "stdout.1.gz", "stdout.0", "stdout.-1"}}, &text{}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	answers := 0
	s.before = func() {
		if answers++; answers > 100 {
			cancel(errors.New("the agent is asked over and over"))
		}
	}
	err := sandbox.Read(ctx, s, web, sandbox.Tail{Name: "stdout"}, got.add)
	if text := got.take(); err != nil || text != "1\n" {
		t.Errorf("got %q and %v", text, err)
	}
}

func TestReadingInTheMidstOfARotation(t *testing.T) {
	one := 1
	for want, lines := range map[string]*int{"1\n2\n3\n": nil, "3\n": &one} {
		s, got := &series{files: []string{"3\n", "2\n", "1\n"}, hidden: 2}, &text{}
		if err := sandbox.Read(t.Context(), s, web, sandbox.Tail{Name: "stdout", Lines: lines}, got.add); err != nil {
			t.Fatal(err)
		}
		if got := got.take(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFollowingAcrossRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &series{files: []string{"1\n"}, keep: 3}
		got, ended, done := &text{}, make(chan struct{}), make(chan error, 1)
		none := 0
		go func() {
			done <- sandbox.Read(t.Context(), s, web, sandbox.Tail{Name: "stdout", Ended: ended, Lines: &none}, got.add)
		}()
		expect := func(when, want string) {
			t.Helper()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if s := got.take(); s != want {
				t.Errorf("%s: got %q, want %q", when, s, want)
			}
		}
		expect("at first", "")
		s.write("2\n")
		expect("when it grows", "2\n")
		s.write("3\n")
		s.rotate("4\n")
		expect("when a part is in the file before", "3\n4\n")
		s.rotate("")
		expect("when there is a new file without anything", "")
		longer := "a new file that is longer than the one before was\n"
		s.write(longer)
		expect("when there is something in it", longer)
		s.rotate("5\n")
		s.rotate("6\n")
		expect("when there are several new ones", "5\n6\n")
		for i := 7; i < 20; i++ {
			s.rotate(fmt.Sprintln(i))
		}
		expect("when too many have gone", "[a part of the log was rotated away before it could be read]17\n18\n19\n")
		s.write("last\n")
		s.rotate("")
		close(ended)
		if err := <-done; err != nil || got.take() != "last\n" {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestFollowingWhileItIsRotated has lines written and files rotated at any time,
// also between two calls that belong together. Every line comes once and in
// order; of those that are missing there is a word.
func TestFollowingWhileItIsRotated(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := &series{files: []string{""}, keep: []int{2, 3, 1000}[seed%3]}
		var ended chan struct{} // belongs to the bubble
		next := 0
		s.before = func() {
			if next == 300 {
				return
			}
			for range random.IntN(4) {
				s.write(fmt.Sprintf("line %d\n", next))
				if next++; next == 300 {
					close(ended)
					return
				}
				if random.IntN(6) == 0 {
					s.rotate("")
				}
			}
		}
		var text strings.Builder
		synctest.Test(t, func(t *testing.T) {
			ended = make(chan struct{})
			err := sandbox.Read(t.Context(), s, web, sandbox.Tail{Name: "stdout", Ended: ended}, func(p sandbox.Piece) error {
				if p.Note != "" {
					text.WriteString("gap\n")
				}
				text.Write(p.Data)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		expected, gaps := 0, 0
		if s.keep < 1000 {
			expected = -1 // What has gone before the first look is not missed.
		}
		for line := range strings.Lines(text.String()) {
			if line == "gap\n" {
				expected, gaps = -1, gaps+1
				continue
			}
			var n int
			if _, err := fmt.Sscanf(line, "line %d\n", &n); err != nil || (expected >= 0 && n != expected) {
				t.Fatalf("seed %d: %q where line %d should be", seed, line, expected)
			}
			expected = n + 1
		}
		if expected != 300 || (gaps > 0 && !slices.Contains([]int{2, 3}, s.keep)) {
			t.Fatalf("seed %d: it ends before line %d, with %d gaps", seed, expected, gaps)
		}
	}
}

// TestReadingGoesOnAtAPosition holds that reading goes on where it had come to, by
// whatever name the file goes by now.
func TestReadingGoesOnAtAPosition(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string // the live one first
		from  sandbox.Position
		want  string
	}{
		{"the live file", []string{"1\n2\n3\n"}, sandbox.Position{Offset: 4, Before: []byte("1\n2\n")}, "3\n"},
		{"nothing since", []string{"1\n"}, sandbox.Position{Offset: 2, Before: []byte("1\n")}, ""},
		{"nothing was read", []string{"2\n", "1\n"}, sandbox.Position{}, "1\n2\n"},
		{"it was rotated twice", []string{"4\n", "3\n", "1\n2\n"}, sandbox.Position{Offset: 2, Before: []byte("1\n")}, "2\n3\n4\n"},
		{"it is gone", []string{"8\n", "7\n"}, sandbox.Position{Offset: 2, Before: []byte("1\n")}, "[a part of the log was rotated away before it could be read]7\n8\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, got := &series{files: tt.files, keep: 5}, &text{}
			if err := sandbox.Read(t.Context(), s, web, sandbox.Tail{Name: "stdout", From: &tt.from}, got.add); err != nil {
				t.Fatal(err)
			}
			if got := got.take(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
