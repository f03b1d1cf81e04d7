package simulator

import (
	"encoding/binary"
	"fmt"
)

// esp32c3 describes an ESP32-C3 of revision 0.3 (ROM of February 2021).
func esp32c3() *model {
	return &model{
		name:        "esp32c3",
		title:       "ESP32-C3",
		imageChipID: 5,
		imageOffset: 0,
		directBoot:  true,
		beginSize:   20,
		security:    true,
		runsCode:    true,
		spi: spiLayout{base: 0x60002000, addr: 0x04, usr: 0x18, usr1: 0x1C, usr2: 0x20,
			mosiLen: 0x24, misoLen: 0x28, window: 0x58},
		wdt:        wdtLayout{config0: 0x60008090, config1: 0x60008094, protect: 0x600080A8},
		uartClkDiv: 0x60000014,
		ram:        []span{{0x3FC80000, 0x3FCE0000}, {0x4037C000, 0x403E0000}, {0x50000000, 0x50002000}},
		banner:     "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n",
		disabled:   "Download mode is disabled\r\n",
		bootLine: func(why reason, download bool) string {
			rst := map[reason]string{
				powerOn: "0x1 (POWERON)", software: "0x3 (RTC_SW_SYS_RST)", panicked: "0x3 (RTC_SW_SYS_RST)",
				timerWatchdog: "0x7 (TG0WDT_SYS_RST)", rtcWatchdog: "0x10 (RTCWDT_RTC_RST)",
				superWatchdog: "0x12 (SUPER_WDT_RST)",
			}[why]
			if download {
				return fmt.Sprintf("rst:%s,boot:0x4 (DOWNLOAD(USB/UART0/1))\r\n", rst)
			}
			return fmt.Sprintf("rst:%s,boot:0xc (SPI_FAST_FLASH_BOOT)\r\n", rst)
		},
		fuses: esp32c3Fuses,
	}
}

// esp32c3Fuses are the words a host reads to describe the chip; the addresses
// follow the technical reference manual's eFuse chapter.
func esp32c3Fuses(c *Chip) map[uint32]uint32 {
	mac := c.cfg.MAC
	words := map[uint32]uint32{
		0x40001000: 0x1B31506F, // the word of ROM that tells chips apart
		0x60008844: binary.BigEndian.Uint32(mac[2:]),
		0x60008848: uint32(binary.BigEndian.Uint16(mac)),
		0x60008850: 3 << 18, // minor revision 3, package 0
	}
	if c.faults.has(FlashEncryption) {
		words[0x60008834] |= 1 << 18 // SPI_BOOT_CRYPT_CNT = 1
	}
	if c.faults.has(SecureBoot) {
		words[0x60008838] |= 1 << 20 // SECURE_BOOT_EN
	}
	return words
}
