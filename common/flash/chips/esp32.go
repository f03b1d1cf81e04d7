package chips

import (
	"context"
	"math/bits"
)

// Registers of the ESP32 (technical reference manual, chapters eFuse
// Controller, SPI Controller and RTC).
const (
	esp32Efuse    = 0x3FF5A000 // block 0, word n at +4n
	esp32SPI      = 0x3FF42000 // SPI1, the flash's controller
	esp32APBDate  = 0x3FF6607C // bit 31 is a revision bit
	esp32RTCCali1 = 0x3FF5F06C // TIMG0_RTCCALICFG1: the ROM's clock measurement
)

func esp32() *Chip {
	return &Chip{
		Name:             "esp32",
		Title:            "ESP32",
		ImageID:          0,
		Magic:            []uint32{0x00F01D83},
		BootloaderOffset: 0x1000,
		SPI: SPI{
			Cmd: esp32SPI, Usr: esp32SPI + 0x1C, Usr1: esp32SPI + 0x20, Usr2: esp32SPI + 0x24,
			MosiLen: esp32SPI + 0x28, MisoLen: esp32SPI + 0x2C, W0: esp32SPI + 0x80,
		},
		Frequencies: map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC: func(ctx context.Context, r Registers) ([6]byte, error) {
			w, err := words(ctx, r, esp32Efuse+4, esp32Efuse+8)
			if err != nil {
				return [6]byte{}, err
			}
			return mac(w[1], w[0]), nil
		},
		Revision: esp32Revision,
		Security: esp32Security,
		BaudWord: esp32BaudWord,
	}
}

// esp32Revision gathers the major revision from three places, as each
// generation of the silicon added a bit where there was room.
func esp32Revision(ctx context.Context, r Registers) (Revision, error) {
	w, err := words(ctx, r, esp32Efuse+12, esp32Efuse+20, esp32APBDate)
	if err != nil {
		return Revision{}, err
	}
	rev := Revision{Minor: int(w[1] >> 24 & 3)}
	switch w[2]>>31<<2 | w[1]>>20&1<<1 | w[0]>>15&1 {
	case 1:
		rev.Major = 1
	case 3:
		rev.Major = 2
	case 7:
		rev.Major = 3
	}
	return rev, nil
}

// esp32Security reads FLASH_CRYPT_CNT, which enables encryption when an odd number of its
// bits is set, and ABS_DONE_0/1, one for each version of secure boot. The second exists
// from revision 3 on. On an earlier chip it has no effect, but no such chip with this bit
// burnt is known, so the revision is not checked.
func esp32Security(ctx context.Context, r Registers) (Security, error) {
	w, err := words(ctx, r, esp32Efuse, esp32Efuse+24)
	if err != nil {
		return Security{}, err
	}
	return Security{
		FlashEncryption: bits.OnesCount32(w[0]>>20&0x7F)%2 == 1,
		SecureBoot:      w[1]>>4&3 != 0,
	}, nil
}

// esp32BaudWord corrects an error of the ROM, which computes its divider from a clock
// that it measured against a drifting oscillator. The ROM's measurement is repeated here
// and the rate scaled so that the real rate is right. A measurement that fits no crystal
// is ignored.
func esp32BaudWord(ctx context.Context, r Registers, baud, _ int) (uint32, error) {
	w, err := words(ctx, r, esp32RTCCali1, esp32Efuse+16)
	if err != nil {
		return 0, err
	}
	measured := uint64(w[0]>>7&0x1FFFFFF) * 15625 * uint64(w[1]&0xFF) / 40
	crystal := uint64(40e6)
	if measured <= 33e6 {
		crystal = 26e6
	}
	if measured < 20e6 || measured > 60e6 {
		return uint32(baud), nil
	}
	return uint32(uint64(baud) * measured / crystal), nil
}
