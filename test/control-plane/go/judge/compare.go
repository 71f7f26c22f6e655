package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
)

type question struct {
	Policy   []byte    `json:"policy"` // base64
	Requests []request `json:"requests"`
}

type verdict struct {
	loaded
	Decisions []*decision `json:"decisions,omitempty"`
}

// compareLines answers for a policy and many requests at once: the differential run. Each decision is made twice, once
// with the policy as it is and once with the marked copy (see decider), and the two must agree.
func compareLines(in io.Reader, out io.Writer) error {
	l := newLoader()
	return answerLines(in, out, func(line []byte) (any, error) {
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			return nil, err
		}
		answer, p := l.load(q.Policy)
		v := verdict{loaded: answer}
		if p == nil {
			return v, nil
		}
		var err error
		v.Decisions, err = decideAll(p, q.Requests)
		return v, err
	})
}

func decideAll(p *auditinternal.Policy, requests []request) ([]*decision, error) {
	d := newDecider(p)
	plain := policy.NewPolicyRuleEvaluator(p.DeepCopy())
	out := make([]*decision, 0, len(requests))
	for i := range requests {
		attrs, err := requests[i].attributes()
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		decided := d.decide(&attrs)
		if asIs := configDecision(plain.EvaluatePolicyRule(&attrs), decided.Rule); !reflect.DeepEqual(asIs, *decided) {
			return nil, fmt.Errorf("request %d: the policy decides %+v, its marked copy %+v", i, asIs, *decided)
		}
		out = append(out, decided)
	}
	return out, nil
}
