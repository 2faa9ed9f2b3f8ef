package jobspec

import (
	"fmt"
	"iter"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const (
	// maxRestarts bounds what an executor has to remember of a workload.
	maxRestarts = 1000
	// maxWorkloads bounds a group.
	maxWorkloads = 64
	// maxArg is the longest text that Linux passes to a program as one
	// argument or environment variable (MAX_ARG_STRLEN), its final zero
	// included.
	maxArg = 128 << 10
)

// workloads checks the group.
func (c *checker) workloads(job *tandemv1.Job) {
	switch n := len(job.Workloads); {
	case n == 0:
		c.refuse("workloads", "is required: at least one program to run")
	case n > maxWorkloads:
		c.refuse("workloads", "are %d; a group has at most %d", n, maxWorkloads)
	}
	mains := 0
	names, ports, hostPorts := map[string]string{}, map[string]string{}, map[int32]string{}
	for i, w := range job.Workloads {
		field := fmt.Sprintf("workloads[%d]", i)
		if w.GetLifecycle() == tandemv1.Lifecycle_LIFECYCLE_MAIN {
			mains++
		}
		at := join(field, "name")
		if c.name(at, w.GetName()) {
			once(c, names, w.GetName(), at)
		}
		for j, p := range w.GetPorts() {
			at := fmt.Sprintf("%s.ports[%d]", field, j)
			if c.name(join(at, "name"), p.GetName()) {
				once(c, ports, p.GetName(), join(at, "name"))
			}
			switch host := p.GetHostPort(); {
			case host < 0 || host > 65535:
				c.refuse(join(at, "hostPort"), "must be from 1 to 65535, or 0 for any that is offered")
			case host != 0:
				once(c, hostPorts, host, join(at, "hostPort"))
			}
		}
		c.workload(field, w)
	}
	if mains == 0 && len(job.Workloads) > 0 {
		c.refuse("workloads", "none has lifecycle main; a group needs one that is its purpose")
	}
}

// name reports whether a name is well-formed.
func (c *checker) name(field, n string) bool {
	fixed := strings.ReplaceAll(strings.ToLower(n), "_", "-")
	switch {
	case n == "":
		c.refuse(field, "is required")
	case name.MatchString(n):
		return true
	case len(n) > 63:
		c.refuse(field, "has %d characters; at most 63 are allowed", len(n))
	case name.MatchString(fixed):
		c.suggest(field, fixed, "%s has other characters than lower-case letters, digits and hyphens", quoted(n))
	default:
		c.refuse(field, "%s has other characters than lower-case letters, digits and hyphens", quoted(n))
	}
	return false
}

// once refuses what another field has taken already.
func once[K comparable](c *checker, taken map[K]string, value K, field string) {
	if other, again := taken[value]; again {
		c.refuse(field, "%#v is taken by %s", value, other)
		return
	}
	taken[value] = field
}

func (c *checker) workload(field string, w *tandemv1.Workload) {
	c.command(field, w)
	c.resources(join(field, "resources"), w.GetResources())
	c.limits(field, w)
	c.linux(join(field, "linux"), w.GetLinux())
	dests := map[string]string{}
	for i, f := range w.GetFetch() {
		at := fmt.Sprintf("%s.fetch[%d]", field, i)
		c.fetch(at, f)
		if f.GetDestPath() != "" {
			once(c, dests, path.Clean(f.GetDestPath()), join(at, "destPath"))
		}
	}
	c.environment(join(field, "env"), w.GetEnv())
	var ports []string
	for _, p := range w.GetPorts() {
		ports = append(ports, p.GetName())
	}
	c.check(join(field, "healthCheck"), w.GetHealthCheck(), ports)
	c.check(join(field, "readinessCheck"), w.GetReadinessCheck(), ports)
	c.kill(join(field, "kill"), w.GetKill(), ports)
	if r := w.GetRestart(); r != nil {
		if n := r.GetAttempts(); n < 1 || n > maxRestarts {
			c.refuse(join(field, "restart.attempts"), "must be from 1 to %d; leave restart out for none", maxRestarts)
		}
		c.delays(join(field, "restart"), r)
	}
	c.logs(join(field, "logs"), w.GetLogs())
	c.user(join(field, "user"), w.GetUser())
	if w.GetMaxRunTime() != nil {
		c.moreThan(join(field, "maxRunTime"), w.GetMaxRunTime())
	}
}

func (c *checker) command(field string, w *tandemv1.Workload) {
	switch {
	case w.GetCmd() == "" && len(w.GetArgs()) == 0 && w.GetLinux().GetBundle() != "": // which says what runs
	case w.GetCmd() == "" && len(w.GetArgs()) == 0:
		c.refuse(field, "has neither cmd nor args; give one: a command line for the shell, or a program with its arguments")
	case w.GetCmd() != "" && len(w.GetArgs()) > 0:
		c.refuse(join(field, "args"), "cannot stand beside cmd; give one of them")
	case w.GetCmd() == "" && w.GetArgs()[0] == "":
		c.refuse(join(field, "args[0]"), "the program's name is empty")
	}
	c.argument(join(field, "cmd"), w.GetCmd())
	for i, arg := range w.GetArgs() {
		c.argument(fmt.Sprintf("%s.args[%d]", field, i), arg)
	}
}

func (c *checker) argument(field, arg string) {
	c.text(field, arg)
	if len(arg) >= maxArg {
		c.refuse(field, "has %d bytes; Linux passes less than %d to a program", len(arg), maxArg)
	}
}

func (c *checker) limits(field string, w *tandemv1.Workload) {
	l, r := w.GetLimits(), w.GetResources()
	at := join(field, "limits")
	if l == nil {
		return
	}
	if l.Cpus != nil {
		c.thousandths(join(at, "cpus"), l.GetCpus())
		if l.GetCpus() < r.GetCpus() {
			c.refuse(join(at, "cpus"), "must be at least resources.cpus, %v", r.GetCpus())
		}
		// The kernel gives a cgroup at least one millisecond in each hundred.
		if l.GetCpus() < 0.01 {
			c.refuse(join(at, "cpus"), "must be at least 0.01")
		}
	}
	if l.Mem != nil {
		c.thousandths(join(at, "mem"), l.GetMem())
		if l.GetMem() < r.GetMem() {
			c.refuse(join(at, "mem"), "must be at least resources.mem, %v MiB", r.GetMem())
		}
	}
	if l.MemHigh != nil {
		c.thousandths(join(at, "memHigh"), l.GetMemHigh())
		if l.GetMemHigh() <= 0 || l.GetMemHigh() > l.GetMem() {
			c.refuse(join(at, "memHigh"), "must be more than 0 and at most limits.mem, %v MiB", l.GetMem())
		}
	}
	if l.Swap != nil {
		c.thousandths(join(at, "swap"), l.GetSwap())
	}
	if l.Disk != nil {
		c.thousandths(join(at, "disk"), l.GetDisk())
		if l.GetDisk() < r.GetDisk() || l.GetDisk() == 0 {
			c.refuse(join(at, "disk"), "must be more than 0 and at least resources.disk, %v MiB", r.GetDisk())
		}
	}
	if l.Pids != nil && l.GetPids() < 1 {
		c.refuse(join(at, "pids"), "must be at least 1")
	}
	// A program is started with its three standard files open.
	if l.Nofile != nil && l.GetNofile() < 3 {
		c.refuse(join(at, "nofile"), "must be at least 3")
	}
	if l.Io != nil && (l.Io.GetWeight() < 1 || l.Io.GetWeight() > 10000) {
		c.refuse(join(at, "io.weight"), "must be from 1 to 10000")
	}
}

func isTar(name string) bool {
	return slices.ContainsFunc(archives, func(ending string) bool { return ending != ".zip" && strings.HasSuffix(name, ending) })
}

var sha256Text = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func (c *checker) fetch(field string, f *tandemv1.Fetch) {
	at := join(field, "uri")
	u, err := url.Parse(f.GetUri())
	switch {
	case f.GetUri() == "":
		c.refuse(at, "is required")
	case err != nil || strings.ContainsAny(f.GetUri(), " \t\n\"'\\"):
		// Mesos's fetcher refuses the last two, since it once passed URIs
		// through a shell (src/slave/containerizer/fetcher.cpp).
		c.refuse(at, "%s is no URI", quoted(f.GetUri()))
	case isRelative(f.GetUri()):
		if !c.relative {
			c.refuse(at, "%s is a relative path, which no agent can reach; `tandem run` uploads such a file and puts its address here", quoted(f.GetUri()))
		}
	case u.Scheme == "" && strings.HasPrefix(f.GetUri(), "//"):
		c.refuse(at, "%s has no scheme; http, https, file or an absolute path is asked for", quoted(f.GetUri()))
	case u.Scheme == "":
	case u.Scheme == "file":
		if u.Host != "" || u.Path == "" {
			c.refuse(at, "a file's URI has three slashes, as in file:///opt/app.tgz")
		}
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			c.refuse(at, "%s names no host", quoted(f.GetUri()))
		}
	case strings.HasPrefix(f.GetUri(), artifacts):
		if digest, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); !ok || !sha256Text.MatchString(digest) || name == "" {
			c.refuse(at, "an uploaded file's URI is %s, its SHA-256, a slash and its name", artifacts)
		}
	default:
		c.refuse(at, "the scheme %s is not supported; http, https, file or an absolute path is asked for", quoted(u.Scheme))
	}
	if f.GetExtract() && f.GetExecutable() {
		c.refuse(join(field, "extract"), "cannot be true for an executable file, which is never unpacked")
	}
	if f.GetRootfs() && (f.GetExecutable() || f.Extract != nil && !f.GetExtract()) {
		c.refuse(join(field, "rootfs"), "takes an archive that is unpacked")
	}
	switch dest := f.GetDestPath(); {
	case dest == "" && f.GetUri() != "":
		c.refuse(join(field, "destPath"), "is required, since the URI ends without a name")
	case f.GetRootfs() && !isTar(dest):
		c.refuse(join(field, "destPath"), "%s is no tar archive by its name, which is how a root file system comes; call it rootfs/root.tar.gz, say", quoted(dest))
	case dest != "" && !localPath(dest):
		c.refuse(join(field, "destPath"), "%s leads out of the sandbox; a relative path below it is asked for", quoted(dest))
	}
	if s := f.GetSha256(); s != "" && !sha256Text.MatchString(s) {
		c.refuse(join(field, "sha256"), "is not 64 hexadecimal digits")
	}
}

// localPath says whether a path stays below where it starts, and is not that
// place itself.
func localPath(p string) bool {
	clean := path.Clean(p)
	return clean != "." && clean != ".." && !path.IsAbs(clean) && !strings.HasPrefix(clean, "../")
}

// isRelative says whether a URI is a path beside the job file.
func isRelative(uri string) bool {
	if uri == "" || uri[0] == '/' {
		return false
	}
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == ""
}

// uriPath returns the path of a URI, or nothing for what is none.
func uriPath(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Path
}

var (
	secretName  = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`)
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	envReserved = regexp.MustCompile(`^(MESOS_|LIBPROCESS_|TANDEM_|PORT_|PORT[0-9]+$)`)
)

func (c *checker) environment(field string, env map[string]*tandemv1.EnvValue) {
	for key, v := range ordered(env) {
		at := join(field, key)
		switch {
		case !envName.MatchString(key):
			c.refuse(at, "%s is no variable's name; it has letters, digits and _, and starts with no digit", quoted(key))
		case envReserved.MatchString(key):
			c.refuse(at, "the name is set by the system; names that start with MESOS_, LIBPROCESS_, TANDEM_ or PORT_, and PORT0-like ones, are taken")
		}
		switch s := v.GetSource().(type) {
		case nil:
			c.refuse(at, "has no value; give text or {secret: NAME}")
		case *tandemv1.EnvValue_Value:
			c.text(at, s.Value)
			if len(key)+1+len(s.Value) >= maxArg {
				c.refuse(at, "has %d bytes; Linux passes less than %d to a program", len(s.Value), maxArg)
			}
		case *tandemv1.EnvValue_Secret:
			switch at := join(at, "secret"); {
			case s.Secret == "":
				c.refuse(at, "the secret's name is empty")
			case !secretName.MatchString(s.Secret):
				c.refuse(at, "%s is no secret's name: letters, digits, dots, hyphens and underscores, at most 255 and no dot first", quoted(s.Secret))
			}
		}
	}
}

func (c *checker) check(field string, h *tandemv1.HealthCheck, ports []string) {
	if h == nil {
		return
	}
	switch k := h.GetKind().(type) {
	case nil:
		c.refuse(field, "has neither http, tcp nor command; give one")
	case *tandemv1.HealthCheck_Http:
		c.http(join(field, "http"), k.Http, ports)
	case *tandemv1.HealthCheck_Tcp:
		c.port(join(field, "tcp.port"), k.Tcp.GetPort(), ports)
	case *tandemv1.HealthCheck_Command:
		c.commandCheck(join(field, "command"), k.Command)
	}
	c.atLeast(join(field, "gracePeriod"), h.GetGracePeriod(), 0)
	c.atLeast(join(field, "delay"), h.GetDelay(), 0)
	c.moreThan(join(field, "interval"), h.GetInterval())
	c.moreThan(join(field, "timeout"), h.GetTimeout())
	if h.GetMaxConsecutiveFailures() < 1 {
		c.refuse(join(field, "maxConsecutiveFailures"), "must be at least 1")
	}
}

func (c *checker) http(field string, h *tandemv1.HttpCheck, ports []string) {
	c.port(join(field, "port"), h.GetPort(), ports)
	if !strings.HasPrefix(h.GetPath(), "/") || strings.ContainsAny(h.GetPath(), " \r\n\x00") {
		c.refuse(join(field, "path"), "%s is no path such as /health", quoted(h.GetPath()))
	}
	if s := h.GetScheme(); s != "http" && s != "https" {
		c.refuse(join(field, "scheme"), "%s is not http or https", quoted(s))
	}
}

func (c *checker) port(field, port string, ports []string) {
	switch {
	case len(ports) == 0:
		c.refuse(field, "the workload has no ports; name one under its ports")
	case !slices.Contains(ports, port):
		c.suggest(field, nearest(port, ports), "the workload has no port %s, only %s", quoted(port), strings.Join(ports, ", "))
	}
}

func (c *checker) kill(field string, k *tandemv1.KillSettings, ports []string) {
	if k == nil {
		return
	}
	if s := k.GetSignal(); unix.SignalNum(s) == 0 {
		at, long := join(field, "signal"), "SIG"+strings.TrimPrefix(strings.ToUpper(s), "SIG")
		if unix.SignalNum(long) != 0 {
			c.suggest(at, long, "%s is no signal's name", quoted(s))
		} else {
			c.refuse(at, "%s is no signal's name; one such as SIGTERM is asked for", quoted(s))
		}
	}
	c.atLeast(join(field, "gracePeriod"), k.GetGracePeriod(), 0)
	if k.GetPreStopHttp() != nil {
		c.http(join(field, "preStopHttp"), k.GetPreStopHttp(), ports)
	}
	if k.GetPreStopCommand() != nil {
		at := join(field, "preStopCommand")
		if k.GetPreStopHttp() != nil {
			c.refuse(at, "cannot be given beside preStopHttp; let one do both")
		}
		c.commandCheck(at, k.GetPreStopCommand())
	}
}

func (c *checker) commandCheck(field string, k *tandemv1.CommandCheck) {
	at := join(field, "cmd")
	if k.GetCmd() == "" {
		c.refuse(at, "is required: a command line for the shell")
	}
	c.argument(at, k.GetCmd())
}

// mostLogs is how many files the executor keeps of a stream at the most.
const mostLogs = 1000

func (c *checker) logs(field string, l *tandemv1.LogSettings) {
	switch files, size := l.GetMaxFiles(), l.GetMaxFileSize(); {
	case files < 0:
		c.refuse(join(field, "maxFiles"), "must not be negative")
	case files > mostLogs:
		c.refuse(join(field, "maxFiles"), "must be at most %d: each new file renames all", mostLogs)
	case files == 0 && size != 0:
		c.refuse(join(field, "maxFileSize"), "needs maxFiles, the number of files to keep")
	case files > 0 && size < 4096:
		c.refuse(join(field, "maxFileSize"), "must be at least 4Ki")
	}
}

// ordered goes through a map by its keys in order, so that problems do not
// change places from run to run.
func ordered[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
