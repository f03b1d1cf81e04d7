package flash

import (
	"bytes"
	"fmt"
	"io/fs"

	"github.com/farforge/farforge/common/flashmap"
)

// Merge puts the images of a map into one image for the address start, with FF between
// them. They must not overlap, and none may lie before start.
func Merge(m *flashmap.Map, files fs.FS, start uint32) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, firmwareError("the flash map cannot be used", err, "correct the flash map")
	}
	var out []byte
	for _, im := range m.Images {
		r, err := load(im, files, maxFlash)
		if err != nil {
			return nil, err
		}
		if im.Offset < start {
			return nil, firmwareError(fmt.Sprintf("%s lies before 0x%x, where the merged image starts", r.name, start), nil, "use a lower start")
		}
		at := int(im.Offset - start)
		if at < len(out) {
			return nil, firmwareError(fmt.Sprintf("%s overlaps the image before it", r.name), nil, "correct the offsets")
		}
		if at+len(r.data) > maxFlash {
			return nil, firmwareError(fmt.Sprintf("%s ends beyond %s", r.name, mib(maxFlash)), nil, "correct the offsets")
		}
		out = append(out, bytes.Repeat([]byte{0xFF}, at-len(out))...)
		out = append(out, r.data...)
	}
	return out, nil
}
