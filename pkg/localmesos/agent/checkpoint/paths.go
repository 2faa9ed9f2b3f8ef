package checkpoint

import (
	"path/filepath"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// The names of files and links.
const (
	latest           = "latest"
	bootIDFile       = "boot_id"
	resourcesDir     = "resources"
	stateFile        = "resources_and_operations.state"
	resourcesFile    = "resources.info"
	agentFile        = "slave.info"
	drainFile        = "drain.config"
	frameworkFile    = "framework.info"
	frameworkPIDFile = "framework.pid"
	executorFile     = "executor.info"
	generatedFile    = "executor_generated_for_command_task"
	forkedFile       = "forked.pid"
	subscribedFile   = "http.marker"
	endFile          = "executor.sentinel"
	taskFile         = "task.info"
	updatesFile      = "task.updates"
	launchFile       = "launch.call"
)

// Dir is the directory of an agent's checkpoints.
type Dir struct{ root string }

// In returns the directory of an agent that works in another.
func In(workDir string) Dir { return Dir{root: filepath.Join(workDir, "meta")} }

func (d Dir) state() string { return filepath.Join(d.root, resourcesDir, stateFile) }

func (d Dir) agents() string { return filepath.Join(d.root, "slaves") }

func (d Dir) agent(id string) string { return filepath.Join(d.agents(), id) }

func (d Dir) standalones() string { return filepath.Join(d.root, "standalone") }

func (d Dir) standalone(id string) string { return filepath.Join(d.standalones(), id) }

func (d Dir) framework(agent, id string) string {
	return filepath.Join(d.agent(agent), "frameworks", id)
}

func (d Dir) executor(r core.Run) string {
	return filepath.Join(d.framework(r.Agent.Value, r.Framework.Value), "executors", r.Executor.Value)
}

func (d Dir) runs(r core.Run) string { return filepath.Join(d.executor(r), "runs") }

func (d Dir) run(r core.Run) string { return filepath.Join(d.runs(r), r.Container) }

func (d Dir) forked(r core.Run) string { return filepath.Join(d.run(r), "pids", forkedFile) }

func (d Dir) task(r core.Run, id string) string { return filepath.Join(d.run(r), "tasks", id) }
