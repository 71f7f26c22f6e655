package main

import (
	"encoding/json"
	"errors"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// request has the shape of a SubjectAccessReview's spec. Without `user` there is no user information at all.
type request struct {
	User                  *string                `json:"user"`
	Groups                []string               `json:"groups"`
	ResourceAttributes    *resourceAttributes    `json:"resourceAttributes"`
	NonResourceAttributes *nonResourceAttributes `json:"nonResourceAttributes"`
}

type resourceAttributes struct {
	Verb        string `json:"verb"`
	Group       string `json:"group"`
	Version     string `json:"version"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
}

type nonResourceAttributes struct {
	Path string `json:"path"`
	Verb string `json:"verb"`
}

var errNotARequest = errors.New("exactly one of resourceAttributes and nonResourceAttributes is needed")

func parseRequest(line []byte) (authorizer.AttributesRecord, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return authorizer.AttributesRecord{}, err
	}
	return r.attributes()
}

func (r *request) attributes() (authorizer.AttributesRecord, error) {
	var attrs authorizer.AttributesRecord
	if (r.ResourceAttributes == nil) == (r.NonResourceAttributes == nil) {
		return attrs, errNotARequest
	}
	if r.User != nil { // else the interface stays nil, as the API server has it before authentication
		attrs.User = &user.DefaultInfo{Name: *r.User, Groups: r.Groups}
	}
	if n := r.NonResourceAttributes; n != nil {
		attrs.Verb, attrs.Path = n.Verb, n.Path
		return attrs, nil
	}
	a := r.ResourceAttributes
	attrs.ResourceRequest = true
	attrs.Verb, attrs.APIGroup, attrs.APIVersion = a.Verb, a.Group, a.Version
	attrs.Resource, attrs.Subresource = a.Resource, a.Subresource
	attrs.Namespace, attrs.Name = a.Namespace, a.Name
	return attrs, nil
}
