// Command judge says what a kube-apiserver makes of an audit policy, with the API server's own code (k8s.io/apiserver):
// does it load, with which warnings, as what, and what does it decide for a request. The TypeScript engine is held
// against it in test/judge, and `judge evaluate` is the rival in `npm run bench`. It holds no rule of its own.
//
//	judge load                      one base64 policy a line in, one JSON answer a line out
//	judge compare                   one {"policy": base64, "requests": [...]} a line in, answer and decisions out
//	judge evaluate --policy FILE    request lines in, decision lines out: the contract of `auditconfig evaluate`
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) == 0 {
		return usage()
	}
	var err error
	switch args[0] {
	case "load":
		err = loadLines(os.Stdin, os.Stdout)
	case "compare":
		err = compareLines(os.Stdin, os.Stdout)
	case "evaluate":
		flags := flag.NewFlagSet("evaluate", flag.ContinueOnError)
		policy := flags.String("policy", "", "policy file")
		if flags.Parse(args[1:]) != nil || *policy == "" || flags.NArg() > 0 {
			return usage()
		}
		err = evaluate(*policy, os.Stdin, os.Stdout, os.Stderr)
	default:
		return usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

func usage() int {
	fmt.Fprintln(os.Stderr, "usage: judge load | judge compare | judge evaluate --policy FILE")
	return 2
}
