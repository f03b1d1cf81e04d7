package artifacts

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

// Claim is a statement that a second build can confirm or refute. Its signer may
// be unknown.
type Claim struct {
	*provenance.Build
	// By lists the principals of the known agent that has signed it. It is empty
	// when the agent is not in known_agents.
	By []string
}

// ReadClaim reads a statement that the user names: its file, its folder, or a project.
// A known agent's statement with a wrong signature is an error. Errors are for the
// user.
func ReadClaim(what, state string, known *identity.KnownAgents) (*Claim, error) {
	at := what
	if info, err := os.Stat(what); err != nil {
		return nil, cli.Failf(cli.Usage, "cannot read the statement %s: %w", what, pathReason(err))
	} else if info.IsDir() {
		dir, _ := locate(what, state)
		at = filepath.Join(dir, provenance.FileName)
	}
	root, err := os.OpenRoot(filepath.Dir(at))
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot read the statement %s: %w", at, pathReason(err))
	}
	defer root.Close()
	data, err := readSmall(root, filepath.Base(at), maxStatement)
	if err != nil {
		return nil, claimError(at, err)
	}
	signature, err := readSmall(root, filepath.Base(at)+".sig", maxSignature)
	if err != nil {
		b, err := provenance.Parse(data)
		if err != nil {
			return nil, claimError(at, err)
		}
		return &Claim{Build: b}, nil
	}
	b, by, err := signedBy(data, string(signature), known)
	var unknown *unknownSigner
	if errors.As(err, &unknown) {
		b, err = provenance.Parse(data)
	}
	if err != nil {
		return nil, claimError(at, err)
	}
	return &Claim{Build: b, By: by}, nil
}

func claimError(at string, err error) error {
	if errors.Is(err, provenance.ErrUntrusted) {
		return cli.Failf(cli.Verification, "the statement %s is refused: %w", at, err)
	}
	return cli.Failf(cli.Usage, "cannot read the statement %s: %w", at, pathReason(err))
}

// Difference is the result of comparing one artifact of two builds.
type Difference string

// The differences.
const (
	Same    Difference = "same"
	Differs Difference = "differs"
	Missing Difference = "missing" // only the old build has made it
	New     Difference = "new"     // only the new build has made it
)

// Compared is one artifact of two builds.
type Compared struct {
	Path string
	Is   Difference
	// Old and New are the SHA-256s, empty where there is none.
	Old, New string
}

// Compare compares the artifacts of two builds by their digests, in the order
// of the old ones.
func Compare(old, new []api.Artifact) (all []Compared) {
	made := make(map[string]string, len(new))
	for _, a := range new {
		made[a.Path] = a.SHA256
	}
	seen := make(map[string]bool, len(old))
	for _, a := range old {
		c := Compared{Path: a.Path, Is: Same, Old: a.SHA256, New: made[a.Path]}
		switch c.New {
		case "":
			c.Is = Missing
		case c.Old:
		default:
			c.Is = Differs
		}
		seen[a.Path] = true
		all = append(all, c)
	}
	for _, a := range new {
		if !seen[a.Path] {
			all = append(all, Compared{Path: a.Path, Is: New, New: a.SHA256})
		}
	}
	return all
}
