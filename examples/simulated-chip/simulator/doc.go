// Package simulator is a SIMULATION of an ESP32-C3 and of an ESP32 as they
// look from the far end of a serial cable. It is not a chip and not an
// emulator: it lets flashing code, tests and demonstrations run on a machine
// without a board. What works here has a good chance on a board; only a board
// proves it.
//
// # What a chip is, seen from the cable
//
// The two modem lines of a USB-to-UART bridge drive the reset pin (EN) and the
// boot strap (GPIO0, or GPIO9 on a C3) through two transistors. A line is
// "asserted" when SetDTR or SetRTS was called with true:
//
//	DTR  RTS │ EN    boot strap
//	─────────┼─────────────────────────────────────────────
//	 0    0  │ high  high   idle
//	 1    1  │ high  high   idle
//	 0    1  │ LOW   high   held in reset
//	 1    0  │ high  LOW    the strap asks for download mode
//
// EN rises slowly (a capacitor), so a host may pass through 1 1 on its way
// from "held in reset" to "asks for download": the strap counts when EN is up.
//
//	           ┌────────── EN low ──────────┐
//	           ▼                            │
//	┌──────────────┐ EN high, strap high  ┌─┴─────────────────────────────┐
//	│ held in reset├─────────────────────▶│ ROM checks the image in flash │
//	└──────┬───────┘                      └──┬─────────────────────────┬──┘
//	       │ EN high, strap LOW              │ valid                   │ not valid
//	       ▼                                 ▼                         ▼
//	┌──────────────┐  FLASH_END (reboot)  ┌─────────────┐   "invalid header: 0x…"
//	│ ROM download ├─────────────────────▶│ application │   again and again
//	└──────┬───────┘  RTC watchdog reset  └─────────────┘
//	       │ MEM_BEGIN, MEM_DATA…, MEM_END (run)
//	       ▼
//	┌──────────────┐
//	│ stub loader  │ says OHAI, then answers like the ROM with more commands
//	└──────────────┘
//
// # The serial protocol
//
// Host and loader exchange SLIP frames. A frame begins and ends with C0; inside
// it C0 is sent as DB DC and DB as DB DD. All numbers are little-endian.
//
//	request   00 │ op │ size (2) │ checksum (4) │ data (size bytes)
//	reply     01 │ op │ size (2) │ value (4)    │ data │ status
//
// The checksum is EF XORed with every payload byte and counts in the three
// DATA commands only. The status is two bytes from a stub (00 00, or a code and
// 00) and four from the ROM (00 00 00 00, or 01, a code, 00 00). A DATA command
// starts with sixteen bytes of its own: payload size, sequence number, 0, 0.
//
// The ROM's codes: 05 invalid message, 06 failed to act, 07 wrong checksum,
// 0B deflate error. The stub's: C0 wrong size, C1 wrong checksum, C2 wrong block
// size, C3 invalid command, C4 flash operation failed, C6 not in flash mode,
// C7 deflate error, C8 too little data, C9 too much data, FF unknown command.
//
// A command the ROM does not know, and one that secure download mode forbids,
// is answered with eight frames of the SYNC opcode and status 01 05.
//
// # Where the ROM does harm
//
// The ROM's answers are those measured on the mask ROMs of an ESP32-C3 and an
// ESP32; the tests in rom_test.go are the table of them. Among them:
//
//   - only the payload of a DATA command has a checksum. A BEGIN whose offset or
//     size was spoiled on the line erases elsewhere and succeeds;
//   - a block with a wrong checksum counts. Its number is used up, and the payload
//     must be sent again under the next number;
//   - an ESP32 ends a deflated write by writing its whole inflate window of
//     32 KiB, over whatever follows in flash;
//   - data behind the end of a deflate stream hangs the chip until a reset;
//   - the value field and the last bytes of a status hold what an earlier answer
//     left there.
//
// This follows Espressif's "Serial Protocol" and "Firmware Image Format" pages
// of the esptool documentation, and what esptool, tinygo.org/x/espflasher and
// esptool-js really send.
//
// # What the simulation does
//
//   - the lines above, SYNC, registers, the SPI controller's user commands,
//     RAM and flash downloads (plain and deflated), MD5, erasing, reading back,
//     the ROM's and the stub's different sizes, statuses and codes;
//   - NOR flash: erasing sets bits, writing only clears them;
//   - the ROM's check of the image: direct-boot magic, header, segments, XOR
//     checksum, SHA-256, chip id; and its console messages;
//   - for the ESP32-C3, the program itself: an interpreter for RV32IMC runs it
//     with flash, SRAM, UART0, system timer and watchdogs, so what a monitor
//     shows is what the firmware printed;
//   - failures, on request: see [Misbehavior].
//
// # What the simulation leaves out
//
//   - Xtensa code: an ESP32's image is checked and described, never run;
//   - the stub's code: any program loaded to RAM and started there is taken for
//     a stub and answered for by this package;
//   - the mask ROM's functions, interrupts, radio, USB, DMA and every
//     peripheral not named above: their registers return the last value written;
//   - signatures and keys: with secure boot on no image boots; with flash
//     encryption on the flash reads as noise to the boot ROM;
//   - timing: flash operations are instant, code runs at a rough pace.
package simulator
