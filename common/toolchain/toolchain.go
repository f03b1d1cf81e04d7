// Package toolchain says which toolchains a job accepts. A requirement is
//
//	esp-idf            any version
//	esp-idf@5.3        5.3 and all that begin with 5.3., such as 5.3.1
//	esp-idf@~5.3.1     5.3.1 and later patches of 5.3
//	esp-idf@^5.1       5.1 and later, up to the next major version
//	esp-idf@>=5.1,<5.4 a range; || between ranges means or
//	esp-idf@==5.3      just what calls itself 5.3, letter for letter
//
// Constraints are those of Masterminds/semver; a pre-release such as 5.4.0-beta1
// is accepted only by one that names a pre-release. Not every vendor numbers
// releases as Semantic Versioning wants: a version of another form is accepted if
// it is spelled like the requirement, or goes on from it behind a dot, as
// esp-2021r2 is by esp-2021r2, and 8.4.0.1 by 8.4.
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

// Requirement is what a job asks of a toolchain. The zero value accepts any. It
// is not changed after it was parsed, and safe for concurrent use.
type Requirement struct {
	// Name is the toolchain's; empty is any.
	Name string
	// Version is the constraint as it was written; empty is any.
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
// Its errors say what is wrong with the text, in words for whoever wrote it.
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

// Accepts tells whether the requirement is met by this version of the toolchain
// that it names.
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

// Exactly asks for this version and no other, in the form that Parse reads.
func Exactly(name, version string) string { return name + "@==" + version }

// String is what Parse reads.
func (r *Requirement) String() string {
	if r.Version == "" {
		return r.Name
	}
	return r.Name + "@" + r.Version
}
