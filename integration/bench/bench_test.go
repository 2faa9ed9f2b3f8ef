package bench

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// samples are times of the same thing.
type samples []time.Duration

func (s *samples) add(d ...time.Duration) { *s = append(*s, d...) }

// at returns a quantile in milliseconds.
func (s samples) at(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Seconds() * 1000
}

// spent is what two sides have had of the processors' time, which other work on the
// machine hardly changes. The kernel tells it in hundredths of a second, so that it
// takes a thousand tasks or so to mean something.
type spent struct {
	us, bare             int // their processes
	before, beforeOfBare time.Duration
}

func spending(b *testing.B, us *side, bare *loopSide) spent {
	s := spent{us: us.process.Process.Pid, bare: bare.pid}
	s.before, s.beforeOfBare = processorTime(b, s.us), processorTime(b, s.bare)
	return s
}

// report says what it was for each of n tasks, those that are under way included.
func (s spent) report(b *testing.B, n int) {
	took, bareTook := processorTime(b, s.us)-s.before, processorTime(b, s.bare)-s.beforeOfBare
	report(b, float64(took.Microseconds())/float64(n), "cpu-us")
	report(b, float64(bareTook.Microseconds())/float64(n), "loop-cpu-us")
}

func report(b *testing.B, value float64, unit string) { b.ReportMetric(value, unit) }

// quietly leaves the time of the rounds out of the report: it holds those of
// all sides together.
func quietly(b *testing.B) { b.ReportMetric(0, "ns/op") }

// From the LAUNCH_GROUP of n tasks to their TASK_RUNNING.
func BenchmarkBurst(b *testing.B) {
	need(b)
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			us, nobody, bare := ours(b), null(b), loop(b)
			var first, last, nullLast, bareFirst, bareLast samples
			round := func() {
				took := bare.do(order{Do: "start", N: n, Program: built.pause})
				bareFirst.add(slices.Min(took))
				bareLast.add(slices.Max(took))
				bare.do(order{Do: "end"})

				tasks := us.group(n, built.pause)
				took = us.run(tasks)
				first.add(took[0])
				last.add(took[n-1])
				us.kill(tasks)

				tasks = nobody.group(n, built.pause)
				took = nobody.run(tasks)
				nullLast.add(took[n-1])
				nobody.kill(tasks)
			}
			round()
			first, last, nullLast, bareFirst, bareLast = nil, nil, nil, nil, nil
			cpu := spending(b, us, bare)
			for b.Loop() {
				round()
			}
			quietly(b)
			cpu.report(b, n*b.N)
			report(b, float64(n)/last.at(.5)*1000, "tasks/s")
			report(b, float64(n)/bareLast.at(.5)*1000, "loop-tasks/s")
			report(b, bareLast.at(.5)/last.at(.5), "of-loop")
			report(b, last.at(.5)/nullLast.at(.5), "of-null")
			report(b, first.at(.5), "first-ms")
			report(b, bareFirst.at(.5), "loop-first-ms")
			report(b, last.at(.5), "last-ms")
		})
	}
}

// One task after a second in which nothing happened: the kernel then takes its
// time to move a process.
func BenchmarkCold(b *testing.B) {
	need(b)
	us, nobody, bare := ours(b), null(b), loop(b)
	var took, nullTook, bareTook samples
	for b.Loop() {
		time.Sleep(time.Second)
		bareTook.add(bare.do(order{Do: "start", N: 1, Program: built.pause})...)
		bare.do(order{Do: "end"})
		time.Sleep(time.Second)
		tasks := us.group(1, built.pause)
		took.add(us.run(tasks)...)
		us.kill(tasks)
		time.Sleep(time.Second)
		tasks = nobody.group(1, built.pause)
		nullTook.add(nobody.run(tasks)...)
		nobody.kill(tasks)
	}
	quietly(b)
	report(b, took.at(.5), "p50-ms")
	report(b, took.at(.95), "p95-ms")
	report(b, bareTook.at(.5), "loop-p50-ms")
	report(b, nullTook.at(.5), "null-p50-ms")
}

// From the end of a process to the update that reports it, beside n others.
func BenchmarkExit(b *testing.B) {
	need(b)
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			us, bare := ours(b), loop(b)
			others := us.group(n, built.pause)
			us.run(others)
			bare.do(order{Do: "start", N: n, Program: built.pause})
			var took, bareTook samples
			for b.Loop() {
				bare.do(order{Do: "start", N: 1, Program: built.pause})
				bareTook.add(bare.do(order{Do: "exit"})...)
				task := us.group(1, built.pause)
				us.run(task)
				pid := us.pid(task[0])
				wait := us.agent.expect(1, terminal)
				start := time.Now()
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				wait(b)
				took.add(us.agent.of(task[0].TaskID.Value).ended.Sub(start))
			}
			us.kill(others)
			bare.do(order{Do: "end"})
			quietly(b)
			report(b, took.at(.5), "p50-ms")
			report(b, took.at(.99), "p99-ms")
			report(b, bareTook.at(.5), "loop-p50-ms")
		})
	}
}

// From a KILL without grace to the update, before which the cgroup is gone.
func BenchmarkKill(b *testing.B) {
	need(b)
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			us, nobody := ours(b), null(b)
			var took, nullTook samples
			for b.Loop() {
				tasks := us.group(n, built.pause)
				us.run(tasks)
				took.add(us.kill(tasks)...)
				tasks = nobody.group(n, built.pause)
				nobody.run(tasks)
				nullTook.add(nobody.kill(tasks)...)
			}
			quietly(b)
			report(b, took.at(.5), "p50-ms")
			report(b, took.at(1), "max-ms")
			report(b, nullTook.at(.5), "null-p50-ms")
		})
	}
}

// Tasks that end at once, from the LAUNCH_GROUP of a thousand to the last end.
func BenchmarkChurn(b *testing.B) {
	need(b)
	const n = 1000
	us, bare := ours(b), loop(b)
	var took, bareTook samples
	cpu := spending(b, us, bare)
	for b.Loop() {
		bareTook.add(bare.do(order{Do: "churn", N: n, Program: built.nop})...)
		tasks := us.group(n, built.nop)
		wait := us.agent.expect(n, terminal)
		us.agent.launch(tasks)
		wait(b)
		took.add(time.Since(us.agent.since()))
		for _, t := range tasks {
			if last := us.agent.of(t.TaskID.Value).last; last.GetState() != mesos.TASK_FINISHED {
				b.Fatalf("task %s: %s %q", t.TaskID.Value, last.GetState(), last.GetMessage())
			}
		}
	}
	quietly(b)
	cpu.report(b, n*b.N)
	report(b, n/took.at(.5)*1000, "tasks/s")
	report(b, n/bareTook.at(.5)*1000, "loop-tasks/s")
	report(b, bareTook.at(.5)/took.at(.5), "of-loop")
}
