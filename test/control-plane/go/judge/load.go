package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/klog/v2"
)

// maxLine bounds one line of standard input: a policy in base64 and its requests.
const maxLine = 256 << 20

// loaded is the answer to one policy: an error or the policy, and the warnings that the API server logged.
type loaded struct {
	Error    string     `json:"error,omitempty"`
	Warnings []string   `json:"warnings,omitempty"`
	Policy   *policyOut `json:"policy,omitempty"`
}

// policyOut is the internal policy in the shape of src/api/audit.ts, absent lists empty.
type policyOut struct {
	Rules             []ruleOut `json:"rules"`
	OmitStages        []string  `json:"omitStages"`
	OmitManagedFields bool      `json:"omitManagedFields"`
}

type ruleOut struct {
	Level             string     `json:"level"`
	Users             []string   `json:"users"`
	UserGroups        []string   `json:"userGroups"`
	Verbs             []string   `json:"verbs"`
	Resources         []groupOut `json:"resources"`
	Namespaces        []string   `json:"namespaces"`
	NonResourceURLs   []string   `json:"nonResourceURLs"`
	OmitStages        []string   `json:"omitStages"`
	OmitManagedFields *bool      `json:"omitManagedFields,omitempty"`
}

type groupOut struct {
	Group         string   `json:"group"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames"`
}

// loader loads policies as the API server does and hears what it logs meanwhile.
type loader struct {
	log    bytes.Buffer
	strict runtime.Decoder
}

func newLoader() *loader {
	l := &loader{strict: serializer.NewCodecFactory(audit.Scheme, serializer.EnableStrict).UniversalDecoder()}
	klog.LogToStderr(false)
	klog.SetOutput(&l.log)
	return l
}

// load answers for one policy, and gives the internal policy where it loads. A panic would end the API server: it is
// an error like any other.
func (l *loader) load(definition []byte) (answer loaded, p *auditinternal.Policy) {
	defer func() {
		if r := recover(); r != nil {
			answer, p = loaded{Error: fmt.Sprintf("panic: %v", r)}, nil
		}
	}()
	l.log.Reset()
	p, err := policy.LoadPolicyFromBytes(definition)
	klog.Flush()
	answer.Warnings = l.warnings(definition)
	if err != nil {
		answer.Error = err.Error()
		return answer, nil
	}
	answer.Policy = describe(p)
	return answer, p
}

// warnings are the strict decoding errors, one by one. They are recomputed with the decoder that the API server uses,
// since it logs them joined; that they are the ones in the log is checked each time.
func (l *loader) warnings(definition []byte) []string {
	logged := l.log.String()
	if !strings.Contains(logged, "falling back to lenient decoding") {
		return nil
	}
	_, _, err := l.strict.Decode(definition, nil, &auditinternal.Policy{})
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok || !strings.Contains(logged, err.Error()) {
		panic(fmt.Sprintf("judge: the log says %q, the decoder %v", logged, err))
	}
	var out []string
	for _, e := range strict.Errors() {
		out = append(out, e.Error())
	}
	return out
}

func describe(p *auditinternal.Policy) *policyOut {
	out := &policyOut{Rules: []ruleOut{}, OmitStages: texts(p.OmitStages), OmitManagedFields: p.OmitManagedFields}
	for _, r := range p.Rules {
		rule := ruleOut{
			Level: string(r.Level), Users: texts(r.Users), UserGroups: texts(r.UserGroups), Verbs: texts(r.Verbs),
			Resources: []groupOut{}, Namespaces: texts(r.Namespaces), NonResourceURLs: texts(r.NonResourceURLs),
			OmitStages: texts(r.OmitStages), OmitManagedFields: r.OmitManagedFields,
		}
		for _, g := range r.Resources {
			rule.Resources = append(rule.Resources,
				groupOut{Group: g.Group, Resources: texts(g.Resources), ResourceNames: texts(g.ResourceNames)})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func texts[T ~string](from []T) []string {
	out := make([]string, len(from))
	for i, s := range from {
		out[i] = string(s)
	}
	return out
}

func loadLines(in io.Reader, out io.Writer) error {
	l := newLoader()
	return answerLines(in, out, func(line []byte) (any, error) {
		definition, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil {
			return nil, err
		}
		answer, _ := l.load(definition)
		return answer, nil
	})
}

// answerLines answers each line as it comes: the asker may wait for the answer before it sends the next.
func answerLines(in io.Reader, out io.Writer, answer func(line []byte) (any, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), maxLine)
	w := bufio.NewWriterSize(out, 1<<20)
	encoder := json.NewEncoder(w)
	for lines.Scan() {
		a, err := answer(lines.Bytes())
		if err != nil {
			return err
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}
