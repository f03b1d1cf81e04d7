package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

// Verified is a folder whose artifacts a known agent has signed.
type Verified struct {
	Dir       string
	Statement *provenance.Build
	// By are the principals of the signer in known_agents.
	By []string
	// Beside lists unsigned files in a folder of the user's. In the
	// client's own folder they are an error.
	Beside []string
}

// Verify checks, without the network, the artifacts of a project, or those in a
// folder to which they were copied. Errors are for the user.
func Verify(what, state string, known *identity.KnownAgents) (*Verified, error) {
	dir, own := locate(what, state)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot verify %s: %w", dir, pathReason(err))
	}
	defer root.Close()
	v, err := verifyFolder(root, own, known)
	if errors.Is(err, errNoStatement) {
		return nil, cli.Failf(cli.Verification, "cannot verify %s: %w", dir, err).
			Hint("there is no " + provenance.FileName + " with its signature in it")
	}
	if err != nil {
		return nil, distrust(dir, err)
	}
	return v, nil
}

// locate finds the artifacts, and reports whether the folder is the client's own.
func locate(what, state string) (dir string, own bool) {
	restoreIn(what, state)
	dir = filepath.Join(what, state, OutName)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir, true
	}
	whole, err := filepath.Abs(what)
	if err != nil {
		return what, false
	}
	real, err := filepath.EvalSymlinks(whole)
	return what, isOwn(whole, state) || err == nil && isOwn(real, state)
}

// verifyFolder checks that a known agent has signed all files in the folder. Files
// beside them are an error in the client's own folder. It returns errNoStatement if
// there is no statement.
func verifyFolder(root *os.Root, own bool, known *identity.KnownAgents) (*Verified, error) {
	data, signature, err := readStatement(root)
	if err != nil {
		return nil, err
	}
	v := &Verified{Dir: root.Name()}
	if v.Statement, v.By, err = signedBy(data, signature, known); err != nil {
		return nil, err
	}
	there, err := digestAll(root)
	if err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(slices.Clone(there), func(a api.Artifact) bool {
		beside := !own && !lists(v.Statement.Artifacts, a.Path) && !isStatement(a.Path)
		if beside {
			v.Beside = append(v.Beside, a.Path)
		}
		return beside
	})
	return v, v.Statement.CheckArtifacts(named)
}

// signedBy checks the signature with the known key that the statement names, and
// returns the principals of that key.
func signedBy(data []byte, signature string, known *identity.KnownAgents) (*provenance.Build, []string, error) {
	claimed, err := provenance.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	key, names, err := known.Signer(claimed.Agent)
	switch {
	case errors.Is(err, identity.ErrUnknownAgent):
		return nil, nil, &unknownSigner{fingerprint: claimed.Agent, file: known.Path()}
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", provenance.ErrUntrusted, err)
	}
	b, err := provenance.Verify(key, data, signature)
	return b, names, err
}

// unknownSigner is the error for a statement by an agent that is not in the user's
// known_agents.
type unknownSigner struct{ fingerprint, file string }

func (u *unknownSigner) Error() string {
	return fmt.Sprintf("%v: it names the agent %s as its builder, which is not among the known agents (%s)", provenance.ErrUntrusted, u.fingerprint, u.file)
}

func (u *unknownSigner) Unwrap() error { return provenance.ErrUntrusted }

// distrust returns the user's error for artifacts that cannot be used, because no
// known agent has signed them or they cannot be read.
func distrust(dir string, err error) error {
	if !errors.Is(err, provenance.ErrUntrusted) {
		return cli.Failf(cli.Usage, "cannot verify %s: %w", dir, pathReason(err))
	}
	e := cli.Failf(cli.Verification, "do not use the artifacts in %s: %w", dir, err)
	var unknown *unknownSigner
	if errors.As(err, &unknown) {
		return e.Hint("if you know that agent's key from its operator:  client agents trust NAME@BROKER 'ssh-ed25519 AAAA…'")
	}
	return e.Hint("a person or a program has changed it since it was built; build it again")
}

// digestAll lists the regular files below root. Anything else is an error, because
// a symlink or a device can change between its check and its use.
func digestAll(root *os.Root) ([]api.Artifact, error) {
	var files []api.Artifact
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%w: %s is not a regular file", provenance.ErrUntrusted, name)
		}
		a, err := digest(root, name)
		files = append(files, a)
		return err
	})
	return files, err
}

func digest(root *os.Root, name string) (api.Artifact, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return api.Artifact{}, fmt.Errorf("%w: %s is missing", provenance.ErrUntrusted, name)
	}
	if err != nil {
		return api.Artifact{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return api.Artifact{Path: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}
