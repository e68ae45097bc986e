package provisioner

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func (c *controller) syncVolume(ctx context.Context, name string) error {
	volume, err := c.volumes.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if volume.Annotations[provisionedBy] != Name || volume.Spec.Local == nil {
		return nil
	}
	if reclaimable(volume) {
		return c.reclaim(ctx, volume.DeepCopy())
	}
	return c.followPolicy(ctx, volume.DeepCopy())
}

// reclaimable: nobody claims it any more and it may go. One that is deleted before it was ever bound counts too, or our finalizer would keep it for ever.
func reclaimable(volume *corev1.PersistentVolume) bool {
	if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return false
	}
	if volume.DeletionTimestamp != nil && !slices.Contains(volume.Finalizers, deletionFinalizer) {
		return false
	}
	released := volume.Status.Phase == corev1.VolumeReleased || volume.Status.Phase == corev1.VolumeFailed
	return released || volume.DeletionTimestamp != nil && volume.Status.Phase != corev1.VolumeBound
}

// reclaim removes the data first and the object after it: the other way round a crash in between would leave a file that nobody knows.
func (c *controller) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	// The cache may be behind a patch to Retain; data is at stake.
	fresh, err := c.client.CoreV1().PersistentVolumes().Get(ctx, volume.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if fresh.UID != volume.UID || !reclaimable(fresh) {
		return nil
	}
	folder := c.folders[nodeOf(fresh)]
	// The path is the API's word; only what this provisioner would have made itself is removed.
	disk := loopVolume{folder: folder, name: fresh.Name}
	if folder == "" || filepath.Clean(fresh.Spec.Local.Path) != disk.target() {
		c.recorder.Eventf(fresh, corev1.EventTypeWarning, "VolumeFailedDelete", "%s is not a volume of this provisioner", fresh.Spec.Local.Path)
		return nil
	}
	if err := disk.remove(); err != nil {
		c.recorder.Eventf(fresh, corev1.EventTypeWarning, "VolumeFailedDelete", "%v", err)
		return err
	}
	err = c.client.CoreV1().PersistentVolumes().Delete(ctx, fresh.Name, *metav1.NewPreconditionDeleteOptions(string(fresh.UID)))
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return c.setFinalizer(ctx, fresh.Name, false)
}

// followPolicy: with Retain nothing of ours may stand in the way of a volume's deletion.
func (c *controller) followPolicy(ctx context.Context, volume *corev1.PersistentVolume) error {
	wanted := volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
	present := slices.Contains(volume.Finalizers, deletionFinalizer)
	// A finalizer cannot be added to what is being deleted.
	if wanted == present || wanted && volume.DeletionTimestamp != nil {
		return nil
	}
	return c.setFinalizer(ctx, volume.Name, wanted)
}

func (c *controller) setFinalizer(ctx context.Context, name string, wanted bool) error {
	volume, err := c.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	finalizers := slices.DeleteFunc(slices.Clone(volume.Finalizers), func(finalizer string) bool { return finalizer == deletionFinalizer })
	if wanted {
		finalizers = append(finalizers, deletionFinalizer)
	}
	if slices.Equal(finalizers, volume.Finalizers) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		// A merge patch replaces the whole list; without the version another's finalizer could be lost.
		"resourceVersion": volume.ResourceVersion, "uid": volume.UID, "finalizers": finalizers,
	}})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().PersistentVolumes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// nodeOf reads the node from where volumeFor wrote it.
func nodeOf(volume *corev1.PersistentVolume) string {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, expression := range term.MatchExpressions {
			if expression.Key == corev1.LabelHostname && len(expression.Values) == 1 {
				return expression.Values[0]
			}
		}
	}
	return ""
}
