// Package flash writes firmware to a board over a serial port. It speaks the
// protocol that the loader in the mask ROM of Espressif's chips speaks, without
// a stub, and carefully: nothing is written before chip, security state and
// flash size are known to fit, and everything written is compared by MD5.
//
// # The flow
//
//	OpenPort ─▶ Connect ─────────────▶ WriteMap ───────────▶ Finish ─▶ Close
//	            │ reset into loader     │ read and check      │ reset
//	            │ SYNC until answered   │   the images        │ into the
//	            │ which chip?           │ SPI_SET_PARAMS      │ firmware
//	            │ locked down?          │ for each image:
//	            │ MAC, revision         │   MD5: same already? skip
//	            │ SPI_ATTACH            │   BEGIN  (erases)
//	            │ flash id and size     │   DATA … (deflated)
//	            │ faster line           │   MD5: as intended?
//
// # The protocol
//
// Each command is one SLIP frame and is answered by one (SYNC by eight). All
// numbers are little-endian.
//
//	C0 │ 00 │ op │ size u16 │ checksum u32 │ data… │ C0      host to chip
//	C0 │ 01 │ op │ size u16 │ value u32    │ data… status │ C0
//
// The status has four bytes: 00 for success or 01 with an error code behind it,
// and two unused. Within a frame C0 is sent as DB DC and DB as DB DD. The chip
// prints text on the same line, so whatever is not a frame is skipped, and
// remembered: it tells what a board that does not answer is doing instead.
// A command the ROM does not know is answered, on an ESP32, by eight frames of
// SYNC's opcode with status 01 05.
//
// # What may be repeated
//
// A command that only reads, or that sets the same thing again, is repeated
// after a lost or spoilt answer; a region is repeated from its erase on. A
// single data block never is, as nobody knows whether the chip took it. Before
// anything is repeated a SYNC flushes the line: the chip answers in order, so
// no answer to an earlier command can be taken for that to a later one. After
// two repetitions, or when the chip is silent, it ends with an error.
//
// # Failures
//
// Every error is an *Error whose Kind says which exit code it deserves, except
// that a cancelled context gives an error which wraps the context's.
//
//	KindPort      the port cannot be opened, or went away
//	KindNoLoader  nothing on the port speaks the protocol
//	KindSilent    the chip stopped answering; the message names the step
//	KindGarbled   answers came, but not intelligible ones
//	KindRefused   the ROM answered with an error code
//	KindSecurity  secure boot, secure download mode or flash encryption
//	KindFirmware  the firmware does not fit this board, or is damaged
//	KindVerify    the flash does not hold what was written
//	KindOption    an option has a value that means nothing
//
// The protocol is documented with esptool ("Serial Protocol"), the header of
// images in "Firmware Image Format" there.
package flash
