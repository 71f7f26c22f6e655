//go:build tools

// Package controlplane pins what the tests build: the wrapper module is needed because `go install
// k8s.io/kubernetes/...@version` refuses a module that has replace directives.
package controlplane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
