package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// httpFramework is the process of a framework that has none, because it uses HTTP.
const httpFramework = "@0.0.0.0:0"

// Write keeps a record. It is not synced to the disk.
func (d Dir) Write(r core.Record) error {
	if err := d.write(r); err != nil {
		return fmt.Errorf("cannot checkpoint: %w", err)
	}
	return nil
}

func (d Dir) write(r core.Record) error {
	switch r := r.(type) {
	case core.KeepAgent:
		dir := d.agent(r.Info.ID.GetValue())
		encoded, err := encodeAgent(r.Info)
		return errors.Join(err, put(filepath.Join(dir, agentFile), frame(encoded)), point(filepath.Join(d.agents(), latest), dir))
	case core.KeepResources:
		return d.writeResources(r)
	case core.KeepDrain:
		name := filepath.Join(d.agent(r.Agent.Value), drainFile)
		if r.Config == nil {
			return ignoreAbsent(os.Remove(name))
		}
		encoded, err := r.Config.Marshal()
		return errors.Join(err, put(name, frame(encoded)))
	case core.KeepFramework:
		dir := d.framework(r.Agent.Value, r.Info.ID.GetValue())
		encoded, err := r.Info.Marshal()
		return errors.Join(err, put(filepath.Join(dir, frameworkFile), frame(encoded)), put(filepath.Join(dir, frameworkPIDFile), []byte(httpFramework)))
	case core.KeepExecutor:
		return d.writeExecutor(r)
	case core.KeepTask:
		encoded, err := encodeTask(r.Task, r.Limits)
		return errors.Join(err, put(filepath.Join(d.task(r.Run, r.Task.TaskID.Value), taskFile), frame(encoded)))
	case core.KeepSubscribed:
		return put(filepath.Join(d.run(r.Run), subscribedFile), nil)
	case core.KeepUpdate:
		encoded, err := encodeUpdate(&r.Update)
		return errors.Join(err, d.add(r.Run, r.Update.Status.TaskID.Value, encoded))
	case core.KeepAcknowledged:
		return d.add(r.Run, r.Task.Value, encodeAcknowledged(r.UUID))
	case core.KeepEnd:
		return put(filepath.Join(d.run(r.Run), endFile), nil)
	}
	return fmt.Errorf("nobody knows what a %T is", r)
}

func (d Dir) writeExecutor(r core.KeepExecutor) error {
	generated := "0"
	if r.Kind == core.CommandExecutor {
		generated = "1"
	}
	encoded, err := encodeExecutor(r.Info)
	dir := d.executor(r.Run)
	return errors.Join(err,
		put(filepath.Join(dir, executorFile), frame(encoded)),
		put(filepath.Join(dir, generatedFile), []byte(generated)),
		os.MkdirAll(d.run(r.Run), 0o755),
		point(filepath.Join(d.runs(r.Run), latest), d.run(r.Run)))
}

// writeResources writes resources in both of the forms that a real agent does: with
// the operations, and in the older one.
func (d Dir) writeResources(r core.KeepResources) error {
	state, errs := encodeState(r)
	var older []byte
	for _, resource := range downgraded(r.Resources) {
		encoded, err := resource.Marshal()
		errs = errors.Join(errs, err)
		older = append(older, frame(encoded)...)
	}
	return errors.Join(errs, put(d.state(), frame(state)), put(filepath.Join(d.root, resourcesDir, resourcesFile), older))
}

// Forked keeps an executor's process ID.
func (d Dir) Forked(r core.Run, pid int) error {
	if err := put(d.forked(r), strconv.AppendInt(nil, int64(pid), 10)); err != nil {
		return fmt.Errorf("cannot checkpoint a process ID: %w", err)
	}
	return nil
}

// Booted keeps which start of the machine the process IDs are of; what is not the
// machine's has them forgotten.
func (d Dir) Booted(id string) error {
	if err := put(filepath.Join(d.root, bootIDFile), []byte(id)); err != nil {
		return fmt.Errorf("cannot checkpoint the boot ID: %w", err)
	}
	return nil
}

// Remove removes what is kept of a run and, when it was the last, of its executor
// and its framework.
func (d Dir) Remove(r core.Run) error {
	if err := os.RemoveAll(d.run(r)); err != nil {
		return fmt.Errorf("cannot remove a checkpoint: %w", err)
	}
	link := filepath.Join(d.runs(r), latest)
	if target, err := os.Readlink(link); err == nil && filepath.Base(target) != r.Container {
		return nil
	}
	return errors.Join(ignoreAbsent(os.RemoveAll(d.executor(r))), d.prune(r))
}

// prune removes a framework's directory that has no executor in it.
func (d Dir) prune(r core.Run) error {
	dir := d.framework(r.Agent.Value, r.Framework.Value)
	err := os.Remove(filepath.Join(dir, "executors"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // another one is in it
	}
	return ignoreAbsent(os.RemoveAll(dir))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// put replaces a file as a whole, and makes the directories that it lies in.
func put(name string, content []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	beside := filepath.Join(dir, "."+filepath.Base(name)+".new")
	if err := os.WriteFile(beside, content, 0o644); err != nil {
		return err
	}
	return os.Rename(beside, name)
}

// point makes a link to a directory in the place of an earlier one.
func point(link, dir string) error {
	beside := link + ".new"
	if err := ignoreAbsent(os.Remove(beside)); err != nil {
		return err
	}
	if err := os.Symlink(dir, beside); err != nil {
		return err
	}
	return os.Rename(beside, link)
}

// add appends a record to a task's updates, with one write.
func (d Dir) add(r core.Run, task string, record []byte) error {
	dir := d.task(r, task)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, updatesFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(frame(record))
	return errors.Join(err, f.Close())
}
