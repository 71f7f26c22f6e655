//go:build tools

// Package cluster pins what a node of the test cluster runs beside kube-apiserver and etcd, which
// test/control-plane/go pins: the key of that module's cache must not change for what only these tests need.
package cluster

import (
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubeadm"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
