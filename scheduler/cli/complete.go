package cli

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// maxCompleted bounds how many jobs a shell is told the tasks of.
const maxCompleted = 200

// completer returns what an argument may be that begins with the prefix; args are
// those before it.
type completer func(ctx context.Context, c *client, args []string, prefix string) ([]cobra.Completion, error)

// completers are what the words stand for by which verbs call their arguments.
var completers = map[string]completer{
	"JOB": completeJobs, "PATH": completeJobs, "TASK": completeTasks, "AGENT": completeAgents, "ID": completeVolumes, "VERSION": completeVersions,
	"SIGNAL": completeSignals,
}

// completeArgs has the arguments of a verb, and of those below it, completed as far
// as the scheduler can be asked. What a verb takes is in its usage, where a
// file's name is left to the shell.
func completeArgs(cmd *cobra.Command, sys *System) {
	for _, below := range cmd.Commands() {
		completeArgs(below, sys)
	}
	if cmd.Flags().Lookup("context") != nil {
		// It fails for a flag that is not there only.
		_ = cmd.RegisterFlagCompletionFunc("context", func(_ *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return answered(contextNames(sys, prefix))
		})
	}
	words := argumentsOf(cmd)
	if len(words) == 0 || cmd.HasSubCommands() {
		return
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "FILE") }) {
		return
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		at := len(args)
		if last := len(words) - 1; at > last && strings.HasSuffix(words[last], "...") {
			at = last
		}
		if at >= len(words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return answered(completeArg(cmd, sys, strings.TrimSuffix(words[at], "..."), args, prefix))
	}
}

func answered(all []cobra.Completion, err error) ([]cobra.Completion, cobra.ShellCompDirective) {
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// argumentsOf are the arguments in a verb's usage, without brackets.
func argumentsOf(cmd *cobra.Command) []string {
	var words []string
	for _, w := range strings.Fields(cmd.Use)[1:] {
		w = strings.Trim(w, "[]")
		if w == strings.ToUpper(w) && !strings.HasPrefix(w, "-") {
			words = append(words, w)
		}
	}
	return words
}

func completeArg(cmd *cobra.Command, sys *System, word string, args []string, prefix string) ([]cobra.Completion, error) {
	if word == "NAME" && cmd.HasParent() && cmd.Parent().Name() == "context" {
		return contextNames(sys, prefix)
	}
	// Nothing has run yet that would read it for a verb.
	if err := fill(cmd.Flags(), sys); err != nil {
		return nil, err
	}
	var all []cobra.Completion
	for kind := range strings.SplitSeq(word, "|") {
		complete := completers[kind]
		if complete == nil {
			continue
		}
		c, err := newClient(connectionOf(cmd.Flags()))
		if err != nil {
			return nil, err
		}
		some, err := complete(cmd.Context(), c, args, prefix)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// connectionOf is the connection that a verb's flags ask for.
func connectionOf(flags *pflag.FlagSet) connection {
	value := func(name string) string {
		text, _ := flags.GetString(name)
		return text
	}
	return connection{
		scheduler: value("scheduler"), ca: value("tls-ca"), cert: value("tls-cert"), key: value("tls-key"), tokenFile: value("token-file"),
	}
}

func contextNames(sys *System, prefix string) ([]cobra.Completion, error) {
	path, err := contextsPath(sys)
	if err != nil {
		return nil, err
	}
	all, err := readContexts(path)
	if err != nil {
		return nil, err
	}
	var names []cobra.Completion
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, cobra.CompletionWithDesc(name, all.Contexts[name]["scheduler"]))
		}
	}
	return names, nil
}

// completeJobs completes jobs, whose first slash may be left out.
func completeJobs(ctx context.Context, c *client, _ []string, prefix string) ([]cobra.Completion, error) {
	res, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{})
	if err != nil {
		return nil, err
	}
	var all []cobra.Completion
	for _, j := range res.GetJobs() {
		id := j.GetSpec().GetId()
		if !strings.HasPrefix(prefix, "/") && prefix != "" {
			id = id[1:]
		}
		if strings.HasPrefix(id, prefix) {
			all = append(all, cobra.CompletionWithDesc(id, present.JobPhase(j.GetPhase())))
		}
	}
	return all, nil
}

// completeTasks completes the tasks that run.
func completeTasks(ctx context.Context, c *client, _ []string, prefix string) ([]cobra.Completion, error) {
	jobs, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{})
	if err != nil {
		return nil, err
	}
	var all []cobra.Completion
	asked := 0
	for _, j := range jobs.GetJobs() {
		// A task's ID begins with its job's.
		begins := strings.ReplaceAll(j.GetSpec().GetId()[1:], "/", "_") + "."
		if !strings.HasPrefix(begins, prefix) && !strings.HasPrefix(prefix, begins) {
			continue
		}
		if asked++; asked > maxCompleted {
			break
		}
		res, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: j.GetSpec().GetId()})
		if err != nil {
			continue // It was purged meanwhile.
		}
		for _, t := range liveTasks(res.GetJob()) {
			if strings.HasPrefix(t.GetTaskId(), prefix) {
				all = append(all, cobra.CompletionWithDesc(t.GetTaskId(), t.GetState().String()))
			}
		}
	}
	return all, nil
}

func completeAgents(ctx context.Context, c *client, _ []string, prefix string) ([]cobra.Completion, error) {
	res, err := c.ListAgents(ctx, &tandemv1.ListAgentsRequest{})
	if err != nil {
		return nil, err
	}
	offered, err := c.ListOffers(ctx, &tandemv1.ListOffersRequest{ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"hostname"}}})
	if err != nil {
		return nil, err
	}
	instances := map[string]int32{}
	for _, o := range offered.GetOffers() {
		instances[o.GetHostname()] = 0
	}
	for _, a := range res.GetAgents() {
		instances[a.GetHostname()] += a.GetAttempts()
	}
	var all []cobra.Completion
	for _, name := range slices.Sorted(maps.Keys(instances)) {
		if strings.HasPrefix(name, prefix) {
			all = append(all, cobra.CompletionWithDesc(name, strconv.Itoa(int(instances[name]))+" instances"))
		}
	}
	return all, nil
}

func completeVolumes(ctx context.Context, c *client, args []string, prefix string) ([]cobra.Completion, error) {
	res, err := c.ListVolumes(ctx, &tandemv1.ListVolumesRequest{})
	if err != nil {
		return nil, err
	}
	var all []cobra.Completion
	for _, v := range res.GetVolumes() {
		if strings.HasPrefix(v.GetId(), prefix) && !slices.Contains(args, v.GetId()) {
			all = append(all, cobra.CompletionWithDesc(v.GetId(), strings.TrimPrefix(v.GetState().String(), volumeStatePrefix)+" on "+v.GetHostname()))
		}
	}
	return all, nil
}

// completeVersions completes the versions that the job before may go back to.
func completeVersions(ctx context.Context, c *client, args []string, prefix string) ([]cobra.Completion, error) {
	if len(args) == 0 {
		return nil, nil
	}
	res, err := c.ListVersions(ctx, &tandemv1.ListVersionsRequest{Id: jobID(args[0])})
	if err != nil {
		return nil, err
	}
	var all []cobra.Completion
	for _, v := range res.GetVersions()[min(1, len(res.GetVersions())):] {
		if number := strconv.FormatUint(v.GetVersion(), 10); strings.HasPrefix(number, prefix) {
			all = append(all, cobra.CompletionWithDesc(number, "of "+v.GetCreated().AsTime().UTC().Format("2006-01-02 15:04:05")+" UTC"))
		}
	}
	return all, nil
}

func completeSignals(_ context.Context, _ *client, _ []string, prefix string) ([]cobra.Completion, error) {
	var all []cobra.Completion
	for _, name := range []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGWINCH", "SIGSTOP", "SIGCONT", "SIGKILL"} {
		for _, written := range []string{name, strings.TrimPrefix(name, "SIG")} {
			if strings.HasPrefix(written, strings.ToUpper(prefix)) && (prefix != "" || written == name) {
				all = append(all, written)
			}
		}
	}
	return all, nil
}

// liveTasks returns the tasks of a job's newest attempts that have not ended.
func liveTasks(job *tandemv1.JobView) []*tandemv1.TaskRecord {
	var live []*tandemv1.TaskRecord
	for _, i := range job.GetInstances() {
		for _, a := range i.GetAttempts()[:min(1, len(i.GetAttempts()))] {
			for _, t := range a.GetTasks() {
				if !present.Ended(t) {
					live = append(live, t)
				}
			}
		}
	}
	return live
}

// completion adds the verb that prints what a shell completes words with.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd("completion")
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		var shells []string
		for _, shell := range cmd.Commands() {
			shells = append(shells, shell.Name())
		}
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return failed(exitUsage, "%q is no shell that words can be completed in: these are %s", args[0], strings.Join(shells, ", "))
		}
	}
}
