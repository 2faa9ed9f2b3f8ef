package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// open begins a stream into a directory of its own.
func open(t *testing.T, k *Keeper, o Options) (*Stream, *os.File) {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "stdout")
	}
	s, w, err := k.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); s.Finish() })
	return s, w
}

// together returns what is in the files of a series, the oldest first, and the
// sizes, the live one's first.
func together(t *testing.T, path string) (text []byte, sizes []int) {
	t.Helper()
	for i := 0; ; i++ {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			return text, sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		text, sizes = append(data, text...), append(sizes, len(data))
	}
}

func numbered(from, to int) []byte {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.Bytes()
}

func TestFilesTogetherAreTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		text  []byte
		write int // bytes at once
	}{
		"lines":                                  {numbered(0, 5000), 1000},
		"byte by byte":                           {numbered(0, 1500), 1},
		"one long line":                          {bytes.Repeat([]byte("x"), 30000), 777},
		"a line longer than a file among others": {append(append(numbered(0, 100), bytes.Repeat([]byte("y"), 9000)...), numbered(100, 200)...), 512},
		"nothing":                                {nil, 1},
		"an end without a line":                  {[]byte("no end"), 6},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stdout")
			s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: MostFiles, MaxFileSize: LeastSize})
			for rest := c.text; len(rest) > 0; rest = rest[min(c.write, len(rest)):] {
				if _, err := w.Write(rest[:min(c.write, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if lost := s.Finish(); lost.Bytes > 0 {
				t.Errorf("lost: %s", lost)
			}
			text, sizes := together(t, path)
			if !bytes.Equal(text, c.text) {
				t.Errorf("%d bytes were written, and others, %d, were kept", len(c.text), len(text))
			}
			for i, size := range sizes {
				if size > LeastSize {
					t.Errorf("file %d has %d bytes", i, size)
				}
			}
			if name == "lines" {
				for i := range sizes {
					data, _ := os.ReadFile(strings.TrimSuffix(fmt.Sprintf("%s.%d", path, i), ".0"))
					if len(data) > 0 && (data[len(data)-1] != '\n' || !bytes.HasPrefix(data, []byte("line "))) {
						t.Errorf("file %d does not hold whole lines: it begins with %q", i, data[:10])
					}
				}
			}
		})
	}
}

func TestOldestFilesGo(t *testing.T) {
	for _, files := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(files, " files"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stdout")
			s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: files, MaxFileSize: LeastSize})
			all := numbered(0, 3000)
			w.Write(all)
			if lost := s.Finish(); lost.Bytes > 0 {
				t.Errorf("lost: %s", lost)
			}
			text, sizes := together(t, path)
			if len(sizes) != files || !bytes.HasSuffix(all, text) || len(text) < (files-1)*(LeastSize-20) {
				t.Errorf("files of %v bytes hold %q...", sizes, text[:min(30, len(text))])
			}
			left, _ := os.ReadDir(filepath.Dir(path))
			if len(left) != files {
				t.Errorf("the directory holds %v", left)
			}
		})
	}
}

func TestGoesOnInAFileThatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	if err := os.WriteFile(path, bytes.Repeat([]byte("old\n"), LeastSize/4-1), 0o644); err != nil {
		t.Fatal(err)
	}
	s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: 2, MaxFileSize: LeastSize})
	io.WriteString(w, "more than fits\n")
	s.Finish()
	if _, sizes := together(t, path); fmt.Sprint(sizes) != fmt.Sprintf("[15 %d]", LeastSize-4) {
		t.Errorf("the files have %v bytes", sizes)
	}
}

// TestFinishDoesNotWaitForWhoHoldsThePipe is about a process that escaped its
// workload and goes on writing.
func TestFinishDoesNotWaitForWhoHoldsThePipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: 2, MaxFileSize: 1 << 20})
	io.WriteString(w, "the last words\n")
	escaped := make(chan error)
	go func() {
		for {
			if _, err := io.WriteString(w, strings.Repeat("z", 8000)); err != nil {
				escaped <- err
				return
			}
		}
	}()
	s.Finish()
	if err := <-escaped; !errors.Is(err, unix.EPIPE) {
		t.Errorf("who holds the pipe gets %v", err)
	}
	if text, _ := together(t, path); !bytes.HasPrefix(text, []byte("the last words\n")) {
		t.Errorf("the file begins with %q", text[:min(20, len(text))])
	}
}

func TestNothingButRegularFilesIsOpened(t *testing.T) {
	for name, place := range map[string]func(path string) error{
		"a link":      func(path string) error { return os.Symlink("/etc/hostname", path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"a pipe":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a hard link": func(path string) error {
			if err := os.WriteFile(path+".other", nil, 0o644); err != nil {
				return err
			}
			return os.Link(path+".other", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stdout")
			if err := place(path); err != nil {
				t.Fatal(err)
			}
			if _, _, err := NewKeeper(quiet()).Open(Options{Path: path, MaxFiles: 2, MaxFileSize: LeastSize}); err == nil {
				t.Error("a stream was opened")
			}
			if _, err := Open(path, nil); err == nil {
				t.Error("a file was opened")
			}
		})
	}
}

// TestWhatIsInTheWayOfANewFile is about workloads that play with their own
// files: the bound holds, nothing is followed, and what is lost is told.
func TestWhatIsInTheWayOfANewFile(t *testing.T) {
	for name, c := range map[string]struct {
		place func(dir string) error
		loses bool
	}{
		"a full directory as the oldest": {func(dir string) error { return os.MkdirAll(filepath.Join(dir, "stdout.1", "sub"), 0o755) }, true},
		"a link to elsewhere":            {func(dir string) error { return os.Symlink("/nowhere", filepath.Join(dir, "stdout.1")) }, false},
		"a leftover of a new file":       {func(dir string) error { return os.Symlink("/nowhere", filepath.Join(dir, ".stdout.next")) }, false},
		"its live file moved away":       {func(dir string) error { return os.Rename(filepath.Join(dir, "stdout"), filepath.Join(dir, "mine")) }, false},
		"its live file replaced by a link": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "stdout")), os.Symlink("/nowhere", filepath.Join(dir, "stdout")))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, w := open(t, NewKeeper(quiet()), Options{Path: filepath.Join(dir, "stdout"), MaxFiles: 2, MaxFileSize: LeastSize})
			if err := c.place(dir); err != nil {
				t.Fatal(err)
			}
			w.Write(numbered(0, 2000))
			if lost := s.Finish(); (lost.Bytes > 0) != c.loses {
				t.Errorf("lost: %s", lost)
			}
			info, err := os.Lstat(filepath.Join(dir, "stdout"))
			if err != nil || !info.Mode().IsRegular() || info.Size() > LeastSize {
				t.Errorf("the live file: %v, %v", info, err)
			}
			if _, err := os.Stat("/nowhere"); err == nil {
				t.Error("a link was followed")
			}
		})
	}
}

// TestFullDisk fills a small file system, makes room again, and fills it once
// more.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("output-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs to mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 48<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&log)
	s, w := open(t, NewKeeper(logger), Options{Path: filepath.Join(dir, "stdout"), MaxFiles: 4, MaxFileSize: 16 << 10, Task: "web"})
	before := numbered(0, 10000)
	w.Write(before) // Far more than there is room for: it must not block.
	drained(t, w)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "there is room\n")
	drained(t, w)
	lost := s.Finish()
	if lost.Bytes == 0 || !errors.Is(lost.Err, unix.ENOSPC) {
		t.Errorf("lost: %s", lost)
	}
	text, _ := together(t, filepath.Join(dir, "stdout"))
	told := bytes.Index(text, []byte("bytes are missing: no space left on device]\n"))
	if told < 0 || !bytes.HasSuffix(text, []byte("\nthere is room\n")) {
		t.Errorf("it ends with %q", text[max(0, len(text)-200):])
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "task=web") {
		t.Errorf("the log says in %d lines: %s", n, log.String())
	}
}

// drained returns when all that was written to a pipe has been taken out.
func drained(t *testing.T, w *os.File) {
	t.Helper()
	for {
		n, err := unix.IoctlGetInt(int(w.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestDiskThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	k := NewKeeper(quiet())
	k.patience = time.Millisecond
	for range writers { // Every turn is taken by a write that does not return.
		<-k.turns
	}
	s, w := open(t, k, Options{MaxFiles: 2, MaxFileSize: LeastSize})
	io.WriteString(w, "last words\n")
	if lost := s.Finish(); lost.Bytes != 11 {
		t.Errorf("lost: %s", lost)
	}
	for range writers {
		k.turns <- nil
	}
	<-s.done
}

// TestManyStreamsTakeTurns has each of many write much at once, through few
// buffers.
func TestManyStreamsTakeTurns(t *testing.T) {
	const streams = 50
	k := NewKeeper(quiet())
	text := numbered(0, 20000)
	ends := make(chan error, streams)
	for range streams {
		go func() {
			ends <- func() error {
				dir, err := os.MkdirTemp(t.TempDir(), "")
				if err != nil {
					return err
				}
				s, w, err := k.Open(Options{Path: filepath.Join(dir, "stdout"), MaxFiles: 100, MaxFileSize: 64 << 10})
				if err != nil {
					return err
				}
				w.Write(text)
				w.Close()
				if lost := s.Finish(); lost.Bytes > 0 {
					return fmt.Errorf("lost: %s", lost)
				}
				if kept, _ := together(t, filepath.Join(dir, "stdout")); !bytes.Equal(kept, text) {
					return fmt.Errorf("kept %d of %d bytes", len(kept), len(text))
				}
				return nil
			}()
		}()
	}
	for range streams {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"not absolute":        {Path: "stdout", MaxFiles: 1, MaxFileSize: LeastSize},
		"in 0 files":          {Path: "/x/stdout", MaxFileSize: LeastSize},
		"in 1001 files":       {Path: "/x/stdout", MaxFiles: 1001, MaxFileSize: LeastSize},
		"4096 is the least":   {Path: "/x/stdout", MaxFiles: 1, MaxFileSize: 100},
		"no such file or dir": {Path: "/nowhere/stdout", MaxFiles: 1, MaxFileSize: LeastSize},
	} {
		if _, _, err := NewKeeper(quiet()).Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	s, w, err := NewKeeper(quiet()).Open(Options{Path: filepath.Join(b.TempDir(), "stdout"), MaxFiles: 3, MaxFileSize: 10 << 20})
	if err != nil {
		b.Fatal(err)
	}
	line := bytes.Repeat([]byte("0123456789abcdef0123456789abcde\n"), 2048)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	s.Finish()
}
