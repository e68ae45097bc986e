// Package provisioner makes volumes that are as small as they say: a file of the requested size with an ext4 of its own, mounted by a loop device, on the
// node where it is wanted. It does to claims and volumes what a CSI driver's external-provisioner does, seen from outside; how a volume lies on the
// disk stands in loopvolume.go.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewCommand runs until it is told to stop.
func NewCommand() *cobra.Command {
	var kubeconfig, readyFile string
	var folders map[string]string
	command := &cobra.Command{
		Use:          "provisioner",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if len(folders) == 0 {
				return errors.New("--volumes is missing")
			}
			return run(command.Context(), kubeconfig, readyFile, folders)
		},
	}
	flags := command.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	flags.StringVar(&readyFile, "ready-file", "", "created once claims are served")
	flags.StringToStringVar(&folders, "volumes", nil, "NODE=FOLDER, for each node the folder of its volumes")
	return command
}

func run(ctx context.Context, kubeconfig, readyFile string, folders map[string]string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// The default of 5 requests a second would be what a test with many claims measures.
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	controller, err := newController(ctx, client, factory, folders)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("the cache of %s was not filled", kind)
		}
	}
	if readyFile != "" {
		if err := os.WriteFile(readyFile, nil, 0o600); err != nil {
			return err
		}
	}
	controller.run(ctx)
	return nil
}
