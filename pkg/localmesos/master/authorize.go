package master

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// What the ACLs say of what frameworks do, and of operations on resources
// whoever wants them (src/master/authorization.cpp).

// registrable tells whether a framework may have all of its roles.
func (c *core) registrable(info *mesos.FrameworkInfo) error {
	roles := slices.Sorted(slices.Values(validation.Roles(info)))
	allowed := len(roles) > 0 || c.options.ACLs.Otherwise()
	for _, role := range roles {
		allowed = allowed && c.options.ACLs.Allow(info.GetPrincipal(), acl.RegisterFrameworks, role)
	}
	if allowed {
		return nil
	}
	id := ""
	if info.ID != nil {
		id = info.ID.Value
	}
	//lint:ignore ST1005 a real master's text
	return errors.New("Not authorized to register framework " + id + " with roles { " + strings.Join(roles, ", ") + " }")
}

// unauthorized returns what of a task is not allowed, in a real master's words;
// nothing if it may run as the user that it will.
func (acc *acceptance) unauthorized(task *mesos.TaskInfo) string {
	user := acc.f.info.User
	if own := runAs(task); own != nil {
		user = *own
	}
	if acc.core.options.ACLs.Allow(acc.f.info.GetPrincipal(), acl.RunTasks, user) {
		return ""
	}
	return fmt.Sprintf("launch task %s of framework %s under user '%s'", task.TaskID.Value, acc.f.id, user)
}

// denial is something on whose account an operation is not allowed.
type denial struct {
	action string // the name of an authorization::Action
	value  string
	on     *mesos.Resource // nil means anything
}

// text says it in a real master's words.
func (d *denial) text(schema *wire.Schema) string {
	if d.on == nil {
		return "perform action " + d.action + " on ANY object"
	}
	out := new(wire.Writer)
	out.BeginObject()
	out.Key("value")
	out.String(d.value)
	out.Key("resource")
	if err := schema.WriteJSON(out, d.on); err != nil {
		return "perform action " + d.action
	}
	out.EndObject()
	return "perform action " + d.action + " on object " + string(out.Bytes())
}

// refused returns why a principal may not make an operation; nil if it may. The
// operation is sound, and its resources are in the refined form.
func refused(rules *acl.Rules, principal string, op *mesos.Offer_Operation) *denial {
	if rules == nil {
		return nil
	}
	byRole := func(action acl.Action, name string, list []mesos.Resource) *denial {
		for i := range list {
			role := "*"
			if n := len(list[i].Reservations); n > 0 {
				role = list[i].Reservations[n-1].GetRole()
			}
			if !rules.Allow(principal, action, role) {
				return &denial{name, role, &list[i]}
			}
		}
		return nil
	}
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return byRole(acl.ReserveResources, "RESERVE_RESOURCES", op.Reserve.Resources)
	case mesos.Offer_Operation_UNRESERVE:
		return refusedUnreserve(rules, principal, op.Unreserve.Resources)
	case mesos.Offer_Operation_CREATE:
		return byRole(acl.CreateVolumes, "CREATE_VOLUME", op.Create.Volumes)
	case mesos.Offer_Operation_GROW_VOLUME:
		return byRole(acl.ResizeVolumes, "RESIZE_VOLUME", []mesos.Resource{op.GrowVolume.Volume})
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return byRole(acl.ResizeVolumes, "RESIZE_VOLUME", []mesos.Resource{op.ShrinkVolume.Volume})
	case mesos.Offer_Operation_DESTROY:
		for i := range op.Destroy.Volumes {
			creator := op.Destroy.Volumes[i].GetDisk().GetPersistence().GetPrincipal()
			if !rules.Allow(principal, acl.DestroyVolumes, creator) {
				return &denial{"DESTROY_VOLUME", creator, &op.Destroy.Volumes[i]}
			}
		}
	}
	return nil
}

// refusedUnreserve looks at who has reserved what; a reservation of nobody's is
// anybody's.
func refusedUnreserve(rules *acl.Rules, principal string, list []mesos.Resource) *denial {
	nobodys := false
	for i := range list {
		n := len(list[i].Reservations)
		if n == 0 || list[i].Reservations[n-1].Principal == nil {
			nobodys = true
			continue
		}
		reserver := *list[i].Reservations[n-1].Principal
		if !rules.Allow(principal, acl.UnreserveResources, reserver) {
			return &denial{"UNRESERVE_RESOURCES", reserver, &list[i]}
		}
	}
	if nobodys && !rules.AllowAny(principal, acl.UnreserveResources) {
		return &denial{action: "UNRESERVE_RESOURCES"}
	}
	return nil
}
