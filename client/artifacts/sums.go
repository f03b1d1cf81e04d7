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

// SumsName is a list of digests, as sha256sum writes it, that stands in for the
// statement of an agent that signs none. It finds what was damaged or exchanged
// by mistake, and proves nothing.
const SumsName = "SHA256SUMS"

// writeSums lists the artifacts beside them.
func writeSums(root *os.Root, files []api.Artifact) error {
	var b bytes.Buffer
	for _, f := range files {
		if strings.EqualFold(f.Path, SumsName) {
			return nil // the build has its own
		}
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Path)
	}
	return root.WriteFile(SumsName, b.Bytes(), 0o644)
}

// checkSums compares the files with the list, if there is one.
func checkSums(root *os.Root) error {
	text, err := readSmall(root, SumsName, maxStatement)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		want, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			return fmt.Errorf("%s has the line %.80q", SumsName, lines.Text())
		}
		got, err := digest(root, name)
		if err != nil {
			return err
		}
		if got.SHA256 != want {
			return fmt.Errorf("%w: %s has the SHA-256 %s, and had %s when it came", provenance.ErrUntrusted, name, got.SHA256, want)
		}
	}
	return lines.Err()
}
