package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// mesosFlags describe the Mesos of `tandem local`.
type mesosFlags struct {
	// alone means a Mesos without a scheduler of ours.
	alone                 bool
	agents                int
	listen, agentListen   string
	resources, attributes string
	access                mesosAccess
}

func (f *mesosFlags) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&f.alone, "no-scheduler", false, "start the Mesos alone, for other frameworks")
	flags.IntVar(&f.agents, "agents", 1, "how many agents there are")
	flags.StringVar(&f.listen, "mesos-listen", "", "the `address` of the Mesos master (default: 127.0.0.1:5050 if it is free)")
	flags.StringVar(&f.agentListen, "agent-listen", "",
		"the `address` of the first agent; the others have the ports after it (default: port 5051 of 127.0.0.1, 127.0.0.2 and so on, and free ports where it is taken)")
	flags.StringVar(&f.resources, "resources", "",
		"what each agent offers, as in 'cpus:4;mem:4096;disk:10000;ports:[31000-31999]' (default: all that the machine has)")
	flags.StringVar(&f.attributes, "attributes", "", "the attributes of each agent, as in 'rack:r1;zone:a'")
	f.access.flags(flags)
}

// check refuses what does not go together.
func (f *mesosFlags) check(all *localFlags, files []string) error {
	switch {
	case f.agents < 1:
		return failed(exitUsage, "--agents: at least 1 is needed to run anything")
	case !f.alone && f.access.given() != "":
		return failed(exitUsage, "%s: it is for a Mesos of other frameworks: add --no-scheduler", f.access.given())
	case !f.alone:
		return nil
	case len(files) > 0:
		return failed(exitUsage, "--no-scheduler: there is nobody to run %s: leave out the flag or the files", files[0])
	case all.listen != "":
		return failed(exitUsage, "--no-scheduler: there is no API to --listen for; the master's address is --mesos-listen")
	case all.executor != "":
		return failed(exitUsage, "--no-scheduler: there is nobody to use the --executor")
	}
	return nil
}

// agentAddress returns where an agent listens that nobody gave an address. Each has
// a host name of its own, as rules on @hostname want, and the port of a real agent,
// as tools expect that know agents by their host names. One that comes back has the
// port it had.
func agentAddress(number int, back bool) string {
	host := fmt.Sprintf("127.0.%d.%d", number>>8, number&0xff)
	if back {
		return net.JoinHostPort(host, "0")
	}
	return freeAddress(net.JoinHostPort(host, "5051"))
}

// start starts the Mesos in a directory. One that is kept has what the next process
// needs to go on.
func (f *mesosFlags) start(ctx context.Context, dir string, kept bool, log logrus.FieldLogger) (*localmesos.Cluster, error) {
	o := localmesos.Options{
		Agents: f.agents,
		Dir:    filepath.Join(dir, "mesos"),
		Agent:  agent.Options{Resources: f.resources, Attributes: f.attributes},
	}
	if kept {
		o.Agent.Recovery = agent.RecoverReconnect
	}
	o.Master.Logger = log.WithField("component", "mesos")
	o.Master.Listen = f.listen
	if o.Master.Listen == "" {
		o.Master.Listen = freeAddress(master.DefaultListen)
	}
	if f.agentListen == "" {
		_, err := os.Stat(o.Dir)
		back := err == nil // with the agents of a process before
		o.EachAgent = func(number int, o *agent.Options) { o.Listen = agentAddress(number, back) }
	} else {
		host, text, err := net.SplitHostPort(f.agentListen)
		port, notNumber := strconv.ParseUint(text, 10, 16)
		if err != nil || notNumber != nil || net.ParseIP(host) == nil {
			return nil, failed(exitUsage, "--agent-listen: %q is not of the form IP:PORT", f.agentListen)
		}
		o.EachAgent = func(number int, o *agent.Options) {
			own := port
			if own != 0 {
				own += uint64(number - 1)
			}
			o.Listen = net.JoinHostPort(host, strconv.FormatUint(own, 10))
		}
	}
	if err := f.access.apply(&o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return localmesos.Start(ctx, o)
}

// serve tells where the Mesos is, and waits to be interrupted.
func (f *mesosFlags) serve(ctx context.Context, sys *System, cluster *localmesos.Cluster) error {
	fact(sys.Stdout, "master", "%s", cluster.URL())
	for _, a := range cluster.Agents() {
		fact(sys.Stdout, "agent", "http://%s", a.Address())
	}
	fact(sys.Stdout, "page", "%s/frameworks", cluster.URL())
	tellLimits(sys, cluster)
	fmt.Fprintln(sys.Stdout, "ready: interrupt to end")
	<-ctx.Done()
	return nil
}

// tellLimits says so where limits are not enforced.
func tellLimits(sys *System, cluster *localmesos.Cluster) {
	err := cluster.Agents()[0].Unlimited()
	if err == nil {
		return
	}
	hint := ""
	if os.Geteuid() != 0 {
		hint = " (run it as root for that)"
	}
	fact(sys.Stdout, "note", "limits are not enforced here%s: %v", hint, err)
}

func stopMesos(c *localmesos.Cluster) error {
	// What still runs ends as its kill policy says, not like in a power cut.
	return errors.Join(inTime(c.Retire), inTime(c.Stop))
}

// inTime does something that may take as long as the patience lasts.
func inTime(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return do(ctx)
}
