package bench

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// From the start of the executor's process to its SUBSCRIBE, and with one task
// to that task's TASK_RUNNING; twenty at once to the last.
func BenchmarkNewExecutor(b *testing.B) {
	need(b)
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var subscribed, nullSubscribed, running, nullRunning samples
			batch := func(start func(*testing.B) *side, subscribed, running *samples) {
				var all []*side
				var waits []func(*testing.B)
				for range n {
					s := start(b)
					waits = append(waits, s.agent.expect(1, func(state mesos.TaskState) bool { return state == mesos.TASK_RUNNING }))
					s.agent.launch(s.group(1, built.pause))
					all = append(all, s)
				}
				for i, s := range all {
					waits[i](b)
					s.agent.mu.Lock()
					subscribed.add(s.agent.subscribed.Sub(s.started))
					s.agent.mu.Unlock()
				}
				running.add(time.Since(all[0].started))
				for _, s := range all {
					s.stop()
				}
			}
			// Who comes second finds the kernel still at work on what the first has left.
			for oursFirst := true; b.Loop(); oursFirst = !oursFirst {
				if oursFirst {
					batch(ours, &subscribed, &running)
				}
				batch(null, &nullSubscribed, &nullRunning)
				if !oursFirst {
					batch(ours, &subscribed, &running)
				}
			}
			quietly(b)
			report(b, subscribed.at(.5), "subscribed-p50-ms")
			report(b, nullSubscribed.at(.5), "null-subscribed-p50-ms")
			report(b, running.at(.5), "running-ms")
			report(b, running.at(.5)/nullRunning.at(.5), "of-null")
		})
	}
}

// Memory, threads and wake-ups with tasks that do nothing.
func BenchmarkFootprint(b *testing.B) {
	need(b)
	const more = 200
	var one, each, threads, wakeups, nullOne samples // in KB, and counts, as times
	for b.Loop() {
		// One at a time: two of a kind would share the pages of their program.
		nobody := null(b)
		nobody.run(nobody.group(1, built.pause))
		time.Sleep(time.Second)
		nullOne.add(pss(b, nobody))
		nobody.stop()

		us := ours(b)
		us.run(us.group(1, built.pause))
		time.Sleep(time.Second)
		first := pss(b, us)
		one.add(first)

		before := switches(b, us)
		const quiet = 5
		time.Sleep(quiet * time.Second)
		wakeups.add((switches(b, us) - before) / quiet)

		us.run(us.group(more, built.pause))
		time.Sleep(time.Second)
		each.add((pss(b, us) - first) / more)
		threads.add(status(b, us, "Threads"))
		us.stop()
	}
	quietly(b)
	const unit = 1. / 1000 // of samples, which are seconds told in milliseconds
	report(b, one.at(.5)*unit, "KB-one-task")
	report(b, nullOne.at(.5)*unit, "null-KB-one-task")
	report(b, each.at(.5)*unit, "KB-each-further-task")
	report(b, threads.at(.5)*unit, "threads-at-200")
	report(b, wakeups.at(.5)*unit, "wakeups/s")
}

// status reads a number from /proc/<pid>/status. Seconds stand for ones.
func status(b *testing.B, s *side, name string) time.Duration {
	b.Helper()
	return read(b, fmt.Sprintf("/proc/%d/status", s.process.Process.Pid), name)
}

// pss is the memory of a process, with its part of what it shares, in KB.
func pss(b *testing.B, s *side) time.Duration {
	b.Helper()
	return read(b, fmt.Sprintf("/proc/%d/smaps_rollup", s.process.Process.Pid), "Pss")
}

// switches counts how often the threads of a process have been put to sleep.
func switches(b *testing.B, s *side) time.Duration {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.process.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, t := range threads {
		sum += read(b, t, "voluntary_ctxt_switches")
	}
	return sum
}

// processorTime is what a process, and those of its children that have ended, have
// had of the processors.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), ") ") // Its name may have anything in it.
	var sum time.Duration
	for _, field := range strings.Fields(after)[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n) * time.Second / 100 // USER_HZ
	}
	return sum
}

func read(b *testing.B, file, name string) time.Duration {
	b.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			return time.Duration(n) * time.Second
		}
	}
	b.Fatalf("%s has no %s", file, name)
	return 0
}

// What an agent fetches.
func BenchmarkBinary(b *testing.B) {
	need(b)
	f, err := os.Open(built.executor)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	var compressed counter
	z, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err == nil {
		_, err = io.Copy(z, f)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	quietly(b)
	report(b, float64(info.Size())/1e6, "MB")
	report(b, float64(compressed)/1e6, "MB-gzip")
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
