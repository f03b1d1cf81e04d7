package chips

import "context"

// Registers of the ESP32-S3 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const s3Efuse = 0x60007044 // block 1: MAC, revision; word n at +4n

func esp32s3() *Chip {
	lp := lowPower{config0: 0x60008098, protect: 0x600080B0, swd: 0x600080B4, swdProtect: 0x600080B8, swdKey: swdKey, autoFeed: 1 << 31}
	return &Chip{
		Name:             "esp32s3",
		Title:            "ESP32-S3",
		ImageID:          9,
		Magic:            []uint32{0x00000009},
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x60002000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC:              macAt(s3Efuse),
		Revision:         s3Revision,
		Prepare:          lp.silence,
		Watchdog:         lp.reset,
	}
}

// s3Revision reads the revision. The first silicon used the bits of the major revision
// for something else. It is recognized by version 1.1 of block 2 and a minor revision
// that ends with zero.
func s3Revision(ctx context.Context, r Registers) (Revision, error) {
	rev, err := revisionAt(
		[]field{{s3Efuse + 20, 24, 2}},
		[]field{{s3Efuse + 20, 23, 1}, {s3Efuse + 12, 18, 3}})(ctx, r)
	if err != nil {
		return rev, err
	}
	const block2 = s3Efuse + 0x18
	blockMajor, err := number(ctx, r, []field{{block2 + 16, 0, 2}})
	if err != nil {
		return rev, err
	}
	blockMinor, err := number(ctx, r, []field{{s3Efuse + 12, 24, 3}})
	if rev.Minor&7 == 0 && blockMajor == 1 && blockMinor == 1 {
		return Revision{}, err
	}
	return rev, err
}
