package main

import (
	"slices"
	"strconv"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// decision is one line of `evaluate`.
type decision struct {
	Level             auditinternal.Level   `json:"level"`
	Rule              *int                  `json:"rule"`
	OmitStages        []auditinternal.Stage `json:"omitStages"`
	OmitManagedFields bool                  `json:"omitManagedFields"`
}

// decider asks the API server's evaluator which rule matches, and knows what each rule decides.
//
// EvaluatePolicyRule does not say which rule matched. It returns the matching rule's Level as it stands, and nothing
// in matching reads a Level: so the evaluator gets a copy of the policy whose rules carry their own index as Level,
// and answers with the index. What that rule decides (stages and managed fields joined with the policy's) is asked
// of the API server too, once a rule: newDecider evaluates a policy of that rule alone, made to match everything.
type decider struct {
	marked audit.PolicyRuleEvaluator
	rules  []decision
	none   decision
}

func newDecider(p *auditinternal.Policy) *decider {
	marked := p.DeepCopy()
	d := &decider{}
	for i := range marked.Rules {
		d.rules = append(d.rules, decisionOf(onlyRule(p, i), &i))
		marked.Rules[i].Level = auditinternal.Level(strconv.Itoa(i))
	}
	d.none = decisionOf(onlyRule(p, -1), nil)
	d.marked = policy.NewPolicyRuleEvaluator(marked)
	return d
}

// decide is the API server's decision for one request.
func (d *decider) decide(attrs authorizer.Attributes) *decision {
	index, err := strconv.Atoi(string(d.marked.EvaluatePolicyRule(attrs).Level))
	if err != nil { // The level of no rule is DefaultAuditLevel.
		return &d.none
	}
	return &d.rules[index]
}

// onlyRule is the policy with one rule, or none, and that one without conditions: every request matches it.
func onlyRule(p *auditinternal.Policy, index int) *auditinternal.Policy {
	only := p.DeepCopy()
	only.Rules = nil
	if index >= 0 {
		rule := p.Rules[index].DeepCopy()
		only.Rules = []auditinternal.PolicyRule{{
			Level:             rule.Level,
			OmitStages:        rule.OmitStages,
			OmitManagedFields: rule.OmitManagedFields,
		}}
	}
	return only
}

func decisionOf(p *auditinternal.Policy, rule *int) decision {
	config := policy.NewPolicyRuleEvaluator(p).EvaluatePolicyRule(&authorizer.AttributesRecord{})
	return configDecision(config, rule)
}

// configDecision writes the stages as the set that they are: sorted, once each.
func configDecision(config audit.RequestAuditConfig, rule *int) decision {
	stages := slices.Clone(config.OmitStages)
	slices.Sort(stages)
	stages = slices.Compact(stages)
	if stages == nil {
		stages = []auditinternal.Stage{}
	}
	return decision{Level: config.Level, Rule: rule, OmitStages: stages, OmitManagedFields: config.OmitManagedFields}
}
