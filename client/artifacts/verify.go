package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

// Verified is a folder whose artifacts are what a known agent has signed.
type Verified struct {
	Dir       string
	Statement *provenance.Build
	// By are the principals under which the signer is known.
	By []string
	// Beside are files that are there too and that nobody has signed. In the
	// client's own folder that is an error; others may keep what they like.
	Beside []string
}

// Covers tells whether the statement names the file at this path below Dir.
func (v *Verified) Covers(name string) bool {
	return lists(v.Statement.Artifacts, name)
}

// Verify checks again, without asking anybody, what the folder at what holds: a
// project's artifacts, or a folder to which they were copied. Errors are for
// the user.
func Verify(what, state string, known *identity.KnownAgents) (*Verified, error) {
	dir, own := locate(what, state)
	v, err := verifyFolder(dir, own, known)
	if errors.Is(err, errNoStatement) {
		return nil, cli.Failf(cli.Verification, "cannot verify %s: %w", dir, err).
			Hint("there is no " + provenance.FileName + " with its signature in it")
	}
	return v, err
}

// locate finds the artifacts, and tells whether the folder is the client's own.
func locate(what, state string) (dir string, own bool) {
	dir = filepath.Join(what, state, OutName)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir, true
	}
	return what, isOwn(what, state)
}

func isOwn(dir, state string) bool {
	whole, err := filepath.Abs(dir)
	return err == nil && filepath.Base(whole) == OutName && filepath.Base(filepath.Dir(whole)) == state
}

func verifyFolder(dir string, own bool, known *identity.KnownAgents) (*Verified, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot verify %s: %w", dir, pathReason(err))
	}
	defer root.Close()
	data, signature, err := readStatement(root)
	if err != nil {
		if errors.Is(err, errNoStatement) {
			return nil, err
		}
		return nil, distrust(dir, err)
	}
	v := &Verified{Dir: dir}
	if v.Statement, v.By, err = signedBy(data, signature, known); err != nil {
		return nil, distrust(dir, err)
	}
	there, err := digestAll(root)
	if err != nil {
		return nil, distrust(dir, err)
	}
	named := slices.DeleteFunc(slices.Clone(there), func(a api.Artifact) bool {
		beside := !own && !v.Covers(a.Path) && !isStatement(a.Path)
		if beside {
			v.Beside = append(v.Beside, a.Path)
		}
		return beside
	})
	if err := v.Statement.CheckArtifacts(named); err != nil {
		return nil, distrust(dir, err)
	}
	return v, nil
}

// signedBy checks the signature with the known key that the statement names, and
// returns under which names that is known.
func signedBy(data []byte, signature string, known *identity.KnownAgents) (*provenance.Build, []string, error) {
	claimed, err := provenance.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	agents, err := known.List()
	if err != nil {
		return nil, nil, err
	}
	var key ssh.PublicKey
	var names []string
	for _, a := range agents {
		if ssh.FingerprintSHA256(a.Key) == claimed.Agent {
			key, names = a.Key, append(names, a.Principal)
		}
	}
	if key == nil {
		return nil, nil, &unknownSigner{fingerprint: claimed.Agent, file: known.Path()}
	}
	b, err := provenance.Verify(key, data, signature)
	return b, names, err
}

// unknownSigner is the error for a statement by an agent that the user does not
// know.
type unknownSigner struct{ fingerprint, file string }

func (u *unknownSigner) Error() string {
	return fmt.Sprintf("%v: it names the agent %s as its builder, which is not among the known ones (%s)", provenance.ErrUntrusted, u.fingerprint, u.file)
}

func (u *unknownSigner) Unwrap() error { return provenance.ErrUntrusted }

// distrust is for artifacts that are not what a known agent has signed.
func distrust(dir string, err error) error {
	if !errors.Is(err, provenance.ErrUntrusted) {
		return cli.Failf(cli.Usage, "cannot verify %s: %w", dir, pathReason(err))
	}
	e := cli.Failf(cli.Verification, "do not use what is in %s: %w", dir, err)
	var unknown *unknownSigner
	if errors.As(err, &unknown) {
		return e.Hint("if you know that agent's key from its operator:  client agents trust NAME@BROKER 'ssh-ed25519 AAAA…'")
	}
	return e.Hint("somebody or something has changed it since it was built; build it again")
}

// digestAll lists the regular files below root. Anything else is refused: it
// could be exchanged between one look and the next.
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

// VerifyMap checks what is about to be flashed by the flash map at a path: the
// map and its images must be what a known agent has signed. It returns nil when
// nobody has signed anything there, as with what was built on this machine; then
// the digests are compared that the client noted when the artifacts came.
func VerifyMap(at, state string, m *flashmap.Map, known *identity.KnownAgents) (*Verified, error) {
	dir, rel := statementFor(at, state)
	v, err := verifyFolder(dir, isOwn(dir, state), known)
	if errors.Is(err, errNoStatement) {
		return nil, verifySums(dir, state)
	}
	if err != nil {
		return nil, err
	}
	names := []string{rel}
	for _, im := range m.Images {
		names = append(names, path.Join(path.Dir(rel), im.Path))
	}
	for _, name := range names {
		if !v.Covers(name) {
			return nil, distrust(dir, fmt.Errorf("%w: %s would be used, and is not among what the agent signed", provenance.ErrUntrusted, name))
		}
	}
	return v, nil
}

// statementFor returns the folder that a statement about the flash map would be
// in, and the map's path below it: the map's own folder, the client's, or one
// above with a statement that names the map. Statements of others, about other
// things, may lie further up.
func statementFor(at, state string) (dir, rel string) {
	dir, rel = filepath.Dir(at), filepath.Base(at)
	up, below := dir, rel
	for range maxDepth {
		if isOwn(up, state) || up != dir && names(up, below) {
			return up, below
		}
		below = path.Join(filepath.Base(up), below)
		up = filepath.Dir(up)
	}
	return dir, rel
}

// names tells whether a statement in the folder names the file.
func names(dir, rel string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	data, _, err := readStatement(root)
	if err != nil {
		return false
	}
	b, err := provenance.Parse(data)
	return err == nil && lists(b.Artifacts, rel)
}

func verifySums(dir, state string) error {
	if !isOwn(dir, state) {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return cli.Failf(cli.Usage, "cannot verify %s: %w", dir, pathReason(err))
	}
	defer root.Close()
	if err := checkSums(root); err != nil {
		return distrust(dir, err)
	}
	return nil
}
