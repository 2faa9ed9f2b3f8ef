package workload_test

import (
	"os/exec"
	"testing"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// The floor: what the standard library takes to start a program and to wait
// for its end.
func BenchmarkPlainExec(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// From the start of a workload to the removal of its cgroup.
func BenchmarkStartToExit(b *testing.B) {
	for _, s := range everywhere {
		b.Run(s.name, func(b *testing.B) {
			e := newEnv(b, s)
			spec := workload.Spec{ID: "hello.0.1.web", Args: []string{"/bin/true"}, Dir: "/"}
			for b.Loop() {
				if exit := e.run(spec); !exit.Status.Success() {
					b.Fatalf("exit = %+v", exit)
				}
			}
		})
	}
}

// Until the program runs.
func BenchmarkStart(b *testing.B) {
	for _, s := range everywhere {
		b.Run(s.name, func(b *testing.B) {
			e := newEnv(b, s)
			spec := workload.Spec{ID: "hello.0.1.web", Args: []string{"/bin/true"}, Dir: "/"}
			for b.Loop() {
				p := e.start(spec)
				b.StopTimer()
				e.wait(p)
				b.StartTimer()
			}
		})
	}
}

// What one look at a running workload costs, as often as somebody looks.
func BenchmarkUsageWhileItRuns(b *testing.B) {
	for _, s := range everywhere {
		b.Run(s.name, func(b *testing.B) {
			e := newEnv(b, s)
			p := e.start(workload.Spec{ID: "hello.0.1.web", Args: []string{"sleep", "1000"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/"})
			for b.Loop() {
				if _, err := p.Usage(); err != nil {
					b.Fatal(err)
				}
				if _, err := p.Activity(); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			p.Kill()
			e.wait(p)
		})
	}
}
