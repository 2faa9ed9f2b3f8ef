package convert

import (
	"regexp"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

var volumeName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// volumes converts the persistent volumes of a container. They are where they were
// for Marathon: in the workload's own directory, by their names.
func volumes(c, residency object, job *tandemv1.Job) {
	lost := tandemv1.WhenLost_WHEN_LOST_WAIT
	if residency.text("taskLostBehavior") == "RELAUNCH_AFTER_TIMEOUT" {
		lost = tandemv1.WhenLost_WHEN_LOST_REPLACE
	}
	residency.leave("relaunchEscalationTimeoutSeconds", "left out: a volume is lost when an operator says that its agent is gone")
	residency.rest()
	for _, v := range c.objects("volumes") {
		path, persistent := v.text("containerPath"), v.inside("persistent")
		size := persistent.number("size", 0)
		switch {
		case size <= 0:
			persistent.forget("type", "constraints", "maxSize", "profileName")
			v.leave("hostPath", "left out: workloads see the agent's own file system")
			v.leave("external", "left out: volumes are those of Mesos")
			v.leave("secret", "left out: use secrets in env")
		case !volumeName.MatchString(path):
			v.remark("containerPath", "left out: a volume is named by lower-case letters, digits and hyphens, and found under that name")
		default:
			persistent.leave("constraints", "left out: a volume is made of what the role has")
			persistent.leave("profileName", "left out: a volume is made of what the role has")
			disk := tandemv1.VolumeDisk_VOLUME_DISK_ROOT
			switch persistent.text("type") {
			case "path":
				disk = tandemv1.VolumeDisk_VOLUME_DISK_PATH
			case "mount":
				disk = tandemv1.VolumeDisk_VOLUME_DISK_MOUNT
			}
			persistent.forget("maxSize")
			job.Volumes = append(job.Volumes, &tandemv1.Volume{Name: path, Size: size, WhenLost: lost, Disk: disk})
		}
		v.forget("mode")
		persistent.rest()
		v.rest()
	}
}
