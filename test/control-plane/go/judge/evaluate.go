package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apiserver/pkg/audit/policy"
)

var errBadLines = errors.New("some lines are not requests")

// evaluate answers each request line with a decision line. A decision depends on the matching rule only, so each is
// serialised once. Lines that are not requests are named on stderr by number, and make the whole an error.
func evaluate(file string, in io.Reader, out, diagnostics io.Writer) error {
	p, err := policy.LoadPolicyFromFile(file)
	if err != nil {
		return err
	}
	d := newDecider(p)
	answers, err := serialise(d)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 256<<10)
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 256<<10), 64<<20)
	bad := false
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		attrs, err := parseRequest(line)
		if err != nil {
			bad = true
			fmt.Fprintf(diagnostics, "line %d: %v\n", n, err)
			continue
		}
		if _, err := w.Write(answers[d.decide(&attrs)]); err != nil {
			return err
		}
	}
	if err := errors.Join(lines.Err(), w.Flush()); err != nil {
		return err
	}
	if bad {
		return errBadLines
	}
	return nil
}

func serialise(d *decider) (map[*decision][]byte, error) {
	answers := make(map[*decision][]byte, len(d.rules)+1)
	add := func(of *decision) error {
		line, err := json.Marshal(of)
		answers[of] = append(line, '\n')
		return err
	}
	for i := range d.rules {
		if err := add(&d.rules[i]); err != nil {
			return nil, err
		}
	}
	return answers, add(&d.none)
}
