package artifacts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/provenance"
)

// SumsName is a list of digests in the form of sha256sum. The client writes it for
// artifacts that no agent has signed. It detects damage and mix-ups, but
// no attack. Where the build has made a file of this name, the client's list has
// the name ownSumsName.
const (
	SumsName    = "SHA256SUMS"
	ownSumsName = "SHA256SUMS.farforge"
)

// writeSums writes the digests of the artifacts beside them.
func writeSums(root *os.Root, files []api.Artifact) error {
	name := SumsName
	var b bytes.Buffer
	for _, f := range files {
		if strings.EqualFold(f.Path, SumsName) {
			name = ownSumsName
		}
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Path)
	}
	return root.WriteFile(name, b.Bytes(), 0o644)
}

// readSums reads the list of digests and compares all files that it names. It
// returns an error that wraps fs.ErrNotExist if there is no list.
func readSums(root *os.Root) ([]api.Artifact, error) {
	name := ownSumsName
	text, err := readSmall(root, name, maxStatement)
	if errors.Is(err, fs.ErrNotExist) {
		name = SumsName
		text, err = readSmall(root, name, maxStatement)
	}
	if err != nil {
		return nil, err
	}
	var files []api.Artifact
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		want, file, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			return nil, fmt.Errorf("%s has the line %.80q", name, lines.Text())
		}
		got, err := digest(root, file)
		if err != nil {
			return nil, err
		}
		if got.SHA256 != want {
			return nil, fmt.Errorf("%w: %s has the SHA-256 %s, and had %s when it arrived", provenance.ErrUntrusted, file, got.SHA256, want)
		}
		files = append(files, got)
	}
	return files, lines.Err()
}
