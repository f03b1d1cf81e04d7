package console

import (
	"fmt"

	"github.com/farforge/farforge/common/flash"
)

// Chip is a chip on a port.
type Chip struct {
	Chip            string `json:"chip"`
	Revision        string `json:"revision"`
	MAC             string `json:"mac,omitempty"`
	FlashID         string `json:"flash_id,omitempty"`
	FlashSize       int64  `json:"flash_size,omitempty"`
	SecureBoot      bool   `json:"secure_boot"`
	FlashEncryption bool   `json:"flash_encryption"`
	SecureDownload  bool   `json:"secure_download"`
}

// NewChip returns the report of a chip. In secure download mode a chip reveals little.
func NewChip(info flash.Info) *Chip {
	c := &Chip{Chip: info.Chip, Revision: info.Revision.String(), FlashSize: info.FlashSize, SecureBoot: info.Security.SecureBoot,
		FlashEncryption: info.Security.FlashEncryption, SecureDownload: info.Security.SecureDownload}
	if info.Security.SecureDownload {
		return c
	}
	c.MAC, c.FlashID = info.MAC.String(), fmt.Sprintf("0x%06x", info.FlashID)
	return c
}

// FlashText returns the size of the flash, for people.
func (c *Chip) FlashText() string {
	if c.FlashSize == 0 {
		return "unknown size"
	}
	return fmt.Sprintf("%d MB", c.FlashSize>>20)
}

// Protections lists the protections that are on, for people.
func (c *Chip) Protections() []string {
	var on []string
	for _, p := range []struct {
		on   bool
		name string
	}{{c.SecureBoot, "secure boot"}, {c.FlashEncryption, "flash encryption"}, {c.SecureDownload, "secure download mode"}} {
		if p.on {
			on = append(on, p.name+" is on")
		}
	}
	if on == nil {
		return []string{"no protection is on"}
	}
	return on
}

// Image is a firmware image.
type Image struct {
	Chip        string         `json:"chip"`
	MinRevision string         `json:"min_revision"`
	MaxRevision string         `json:"max_revision,omitempty"`
	Entry       uint32         `json:"entry"`
	FlashMode   string         `json:"flash_mode"`
	FlashFreq   string         `json:"flash_freq"`
	FlashSize   string         `json:"flash_size"`
	Size        int            `json:"size"`
	SHA256      bool           `json:"sha256"`
	Segments    []ImageSegment `json:"segments"`
	App         *ImageApp      `json:"app,omitempty"`
}

// ImageSegment is a part of an image and where it goes.
type ImageSegment struct {
	Address uint32 `json:"address"`
	Size    int    `json:"size"`
}

// ImageApp is the description of an app.
type ImageApp struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	IDF     string `json:"idf"`
	Built   string `json:"built"`
}

// NewImage returns the report of an image.
func NewImage(info *flash.ImageInfo) *Image {
	im := &Image{Chip: info.Chip, MinRevision: info.MinRev.String(), Entry: info.Entry, FlashMode: info.Mode, FlashFreq: info.Freq,
		FlashSize: info.Size, Size: info.Length, SHA256: info.Hashed}
	if info.MaxRev.Number() != 0 {
		im.MaxRevision = info.MaxRev.String()
	}
	for _, s := range info.Segments {
		im.Segments = append(im.Segments, ImageSegment{s.Address, s.Size})
	}
	if app := info.App; app != nil {
		im.App = &ImageApp{app.Name, app.Version, app.IDF, app.Built}
	}
	return im
}

// Lines describes an image for people.
func (im *Image) Lines() []string {
	revisions := "revision " + im.MinRevision + " or later"
	if im.MaxRevision != "" {
		revisions = "revisions " + im.MinRevision + " to " + im.MaxRevision
	}
	check := "the checksum is right"
	if im.SHA256 {
		check = "checksum and SHA-256 are right"
	}
	lines := []string{
		fmt.Sprintf("chip      %s, %s", im.Chip, revisions),
		fmt.Sprintf("size      %d bytes; %s", im.Size, check),
		fmt.Sprintf("flash     mode %s, frequency %s, size %s", im.FlashMode, im.FlashFreq, im.FlashSize),
		fmt.Sprintf("entry     0x%08x", im.Entry),
	}
	for _, s := range im.Segments {
		lines = append(lines, fmt.Sprintf("segment   0x%08x, %d bytes", s.Address, s.Size))
	}
	if app := im.App; app != nil {
		lines = append(lines, fmt.Sprintf("app       %s %s, built %s with ESP-IDF %s", app.Name, app.Version, app.Built, app.IDF))
	}
	return lines
}
