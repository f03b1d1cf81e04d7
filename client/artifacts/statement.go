package artifacts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/common/toolchain"
)

const (
	// maxStatement and maxSignature bound the two files, in bytes.
	maxStatement = 16 << 20
	maxSignature = 16 << 10
)

// errNoStatement is returned for a folder without a statement.
var errNoStatement = errors.New("no agent has signed these artifacts")

// Expected holds the values that an agent's statement about a build must have.
type Expected struct {
	// Key is the public key of the agent that built: the signer of its answer.
	Key ssh.PublicKey
	// JobID and Source, a digest, are those of the job.
	JobID, Source string
	// Recipe, Target and Toolchain are the user's choices; empty accepts any.
	Recipe, Target, Toolchain string
	// AllowUnsigned accepts artifacts without a statement. A statement that exists
	// must still be valid.
	AllowUnsigned bool
}

// verify checks the statement among the artifacts and returns it. It returns nil if the
// statement is missing and the user allows that.
func (e *Expected) verify(root *os.Root, files []api.Artifact) (*provenance.Build, error) {
	data, signature, err := readStatement(root)
	if errors.Is(err, errNoStatement) {
		if e.AllowUnsigned {
			return nil, nil
		}
		return nil, refuse("%w", err).Hint("an agent of Farforge always signs; --allow-unsigned accepts artifacts of agents that do not")
	}
	if err != nil {
		return nil, refuse("%w", err)
	}
	b, err := provenance.Verify(e.Key, data, signature)
	if err != nil {
		return nil, refuse("%w", err)
	}
	if err := e.compare(b); err != nil {
		return nil, refuse("%w", err)
	}
	if err := b.CheckArtifacts(files); err != nil {
		return nil, refuse("%w", err)
	}
	return b, nil
}

// compare checks that the statement is about this job.
func (e *Expected) compare(b *provenance.Build) error {
	chain, err := toolchain.Parse(e.Toolchain)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what, want, got string
	}{
		{"the job", e.JobID, b.JobID}, {"the source", e.Source, b.Source},
		{"the recipe", e.Recipe, b.Recipe}, {"the target", e.Target, b.Target}, {"the toolchain", chain.Name, b.Toolchain},
	} {
		if c.want != "" && c.want != c.got {
			return fmt.Errorf("%w: the agent signed a statement about %s %q, not %q", provenance.ErrUntrusted, c.what, c.got, c.want)
		}
	}
	if !chain.Accepts(b.Version) {
		return fmt.Errorf("%w: the agent signed a statement about %s %s, not %s", provenance.ErrUntrusted, b.Toolchain, b.Version, chain.Version)
	}
	return nil
}

// readStatement reads the statement and its signature. One without the other is an
// error that wraps ErrUntrusted.
func readStatement(root *os.Root) (data []byte, signature string, err error) {
	data, err = readSmall(root, provenance.FileName, maxStatement)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, "", err
	}
	text, err := readSmall(root, provenance.SignatureName, maxSignature)
	unsigned := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && unsigned:
		return nil, "", errNoStatement
	case missing:
		return nil, "", fmt.Errorf("%w: %s is there without %s", provenance.ErrUntrusted, provenance.SignatureName, provenance.FileName)
	case unsigned:
		return nil, "", fmt.Errorf("%w: %s is there without %s", provenance.ErrUntrusted, provenance.FileName, provenance.SignatureName)
	case err != nil:
		return nil, "", err
	}
	return data, string(text), nil
}

func readSmall(root *os.Root, name string, most int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", provenance.ErrUntrusted, name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%w: %s is longer than %d bytes", provenance.ErrUntrusted, name, most)
	}
	return data, err
}

func refuse(format string, args ...any) *cli.Error {
	return cli.Failf(cli.Verification, "the agent's artifacts are refused: %w", fmt.Errorf(format, args...)).
		Hint("the artifacts of the last good build are still there", "choose another agent with --agent if it happens again")
}
