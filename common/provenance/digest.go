package provenance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/farforge/farforge/common/channel"
)

func digestLines(files []channel.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %q %s%q\n", f.Kind, f.Path, f.SHA256, f.Link)
	}
	return hex.EncodeToString(h.Sum(nil))
}
