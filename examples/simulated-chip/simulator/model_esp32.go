package simulator

import (
	"encoding/binary"
	"fmt"
)

// esp32 describes an ESP32-D0WD-V3 of revision 3.
func esp32() *model {
	return &model{
		name:        "esp32",
		title:       "ESP32",
		imageChipID: 0,
		imageOffset: 0x1000,
		beginSize:   16,

		flushesWindow: true,
		stale:         []byte{0x05, 0x37, 0x39},

		spi: spiLayout{base: 0x3FF42000, addr: 0x04, usr: 0x1C, usr1: 0x20, usr2: 0x24,
			mosiLen: 0x28, misoLen: 0x2C, window: 0x80},
		wdt:        wdtLayout{config0: 0x3FF4808C, config1: 0x3FF48090, protect: 0x3FF480A4},
		uartClkDiv: 0x3FF40014,
		ram:        []span{{0x3FFAE000, 0x40000000}, {0x40070000, 0x400C0000}, {0x400C0000, 0x400C2000}},
		banner:     "ets Jul 29 2019 12:21:46\r\n\r\n",
		disabled:   "Download boot modes disabled\r\n",
		bootLine: func(why reason, download bool) string {
			rst := map[reason]string{
				powerOn: "0x1 (POWERON_RESET)", software: "0x3 (SW_RESET)", panicked: "0x3 (SW_RESET)",
				timerWatchdog: "0x7 (TG0WDT_SYS_RESET)", rtcWatchdog: "0x10 (RTCWDT_RTC_RESET)",
			}[why]
			if download {
				return fmt.Sprintf("rst:%s,boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n", rst)
			}
			return fmt.Sprintf("rst:%s,boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", rst)
		},
		fuses: esp32Fuses,
	}
}

// esp32Fuses are the words a host reads to describe the chip; the addresses
// follow the technical reference manual's eFuse chapter.
func esp32Fuses(c *Chip) map[uint32]uint32 {
	const base = 0x3FF5A000
	mac := c.cfg.MAC
	words := map[uint32]uint32{
		0x40001000: 0x00F01D83,
		base + 4:   binary.BigEndian.Uint32(mac[2:]),
		base + 8:   uint32(binary.BigEndian.Uint16(mac)) | uint32(macCRC(mac))<<16,
		base + 12:  1<<15 | 1<<13 | 1<<9, // revision bit 0, rated 240 MHz, package 1
		base + 16:  128,                  // the 8 MHz oscillator, for the sum below
		base + 20:  1 << 20,              // revision bit 1
		0x3FF6607C: 1 << 31,              // revision bit 2
		0x3FF5F06C: 800 << 7,             // calibration: 800 × 15625 × 128 ÷ 40 = 40 MHz
	}
	if c.faults.has(FlashEncryption) {
		words[base] |= 1 << 20 // FLASH_CRYPT_CNT = 1
	}
	if c.faults.has(SecureBoot) {
		words[base+24] |= 1 << 5 // ABS_DONE_1: secure boot V2
	}
	return words
}

// macCRC is the CRC-8 (polynomial 0x31, reflected) that the fuses keep beside
// the address.
func macCRC(mac []byte) byte {
	var crc byte
	for _, b := range mac {
		crc ^= b
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8C
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
