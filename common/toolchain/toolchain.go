// Package toolchain defines the toolchains that a job accepts. A requirement is one of
//
//	esp-idf            any version
//	esp-idf@5.3        5.3 and all versions that begin with 5.3., such as 5.3.1
//	esp-idf@~5.3.1     5.3.1 and later patches of 5.3
//	esp-idf@^5.1       5.1 and later, up to the next major version
//	esp-idf@>=5.1,<5.4 a range; || between ranges means or
//	esp-idf@==5.3      the version with the name 5.3, letter for letter
//
// Constraints are those of Masterminds/semver; a pre-release such as 5.4.0-beta1
// is accepted only by one that names a pre-release. Some vendors do not follow Semantic
// Versioning: a version of another form is accepted if it equals the requirement or
// continues it after a dot. So esp-2021r2 accepts esp-2021r2, and 8.4 accepts 8.4.0.1.
package toolchain

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/farforge/farforge/common/lexical"
)

// Requirement is a job's requirement of a toolchain. The zero value accepts any. It is
// immutable and safe for concurrent use.
type Requirement struct {
	// Name is the toolchain's name; empty accepts any.
	Name string
	// Version is the constraint as written; empty accepts any.
	Version string

	constraint *semver.Constraints // nil: Version is no constraint but a spelling
}

// isExact reports whether s is == and then a version of up to 64 characters
// without control characters.
func isExact(s string) bool {
	version, ok := strings.CutPrefix(s, "==")
	n := utf8.RuneCountInString(version)
	return ok && n >= 1 && n <= 64 && !strings.ContainsFunc(version, func(r rune) bool { return unicode.Is(unicode.C, r) })
}

// Parse reads NAME or NAME@CONSTRAINT; the empty text is the zero Requirement.
// Its errors are for the author of the text.
func Parse(s string) (Requirement, error) {
	if s == "" {
		return Requirement{}, nil
	}
	name, version, has := strings.Cut(s, "@")
	r := Requirement{Name: name, Version: version}
	switch {
	case !lexical.Name(name):
		return Requirement{}, fmt.Errorf("%q is not NAME or NAME@VERSION, such as esp-idf or esp-idf@~5.3", s)
	case !has:
		return r, nil
	case version == "":
		return Requirement{}, fmt.Errorf("%q has no version behind the @", s)
	}
	if isExact(version) {
		return r, nil
	}
	if c, err := constraint(version); err == nil {
		r.constraint = c
	} else if !lexical.Name(version) {
		return Requirement{}, fmt.Errorf("%q is neither a version nor a constraint on one, such as 5.3, ~5.3.1 or >=5.1,<5.4", version)
	}
	return r, nil
}

func constraint(s string) (*semver.Constraints, error) {
	if !lexical.Only(s, ".*~^<>=!,| +-", 64) {
		return nil, errors.New("not in the form of a constraint")
	}
	return semver.NewConstraint(s)
}

// Accepts reports whether this version of the named toolchain meets the requirement.
func (r *Requirement) Accepts(version string) bool {
	if r.Version == "" || version == r.Version {
		return true
	}
	if exact, ok := strings.CutPrefix(r.Version, "=="); ok {
		return version == exact
	}
	if v, err := semver.NewVersion(version); err == nil && r.constraint != nil {
		return r.constraint.Check(v)
	}
	return strings.HasPrefix(version, r.Version+".")
}

// Exactly returns the requirement of this one version, in the form that Parse reads.
func Exactly(name, version string) string { return name + "@==" + version }

// String returns the requirement in the form that Parse reads.
func (r *Requirement) String() string {
	if r.Version == "" {
		return r.Name
	}
	return r.Name + "@" + r.Version
}
