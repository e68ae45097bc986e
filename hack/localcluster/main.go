// One binary for every server of a cluster: they share nearly all of their code, so that one is built in the time and the room of one and not of six.
// It holds no cluster logic: how the servers are started stands in the shell scripts, what a volume is stands in provisioner/.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/mauricethomas/kubectl-volresize/hack/localcluster/provisioner"
)

// Constructors and not commands: building a command registers feature gates and flags globally, and those of two servers contradict each other.
var servers = map[string]func() *cobra.Command{
	"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"provisioner":             provisioner.NewCommand,
}

// chosen accepts both a link named after the server and the server's name as first argument.
func chosen(args []string) (string, []string) {
	name := filepath.Base(args[0])
	if _, known := servers[name]; known || name == "etcd" || len(args) < 2 {
		return name, args
	}
	return args[1], args[1:]
}

func main() {
	name, args := chosen(os.Args)
	os.Args = args
	if name == "etcd" {
		etcdmain.Main(args)
		return
	}
	construct, known := servers[name]
	if !known {
		fmt.Fprintf(os.Stderr, "%s is none of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, provisioner\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(construct()))
}
