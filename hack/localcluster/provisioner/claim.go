package provisioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

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

// nodeFor is the scheduler's choice, or with Immediate one of the ready nodes.
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
	candidates := slices.DeleteFunc(slices.Clone(all), func(node *corev1.Node) bool {
		return c.folders[node.Name] == "" || node.Spec.Unschedulable || !ready(node)
	})
	if len(candidates) == 0 {
		return nil, errors.New("no node is ready to take a volume")
	}
	slices.SortFunc(candidates, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return candidates[spread(claim.Name)%uint32(len(candidates))], nil
}

// spread is the ordinal for a StatefulSet's claim, so that all claims of one replica get the same node (on two nodes its pod could run nowhere), and
// a hash for others; cloud providers chose zones like this before there was WaitForFirstConsumer.
func spread(name string) uint32 {
	if ordinal, err := strconv.ParseUint(name[strings.LastIndexByte(name, '-')+1:], 10, 32); err == nil {
		return uint32(ordinal)
	}
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return hash.Sum32()
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
