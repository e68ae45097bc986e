package provisioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

const (
	selectedNode       = "volume.kubernetes.io/selected-node"
	storageProvisioner = "volume.kubernetes.io/storage-provisioner"
	provisionedBy      = "pv.kubernetes.io/provisioned-by"
	deletionFinalizer  = "external-provisioner.volume.kubernetes.io/finalizer"
)

func (c *controller) syncClaim(ctx context.Context, namespace, name string) error {
	claim, err := c.claims.PersistentVolumeClaims(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	class, err := c.classOf(claim)
	if class == nil || err != nil {
		return err
	}
	if err := c.provision(ctx, claim.DeepCopy(), class); err != nil {
		c.recorder.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "%v", err)
		return err
	}
	return nil
}

// classOf is nil for a claim that is not for us, or not yet: the controller-manager names the provisioner only once it has found no existing volume,
// and the scheduler the node only once there is a pod.
func (c *controller) classOf(claim *corev1.PersistentVolumeClaim) (*storagev1.StorageClass, error) {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[storageProvisioner] != Name || claim.Spec.StorageClassName == nil {
		return nil, nil
	}
	class, err := c.classes.Get(*claim.Spec.StorageClassName)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	if waits && claim.Annotations[selectedNode] == "" {
		return nil, nil
	}
	return class, nil
}

func (c *controller) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	if err := supported(claim); err != nil {
		return err
	}
	name := "pvc-" + string(claim.UID)
	// Asked of the API and not of the cache: a second volume for one claim would be worse than a request too many.
	if _, err := c.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	node, err := c.nodeFor(claim)
	if err != nil {
		return errors.Join(err, c.askForAnotherNode(ctx, claim))
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	disk := loopVolume{folder: c.folders[node.Name], name: name}
	if err := disk.create(size.Value()); err != nil {
		return err
	}
	volume := volumeFor(claim, class, node, disk, size)
	if _, err := c.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	c.recorder.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s on %s", name, node.Name)
	return nil
}

func supported(claim *corev1.PersistentVolumeClaim) error {
	switch {
	case claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != corev1.PersistentVolumeFilesystem:
		return fmt.Errorf("volumeMode %s is not supported", *claim.Spec.VolumeMode)
	case claim.Spec.Selector != nil:
		return errors.New("claim.spec.selector is not supported")
	case claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil:
		return errors.New("a dataSource is not supported")
	}
	return nil
}

// nodeFor is the scheduler's choice, or with Immediate the ready node that has the fewest volumes.
func (c *controller) nodeFor(claim *corev1.PersistentVolumeClaim) (*corev1.Node, error) {
	if selected := claim.Annotations[selectedNode]; selected != "" {
		if c.folders[selected] == "" {
			return nil, fmt.Errorf("node %s has no folder for volumes", selected)
		}
		return c.nodes.Get(selected)
	}
	all, err := c.nodes.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	load, err := c.volumesPerNode()
	if err != nil {
		return nil, err
	}
	candidates := slices.DeleteFunc(slices.Clone(all), func(node *corev1.Node) bool {
		return c.folders[node.Name] == "" || node.Spec.Unschedulable || !ready(node)
	})
	if len(candidates) == 0 {
		return nil, errors.New("no node is ready to take a volume")
	}
	return slices.MinFunc(candidates, func(a, b *corev1.Node) int {
		return cmp.Or(cmp.Compare(load[a.Name], load[b.Name]), cmp.Compare(a.Name, b.Name))
	}), nil
}

func (c *controller) volumesPerNode() (map[string]int, error) {
	volumes, err := c.volumes.List(labels.Everything())
	load := map[string]int{}
	for _, volume := range volumes {
		load[nodeOf(volume)]++
	}
	return load, err
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}

// askForAnotherNode takes the scheduler's choice back, as the external-provisioner does; otherwise it would stand for ever.
func (c *controller) askForAnotherNode(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Annotations[selectedNode] == "" {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"annotations":{%q:null}}}`, claim.ResourceVersion, selectedNode)
	_, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func volumeFor(
	claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, node *corev1.Node, disk loopVolume, size resource.Quantity,
) *corev1.PersistentVolume {
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: disk.name, Annotations: map[string]string{provisionedBy: Name}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              class.Name,
			VolumeAttributesClassName:     claim.Spec.VolumeAttributesClassName,
			VolumeMode:                    claim.Spec.VolumeMode,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: disk.target()}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node.Labels[corev1.LabelHostname]},
				}},
			}}}},
		},
	}
	if policy == corev1.PersistentVolumeReclaimDelete {
		volume.Finalizers = []string{deletionFinalizer}
	}
	return volume
}
