package flash

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of a firmware image, as esptool's "Firmware Image Format" describes it:
// a header of 8 and one of 16 bytes, segments (address, length, data), zeroes up
// to a multiple of 16 whose last byte is the checksum, optionally a SHA-256 of
// all before it. Bytes behind that, such as a signature, are ignored.
const (
	imageMagic        = 0xE9
	imageHeader       = 24
	imageSegmentsAt   = 1
	imageModeAt       = 2
	imageSizeFreqAt   = 3
	imageChipAt       = 12
	imageMinRevOldAt  = 14 // major revision, for images older than the next field
	imageMinRevAt     = 15
	imageMaxRevAt     = 17
	imageHashAt       = 23
	imageMaxSegments  = 16
	imageChecksumSeed = 0xEF
)

// image is the header of a firmware image.
type image struct {
	chip   uint16
	minRev int // as chips.Revision.Number; zero is any
	maxRev int // likewise
	hash   int // where the appended SHA-256 begins, or zero
}

var errNoImage = errors.New("not a firmware image")

// parseImage reads an image up to its check values, and checks them. Data without the
// magic byte of an image gives errNoImage.
func parseImage(b []byte) (image, error) {
	if len(b) == 0 || b[0] != imageMagic {
		return image{}, errNoImage
	}
	if len(b) < imageHeader {
		return image{}, errors.New("the image is cut short inside its header")
	}
	im := image{chip: binary.LittleEndian.Uint16(b[imageChipAt:])}
	if im.minRev = int(binary.LittleEndian.Uint16(b[imageMinRevAt:])); im.minRev == 0 {
		im.minRev = int(b[imageMinRevOldAt]) * 100
	}
	if n := binary.LittleEndian.Uint16(b[imageMaxRevAt:]); n != 0xFFFF {
		im.maxRev = int(n)
	}
	segments := int(b[imageSegmentsAt])
	if segments == 0 || segments > imageMaxSegments {
		return im, fmt.Errorf("the image claims to have %d segments", segments)
	}
	at, sum := imageHeader, byte(imageChecksumSeed)
	for n := range segments {
		if len(b)-at < 8 {
			return im, fmt.Errorf("the image is cut short before segment %d of %d", n+1, segments)
		}
		size := binary.LittleEndian.Uint32(b[at+4:])
		at += 8
		if uint64(size) > uint64(len(b)-at) {
			return im, fmt.Errorf("the image is cut short in segment %d of %d", n+1, segments)
		}
		for _, c := range b[at : at+int(size)] {
			sum ^= c
		}
		at += int(size)
	}
	at |= 15 // the checksum's place: the last byte of sixteen
	if at >= len(b) {
		return im, errors.New("the image is cut short before its checksum")
	}
	if b[at] != sum {
		return im, fmt.Errorf("the image's checksum is 0x%02x, but its contents give 0x%02x", b[at], sum)
	}
	if b[imageHashAt] != 1 {
		return im, nil
	}
	im.hash = at + 1
	if len(b)-im.hash < sha256.Size {
		return im, errors.New("the image is cut short in its SHA-256")
	}
	if got := sha256.Sum256(b[:im.hash]); !bytes.Equal(got[:], b[im.hash:im.hash+sha256.Size]) {
		return im, errors.New("the image's SHA-256 does not match its contents")
	}
	return im, nil
}
