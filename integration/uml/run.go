package uml

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Kernel is the program that is the kernel, of Debian's package
// user-mode-linux.
const Kernel = "linux.uml"

// memory is what the guest believes to have. This machine gives only what is
// used of it.
const memory = "1G"

// manyRegisters says that the kernel needs help on this machine: it was made before
// processors had AMX, and panics in put_fp_registers where it cannot give all of a
// process's registers back.
var manyRegisters = cpu.X86.HasAMXTile

// registers makes up for that, as a library that is loaded before others.
//
//go:embed registers/registers.c
var registers []byte

// Available says why no guest can be run on this machine, or returns nil.
func Available() error {
	if _, err := exec.LookPath(Kernel); err != nil {
		return fmt.Errorf("needs %s, of the Debian package user-mode-linux (apt-get install user-mode-linux)", Kernel)
	}
	if _, err := exec.LookPath("cc"); err != nil && manyRegisters {
		return errors.New("needs a C compiler, cc, on a processor with AMX")
	}
	return nil
}

// PanicError says that the guest's kernel stopped without telling how the
// program ended.
type PanicError struct {
	// Console is the end of what the kernel had to say.
	Console string
}

func (e *PanicError) Error() string {
	return "the guest's kernel stopped before its program ended:\n" + e.Console
}

// Run boots a kernel with the given guest program (package main in guest/) as
// its first process, runs the job, copies what it writes to output while it
// does, and returns how it ended. When the context ends first, the guest is
// killed, and the context's cause returned.
func Run(ctx context.Context, guest string, job Job, output io.Writer) (End, error) {
	if err := job.validate(); err != nil {
		return End{}, err
	}
	kernel, err := exec.LookPath(Kernel)
	if err != nil {
		return End{}, fmt.Errorf("cannot boot a guest: %w", err)
	}
	// The kernel keeps a socket in here, whose path has to be short.
	state, err := os.MkdirTemp("", "uml")
	if err != nil {
		return End{}, fmt.Errorf("cannot boot a guest: %w", err)
	}
	defer os.RemoveAll(state)
	if deadline, ok := ctx.Deadline(); ok {
		job.Limit = time.Until(deadline) + 10*time.Second // not before this process has acted
	}
	jobFile := filepath.Join(state, "job.json")
	data, err := json.Marshal(job)
	if err == nil {
		err = os.WriteFile(jobFile, data, 0o644)
	}
	endFile := filepath.Join(job.Scratch, EndFile)
	if err == nil {
		err = os.RemoveAll(endFile)
	}
	if err != nil {
		return End{}, fmt.Errorf("cannot boot a guest: %w", err)
	}
	cmd := exec.Command(kernel,
		"mem="+memory, "quiet", "rootfstype=hostfs", "ro", "init="+guest, JobVariable+"="+jobFile,
		"uml_dir="+state, "umid=guest",
		// The console is the kernel's; the first serial line the program's.
		"con=null", "con0=null,fd:1", "ssl=null", "ssl0=null,fd:3")
	cmd.Dir = state
	cmd.Env = []string{"HOME=" + state, "PATH=" + os.Getenv("PATH")}
	if manyRegisters {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+guest+".so")
	}
	console, err := boot(ctx, cmd, output)
	if err != nil {
		return End{}, err
	}
	var end End
	data, err = os.ReadFile(endFile)
	if err == nil {
		err = json.Unmarshal(data, &end)
	}
	switch {
	case err != nil:
		return End{}, &PanicError{console}
	case end.Failure != "":
		return End{}, fmt.Errorf("cannot run %s in a guest: %s", job.Command[0], end.Failure)
	}
	return end, nil
}

// BuildGuest compiles the guest's first process into a file, and what the kernel needs
// on this machine beside it. It needs the source and the go command.
func BuildGuest(file string) error {
	if manyRegisters {
		build := exec.Command("cc", "-shared", "-fPIC", "-O1", "-x", "c", "-o", file+".so", "-")
		build.Stdin = bytes.NewReader(registers)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build the kernel's help: %w\n%s", err, out)
		}
	}
	build := exec.Command("go", "build", "-o", file, "github.com/tandem-mesos/tandem/integration/uml/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the guest: %w\n%s", err, out)
	}
	return nil
}

// boot runs a kernel to its end and returns what it wrote to its console.
func boot(ctx context.Context, cmd *exec.Cmd, output io.Writer) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("cannot boot a guest: %w", err)
	}
	defer r.Close()
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	cmd.ExtraFiles = []*os.File{w}
	// Every process of the guest is one of this machine, too, in the group of
	// the kernel's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// For a process that left the group and has the console open.
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", fmt.Errorf("cannot boot a guest: %w", err)
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A kernel that panics would dump the core of its whole memory.
	_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	stop := context.AfterFunc(ctx, kill)
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(output, r)
		copied <- err
	}()
	err = cmd.Wait()
	stop()
	kill() // what a kernel that died by itself has left
	err = errors.Join(ignoreExit(err), <-copied)
	if ctx.Err() != nil {
		return "", fmt.Errorf("the guest was stopped: %w; its kernel said:\n%s", context.Cause(ctx), tail(console.String()))
	}
	return tail(console.String()), err
}

// ignoreExit drops how the kernel's process ended: whether the guest's program
// has ended its own way is written elsewhere.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// tail returns the last lines of a console.
func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
