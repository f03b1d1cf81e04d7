package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// directBootMagic, twice at offset 0, makes the ROM of an ESP32-C3 map the
// flash and jump to the code behind it.
const directBootMagic = 0xAEDB041D

const (
	imageMagic   = 0xE9
	imageHeader  = 24
	maxSegments  = 16
	flashMapCode = 0x42000000 // where an ESP32-C3 sees flash offset 0 as code
)

// bootImage is the image that the ROM found in flash.
type bootImage struct {
	direct   bool
	entry    uint32
	mode     byte
	segments []segment
	size     int
	hashed   bool
}

// segment is a piece of an image and its address.
type segment struct {
	addr uint32
	data []byte
}

// check validates the flash as the boot ROM does. Its errors have the words of
// the ROM. The format is Espressif's "Firmware Image Format".
func (m *model) check(flash []byte) (*bootImage, error) {
	if m.directBoot && len(flash) >= 8 &&
		binary.LittleEndian.Uint32(flash) == directBootMagic && binary.LittleEndian.Uint32(flash[4:]) == directBootMagic {
		return &bootImage{direct: true, entry: flashMapCode + 8}, nil
	}
	if len(flash) < int(m.imageOffset)+imageHeader {
		return nil, fmt.Errorf("invalid header: 0xffffffff")
	}
	p := flash[m.imageOffset:]
	if p[0] != imageMagic {
		return nil, fmt.Errorf("invalid header: 0x%08x", binary.LittleEndian.Uint32(p))
	}
	if id := binary.LittleEndian.Uint16(p[12:]); id != m.imageChipID {
		return nil, fmt.Errorf("image is for chip id %d, this is %d", id, m.imageChipID)
	}
	img := &bootImage{entry: binary.LittleEndian.Uint32(p[4:]), mode: p[2], hashed: p[23] == 1}
	count := int(p[1])
	if count == 0 || count > maxSegments {
		return nil, fmt.Errorf("invalid segment count: %d", count)
	}
	sum := byte(checksumSeed)
	at := imageHeader
	for i := range count {
		if len(p) < at+8 {
			return nil, fmt.Errorf("segment %d lies outside the flash", i)
		}
		addr, n := binary.LittleEndian.Uint32(p[at:]), binary.LittleEndian.Uint32(p[at+4:])
		at += 8
		if uint64(at)+uint64(n) > uint64(len(p)) {
			return nil, fmt.Errorf("segment %d lies outside the flash", i)
		}
		if !m.loadable(addr, n) {
			return nil, fmt.Errorf("invalid segment address: 0x%08x, len 0x%x", addr, n)
		}
		data := p[at : at+int(n)]
		for _, b := range data {
			sum ^= b
		}
		img.segments = append(img.segments, segment{addr, data})
		at += int(n)
	}
	// The checksum is the last byte of the next multiple of sixteen.
	at = at/16*16 + 15
	if at >= len(p) {
		return nil, fmt.Errorf("the checksum lies outside the flash")
	}
	if p[at] != sum {
		//lint:ignore ST1005 the ROM prints it so
		return nil, fmt.Errorf("Checksum failed. Calculated 0x%x read 0x%x", sum, p[at])
	}
	at++
	if img.hashed {
		if len(p) < at+sha256.Size {
			return nil, fmt.Errorf("the hash lies outside the flash")
		}
		want := sha256.Sum256(p[:at])
		if !bytes.Equal(want[:], p[at:at+sha256.Size]) {
			return nil, fmt.Errorf("SHA-256 comparison failed: calculated %x, read %x", want[:4], p[at:at+4])
		}
		at += sha256.Size
	}
	img.size = at
	return img, nil
}

// loadable reports whether the ROM may load a segment there: to RAM only, since it has
// not mapped the flash yet. Address 0 is padding, which it skips.
func (m *model) loadable(addr, n uint32) bool {
	if addr == 0 {
		return true
	}
	for _, ram := range m.ram {
		if ram.holds(addr, n) {
			return true
		}
	}
	return false
}

// bootLines returns the text that the ROM prints while it loads an image; it is empty for
// direct boot.
func (img *bootImage) bootLines() string {
	if img.direct {
		return ""
	}
	var b strings.Builder
	mode := "unknown"
	if names := []string{"QIO", "QOUT", "DIO", "DOUT"}; int(img.mode) < len(names) {
		mode = names[img.mode]
	}
	fmt.Fprintf(&b, "mode:%s, clock div:2\r\n", mode)
	for _, seg := range img.segments {
		if seg.addr != 0 {
			fmt.Fprintf(&b, "load:0x%08x,len:0x%x\r\n", seg.addr, len(seg.data))
		}
	}
	fmt.Fprintf(&b, "entry 0x%08x\r\n", img.entry)
	return b.String()
}
