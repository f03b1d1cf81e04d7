// Package flash writes firmware to a board over a serial port. It speaks the
// protocol that the loader in the mask ROM of Espressif's chips speaks, without
// a stub, and carefully: nothing is written before chip, security state and
// flash size are known to fit, and everything written is compared by MD5.
//
// # The flow
//
//	serialport.Open ─▶ Connect ────────▶ WriteMap ────────────▶ Finish ─▶ Close
//	            │ reset into loader     │ read and check      │ reset
//	            │ SYNC until answered   │   the images        │ into the
//	            │ which chip?           │ SPI_SET_PARAMS      │ firmware
//	            │ locked down?          │ MD5s of what surrounds
//	            │ MAC, revision         │   the images
//	            │ SPI_ATTACH            │ for each image, for each
//	            │ flash id and size     │   piece of it that differs:
//	            │ faster line           │     BEGIN  (erases)
//	                                    │     DATA … (deflated)
//	                                    │   MD5: as intended?
//	                                    │ MD5s of all images and of
//	                                    │   what surrounds them
//
// # The protocol
//
// Each command is one SLIP frame and is answered by one (SYNC by eight). All
// numbers are little-endian.
//
//	C0 │ 00 │ op │ size u16 │ checksum u32 │ data… │ C0      host to chip
//	C0 │ 01 │ op │ size u16 │ value u32    │ data… status │ C0
//
// The status has four bytes: 00 for success or 01 with an error code behind it, and two
// unused. Within a frame C0 is sent as DB DC and DB as DB DD. The chip prints text on the
// same line, so bytes outside frames are skipped, and kept to explain why a board does
// not answer. A command the ROM does not know is answered, on an ESP32, by eight frames
// of SYNC's opcode with status 01 05.
//
// # Nothing else changes
//
// An image is written in pieces of at most 32 KiB, the ROM's inflate window. Each piece
// has its own BEGIN, which erases its sectors only. An ESP32 ends a deflated write with
// its whole window, so for ROMs that are not known to be exact only whole pieces are
// deflated, without the end of the stream. BEGIN has no checksum; guard.go describes how
// a spoiled one is detected.
//
// # Bad lines
//
// Answers are judged by direction, opcode, length field and status. Answers that have
// no other check (registers, digests of what surrounds the images) count when two of
// them agree. After a lost or spoiled answer a SYNC flushes the line: the chip answers
// in order, so no answer to an earlier command can be taken for that to a later one.
// A chip that is silent even then is reset into its loader. After several disturbances
// the rate falls.
//
//	a command that reads or sets     is repeated
//	a plain block, wrong checksum    is sent again under the next number
//	a plain block, answer lost       is sent again under its number
//	a deflated block                 costs its piece, which is erased and written again
//	a digest that differs            costs the pieces that differ
//
// # Failures
//
// Every error is an *Error whose Kind gives its exit code, except that a canceled
// context gives an error that wraps the context's.
//
//	KindPort      the port cannot be opened, or went away
//	KindNoLoader  nothing on the port speaks the protocol
//	KindSilent    the chip stopped answering; the message names the step
//	KindGarbled   the chip's answers are damaged
//	KindRefused   the ROM answered with an error code
//	KindSecurity  secure boot, secure download mode or flash encryption
//	KindFirmware  the firmware does not fit this board, or is damaged
//	KindVerify    the flash does not hold the data written
//	KindOption    an option has a wrong value
//
// The protocol is documented with esptool ("Serial Protocol"), the header of
// images in "Firmware Image Format" there.
package flash
