// Command etcd is the server of go.etcd.io/etcd, built from its module, so that the tests and the demo need no
// download but Go's own. Flags are etcd's.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
