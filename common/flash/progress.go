package flash

import (
	"encoding/hex"
	"time"
)

// Phase is a step of writing a region.
type Phase int

// The phases of a region, in their order. In Check the flash is compared with the region
// before anything is written.
const (
	Check Phase = iota
	Erase
	Write
	Verify
	Done
)

func (p Phase) String() string {
	switch p {
	case Check:
		return "check"
	case Erase:
		return "erase"
	case Write:
		return "write"
	case Verify:
		return "verify"
	case Done:
		return "done"
	}
	return "unknown"
}

// Progress is reported at each change, from the goroutine that flashes, which
// waits for the callback.
type Progress struct {
	Region  string // "app at 0x10000"
	Index   int    // of the region, from 0
	Count   int    // of regions
	Offset  uint32
	Written int // bytes of the region that are in flash
	Total   int // bytes of the region
	Phase   Phase
	Skipped bool // with Done: the flash held it already
}

// Result is the result of WriteMap.
type Result struct {
	Regions []RegionResult
	Took    time.Duration
}

// RegionResult is the result for one image.
type RegionResult struct {
	Name    string // "app at 0x10000"
	Path    string
	Offset  uint32
	Size    int    // bytes, padded to whole words
	Sent    int    // bytes on the line; less than Size if deflated, 0 if Skipped
	Skipped bool   // the flash held it already
	MD5     string // as the chip computed it
	Note    string // a note for the user; may be empty
}

func (r region) result() RegionResult {
	return RegionResult{Name: r.name, Path: r.path, Offset: r.offset, Size: len(r.data),
		MD5: hex.EncodeToString(r.md5[:]), Note: r.note}
}
