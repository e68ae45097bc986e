package provisioner

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Name is what StorageClasses say in their field provisioner.
const Name = "volresize.local/loop"

// mkfs of a big volume must not hold up the others.
const workers = 4

// item is a claim (with a namespace) or a volume (without).
type item = cache.ObjectName

type controller struct {
	client   kubernetes.Interface
	claims   corelisters.PersistentVolumeClaimLister
	volumes  corelisters.PersistentVolumeLister
	classes  storagelisters.StorageClassLister
	nodes    corelisters.NodeLister
	folders  map[string]string
	queue    workqueue.TypedRateLimitingInterface[item]
	recorder record.EventRecorder
}

func newController(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory, folders map[string]string) (*controller, error) {
	core := factory.Core().V1()
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	c := &controller{
		client:  client,
		claims:  core.PersistentVolumeClaims().Lister(),
		volumes: core.PersistentVolumes().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(),
		nodes:   core.Nodes().Lister(),
		folders: folders,
		// Volumes are unmounted within moments of their last pod: tests should not wait for a back-off of minutes.
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[item](50*time.Millisecond, 5*time.Second)),
		recorder: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Name}),
	}
	for _, informer := range []cache.SharedIndexInformer{core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    c.enqueue,
			UpdateFunc: func(_, changed any) { c.enqueue(changed) },
		}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *controller) enqueue(object any) {
	name, err := cache.ObjectToName(object)
	if err != nil {
		klog.ErrorS(err, "An object without a name")
		return
	}
	c.queue.Add(name)
}

func (c *controller) run(ctx context.Context) {
	for range workers {
		go wait.UntilWithContext(ctx, func(ctx context.Context) {
			for c.next(ctx) {
			}
		}, time.Second)
	}
	<-ctx.Done()
	c.queue.ShutDown()
}

func (c *controller) next(ctx context.Context) bool {
	name, quit := c.queue.Get()
	if quit {
		return false
	}
	defer c.queue.Done(name)
	if err := c.sync(ctx, name); err != nil {
		klog.ErrorS(err, "Tried in vain, will try again", "object", name)
		c.queue.AddRateLimited(name)
		return true
	}
	c.queue.Forget(name)
	return true
}

func (c *controller) sync(ctx context.Context, name item) error {
	if name.Namespace == "" {
		return c.syncVolume(ctx, name.Name)
	}
	if err := c.syncClaim(ctx, name.Namespace, name.Name); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	return nil
}
