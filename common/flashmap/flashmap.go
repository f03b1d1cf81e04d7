// Package flashmap reads and writes flasher_args.json, the file in which an ESP-IDF build
// says what belongs where in a board's flash. In Farforge it is the interchange format
// between a build and a flash: a recipe produces one, or declares the offsets from which
// one is made, and the client flashes from it.
//
//	{
//	  "write_flash_args" : [ "--flash_mode", "dio", … ],   derived, not read
//	  "flash_settings"   : { "flash_mode", "flash_size", "flash_freq" },
//	  "flash_files"      : { "0x0" : "bootloader/bootloader.bin",
//	                         "0x10000" : "hello.bin" },     the images to flash
//	  "bootloader"       : { "offset" : "0x0", "file" : "…",
//	                         "encrypted" : "false" },       names an image
//	  "app"              : { … },
//	  "extra_esptool_args" : { "after", "before", "stub", "chip" }
//	}
//
// flash_files decides what is flashed. Every other object with an offset and a file gives
// one of those images its name and says whether the chip must encrypt it; "encrypted" is
// a string there, not a boolean. Older ESP-IDF versions leave out stub and chip, so an
// absent chip is not an error.
//
// The file comes from another machine, so it is read strictly: paths stay
// below the file's own folder, offsets lie on sector boundaries, and two
// statements that contradict each other are an error rather than a choice.
//
// The format is described by ESP-IDF's build system guide and by the template
// components/esptool_py/flasher_args.json.in.
package flashmap

// FileName is the name ESP-IDF gives the file, in the root of the build folder.
const FileName = "flasher_args.json"

// SectorSize is the smallest piece of flash that can be erased, in bytes.
// Images start on a multiple of it, or flashing one would erase part of another.
const SectorSize = 4096

// Limits on the input of Parse, which another machine may have written.
const (
	MaxFileSize = 256 << 10 // bytes of JSON
	MaxImages   = 64
)

// Map lists the images with their offsets, and the settings of the flash chip.
type Map struct {
	// Chip is the target in esptool's spelling, such as "esp32c3". Empty when
	// the file does not say.
	Chip string
	// Mode, Freq and Size are the flash settings for the bootloader's header,
	// such as "dio", "40m" and "4MB", or "keep". Empty means not given.
	Mode, Freq, Size string
	// Before and After are esptool's names of the resets around flashing, such
	// as "default_reset" and "hard_reset". Empty means not given.
	Before, After string
	// Stub reports whether the build wants a flasher stub. Nil when not given.
	Stub *bool
	// Images are sorted by Offset.
	Images []Image
}

// Image is one file and its place.
type Image struct {
	// Name is "app", "bootloader", "partition-table" and so on; it may be empty.
	Name string
	// Offset is the image's first byte in flash, a multiple of SectorSize.
	Offset uint32
	// Path is relative to the folder of the map's file, with forward slashes.
	Path string
	// Encrypted reports whether the chip must encrypt the image.
	Encrypted bool
}
