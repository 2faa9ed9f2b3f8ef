package workload

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/output"
)

// stdio opens what a workload's descriptors 0, 1 and 2 are to be. The caller
// closes the files after the start. Streams that this begins are ended by
// finishOutput.
func (p *Process) stdio(s *Spec, user *Numbers) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open its standard input: %w", err)
	}
	null := os.NewFile(uintptr(fd), os.DevNull)
	files = append(files, null)
	if s.Output != nil {
		files = append(files, s.Output, s.Output)
		if user != nil { // Some programs open it anew, as /dev/stderr.
			if err := s.Output.Chown(user.UID, user.GID); err != nil {
				return files, fmt.Errorf("cannot give it its output: %w", err)
			}
		}
		return files, nil
	}
	for _, path := range []string{s.Stdout, s.Stderr} {
		switch {
		case path == "":
			files = append(files, null)
		case len(files) == 2 && path == s.Stdout:
			files = append(files, files[1])
		default:
			f, err := p.openOutput(path, s, user)
			if err != nil {
				return files, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

func (p *Process) openOutput(path string, s *Spec, user *Numbers) (*os.File, error) {
	var owner *output.Owner
	if user != nil {
		owner = &output.Owner{Name: user.Name, UID: user.UID, GID: user.GID}
	}
	if s.Rotation == nil {
		return output.Open(path, owner)
	}
	stream, file, err := p.launcher.output.Open(output.Options{
		Path: path, MaxFiles: s.Rotation.MaxFiles, MaxFileSize: s.Rotation.MaxFileSize, Owner: owner, Task: s.ID,
	})
	if err != nil {
		return nil, err
	}
	p.streams = append(p.streams, stream)
	return file, nil
}

// finishOutput ends the streams of a workload of which nothing is left, and
// says what of them was lost.
func (p *Process) finishOutput() (lost []error) {
	for _, stream := range p.streams {
		if loss := stream.Finish(); loss.Bytes > 0 {
			lost = append(lost, fmt.Errorf("of its %s %s", stream.Name(), loss))
		}
	}
	return lost
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // one that is there twice is closed twice, harmlessly
	}
}
