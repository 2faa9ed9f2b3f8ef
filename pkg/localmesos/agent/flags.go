package agent

import (
	"maps"
	"strconv"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// fixedFlags are flags of a real agent whose defaults hold here, or mean nothing
// here, and cannot be changed.
var fixedFlags = map[string]string{
	"appc_simple_discovery_uri_prefix":       "http://",
	"appc_store_dir":                         "/tmp/mesos/store/appc",
	"authenticatee":                          "crammd5",
	"authentication_backoff_factor":          "1secs",
	"authentication_timeout_max":             "1mins",
	"authentication_timeout_min":             "5secs",
	"authorizer":                             "local",
	"cgroups_cpu_enable_pids_and_tids_count": "false",
	"cgroups_destroy_timeout":                "1mins",
	"cgroups_hierarchy":                      "/sys/fs/cgroup",
	"cgroups_limit_swap":                     "false",
	"containerizers":                         "mesos",
	"default_role":                           "*",
	"disallow_sharing_agent_ipc_namespace":   "false",
	"disallow_sharing_agent_pid_namespace":   "false",
	"disk_watch_interval":                    "1mins",
	"docker":                                 "docker",
	"docker_ignore_runtime":                  "false",
	"docker_kill_orphans":                    "true",
	"docker_registry":                        "https://registry-1.docker.io",
	"docker_remove_delay":                    "6hrs",
	"docker_socket":                          "/var/run/docker.sock",
	"docker_stop_timeout":                    "0ns",
	"docker_store_dir":                       "/tmp/mesos/store/docker",
	"docker_volume_checkpoint_dir":           "/var/run/mesos/isolators/docker/volume",
	"docker_volume_chown":                    "false",
	"gc_disk_headroom":                       "0.1",
	"gc_non_executor_container_sandboxes":    "false",
	"help":                                   "false",
	"hostname_lookup":                        "false",
	"http_command_executor":                  "false",
	"http_heartbeat_interval":                "30secs",
	"initialize_driver_logging":              "true",
	"logbufsecs":                             "0",
	"logging_level":                          "INFO",
	"max_completed_executors_per_framework":  "150",
	"memory_profiling":                       "false",
	"network_cni_metrics":                    "true",
	"network_cni_root_dir_persist":           "false",
	"oversubscribed_resources_interval":      "15secs",
	"perf_duration":                          "10secs",
	"perf_interval":                          "1mins",
	"qos_correction_interval_min":            "0ns",
	"quiet":                                  "false",
	"reconfiguration_policy":                 "equal",
	"registration_backoff_factor":            "1secs",
	"revocable_cpu_low_priority":             "true",
	"sandbox_directory":                      "/mnt/mesos/sandbox",
	"strict":                                 "true",
	"switch_user":                            "true",
	"systemd_enable_support":                 "false",
	"systemd_runtime_directory":              "/run/systemd/system",
	"version":                                "false",
	"zk_session_timeout":                     "10secs",
}

// flags are the options under the names of a real agent's flags.
func (a *Agent) flags() map[string]string {
	isolation, launcher := "posix/cpu,posix/mem", "posix"
	if a.Cgroups() != cgroup.None {
		isolation, launcher = "cgroups/cpu,cgroups/mem,cgroups/pids", "linux"
	}
	if a.options.EnforceDiskQuota {
		isolation += ",disk/du"
	}
	flags := maps.Clone(fixedFlags)
	maps.Copy(flags, map[string]string{
		"authenticate_http_readonly":      strconv.FormatBool(a.options.AuthenticateReadonly),
		"authenticate_http_readwrite":     strconv.FormatBool(a.options.AuthenticateReadwrite),
		"http_executor_domain_sockets":    strconv.FormatBool(a.options.ExecutorDomainSocket != ""),
		"attributes":                      a.options.Attributes,
		"container_disk_watch_interval":   core.FormatDuration(a.options.DiskQuotaInterval),
		"enforce_container_disk_quota":    strconv.FormatBool(a.options.EnforceDiskQuota),
		"cgroups_enable_cfs":              strconv.FormatBool(a.options.CgroupsEnableCFS),
		"cgroups_root":                    a.options.CgroupsRoot,
		"executor_registration_timeout":   core.FormatDuration(a.options.ExecutorRegistrationTimeout),
		"executor_reregistration_timeout": core.FormatDuration(a.options.ExecutorReregistrationTimeout),
		"executor_shutdown_grace_period":  core.FormatDuration(a.options.ExecutorShutdownGracePeriod),
		"fetcher_cache_dir":               a.cacheDir(),
		"fetcher_stall_timeout":           core.FormatDuration(a.options.FetcherStallTimeout),
		"fetcher_cache_size":              formatBytes(a.options.FetcherCacheBytes),
		"frameworks_home":                 a.options.FrameworksHome,
		"gc_delay":                        core.FormatDuration(a.options.GCDelay),
		"hostname":                        a.options.Hostname,
		"ip":                              a.ip,
		"isolation":                       isolation,
		"launcher":                        launcher,
		"port":                            strconv.Itoa(a.port),
		"recover":                         "reconnect",
		"recovery_timeout":                core.FormatDuration(a.options.RecoveryTimeout),
		"resources":                       a.options.Resources,
		"work_dir":                        a.options.WorkDir,
	})
	if path := a.options.ExecutorDomainSocket; path != "" {
		flags["domain_socket_location"] = path
	}
	return flags
}

// formatBytes prints a size as stout does, in the largest unit that divides it.
func formatBytes(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	for n != 0 && n%1024 == 0 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strconv.FormatInt(n, 10) + units[0]
}

func (a *Agent) writeFlags(out *wire.Writer) {
	o, flags := object{out}, a.flags()
	o.BeginObject()
	for _, name := range sortedKeys(flags) {
		o.text(name, flags[name])
	}
	o.EndObject()
}
