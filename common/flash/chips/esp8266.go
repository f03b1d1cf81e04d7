package chips

import "context"

// Registers of the ESP8266 (ESP8266EX technical reference, and the OTP words that
// Espressif's SDK reads the MAC address from).
const (
	esp8266OTP = 0x3FF00050 // word n at +4n
	esp8266SPI = 0x60000200
)

// esp8266 describes a chip that can only be identified: its ROM has neither SPI_ATTACH
// nor MD5, so it cannot verify a write.
func esp8266() *Chip {
	return &Chip{
		Name:    "esp8266",
		Title:   "ESP8266",
		ImageID: NoImageID,
		Magic:   []uint32{0xFFF0C101},
		SPI: SPI{
			Cmd: esp8266SPI, Usr: esp8266SPI + 0x1C, Usr1: esp8266SPI + 0x20, Usr2: esp8266SPI + 0x24, W0: esp8266SPI + 0x40,
		},
		Frequencies: map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		NoVerify:    "its ROM can neither read its flash nor compute a digest of it",
		MAC: func(ctx context.Context, r Registers) ([6]byte, error) {
			w, err := words(ctx, r, esp8266OTP, esp8266OTP+4, esp8266OTP+12)
			if err != nil {
				return [6]byte{}, err
			}
			maker := []byte{byte(w[2] >> 16), byte(w[2] >> 8), byte(w[2])}
			switch {
			case w[2] != 0:
			case w[1]>>16&0xFF == 0:
				maker = []byte{0x18, 0xFE, 0x34}
			default:
				maker = []byte{0xAC, 0xD0, 0x74}
			}
			return [6]byte{maker[0], maker[1], maker[2], byte(w[1] >> 8), byte(w[1]), byte(w[0] >> 24)}, nil
		},
		Revision: func(context.Context, Registers) (Revision, error) { return Revision{}, nil },
	}
}
