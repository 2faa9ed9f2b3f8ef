package validation

import (
	"errors"
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// GrowVolume looks at a GROW_VOLUME operation.
func GrowVolume(grow *mesos.Offer_Operation_GrowVolume) error {
	for _, part := range []struct {
		name string
		r    mesos.Resource
	}{{"volume", grow.Volume}, {"addition", grow.Addition}} {
		if _, err := resource.FromMesos([]mesos.Resource{part.r}); err != nil {
			return fmt.Errorf("Invalid resource in the 'GrowVolume.%s' field: %w", part.name, err)
		}
	}
	if resource.Thousandths(grow.Addition.GetScalar().GetValue()) <= 0 {
		return errors.New("The size of 'GrowVolume.addition' field must be greater than zero")
	}
	if grow.Volume.ProviderID != nil {
		return errors.New("Growing a volume from a resource provider is not supported")
	}
	if err := persistentVolume(&grow.Volume); err != nil {
		return fmt.Errorf("Invalid persistent volume in the 'GrowVolume.volume' field: %w", err)
	}
	if grow.Volume.Shared != nil {
		return errors.New("Growing a shared persistent volume is not supported")
	}
	plain := grow.Volume
	if plain.Disk = nil; grow.Volume.Disk.Source != nil {
		plain.Disk = &mesos.Resource_DiskInfo{Source: grow.Volume.Disk.Source}
	}
	if both, err := resource.FromMesos([]mesos.Resource{plain, grow.Addition}); err != nil || len(both.ToMesos()) != 1 {
		return errors.New("Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields")
	}
	return nil
}

// ShrinkVolume looks at a SHRINK_VOLUME operation.
func ShrinkVolume(shrink *mesos.Offer_Operation_ShrinkVolume) error {
	if _, err := resource.FromMesos([]mesos.Resource{shrink.Volume}); err != nil {
		return fmt.Errorf("Invalid resource in the 'ShrinkVolume.volume' field: %w", err)
	}
	less := resource.Thousandths(shrink.Subtract.Value)
	if less <= 0 {
		return errors.New("Value of 'ShrinkVolume.subtract' must be greater than zero")
	}
	if resource.Thousandths(shrink.Volume.GetScalar().GetValue()) <= less {
		return errors.New("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'")
	}
	if shrink.Volume.ProviderID != nil {
		return errors.New("Shrinking a volume from a resource provider is not supported")
	}
	if source := shrink.Volume.GetDisk().GetSource(); source != nil && source.GetType() == mesos.Resource_DiskInfo_Source_MOUNT {
		return errors.New("Shrinking a volume on a MOUNT disk is not supported")
	}
	if err := persistentVolume(&shrink.Volume); err != nil {
		return fmt.Errorf("Invalid persistent volume in the 'ShrinkVolume.volume' field: %w", err)
	}
	if shrink.Volume.Shared != nil {
		return errors.New("Shrinking a shared persistent volume is not supported")
	}
	return nil
}
