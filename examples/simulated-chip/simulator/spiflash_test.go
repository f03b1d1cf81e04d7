package simulator

import (
	"encoding/binary"
	"testing"
)

// write sets a register through WRITE_REG.
func (h *host) write(addr, value uint32) {
	h.t.Helper()
	h.want(WriteReg, words(addr, value, 0xFFFFFFFF, 0), 0, ok)
}

// read gets a register through READ_REG.
func (h *host) read(addr uint32) uint32 {
	h.t.Helper()
	got := h.ask(ReadReg, words(addr))
	if got.op != ReadReg || got.data[0] != 0 {
		h.t.Fatalf("read %#x: %+v", addr, got)
	}
	return got.value
}

// spi runs a user command of the SPI controller, as flashing tools do.
func (h *host) spi(l spiLayout, opcode byte, addr uint32, bits uint32) uint32 {
	h.t.Helper()
	usr := uint32(usrHasOpcode)
	if bits > 0 {
		usr |= usrHasMISO
		h.write(l.base+l.misoLen, bits-1)
	}
	if opcode == flashReadSFDP {
		usr |= usrHasAddr | 1<<29
		h.write(l.base+l.addr, addr<<8)
	}
	h.write(l.base+l.usr, usr)
	h.write(l.base+l.usr2, 7<<28|uint32(opcode))
	h.write(l.base+l.window, 0)
	h.write(l.base, spiUser)
	if h.read(l.base)&spiUser != 0 {
		h.t.Error("the USR bit did not clear itself")
	}
	return h.read(l.base + l.window)
}

func TestSPIController(t *testing.T) {
	for _, m := range []*model{esp32c3(), esp32()} {
		t.Run(m.name, func(t *testing.T) {
			_, h := rom(t, Config{Chip: m.name})
			if id := h.spi(m.spi, flashReadID, 0, 24); id != 0x1640C8 {
				t.Errorf("flash id %#x, want 0x1640c8", id)
			}
			if id := h.spi(m.spi, flashReadID, 0, 8); id != 0xC8 {
				t.Errorf("flash id in 8 bits: %#x, want 0xc8", id)
			}
			if sig := h.spi(m.spi, flashReadSFDP, 0, 32); sig != binary.LittleEndian.Uint32([]byte("SFDP")) {
				t.Errorf("SFDP signature %#x", sig)
			}
			if density := h.spi(m.spi, flashReadSFDP, 0x14, 32); density != 4<<20*8-1 {
				t.Errorf("SFDP density %#x", density)
			}
			if status := h.spi(m.spi, flashReadStatus, 0, 8); status != 0 {
				t.Errorf("status %#x", status)
			}
			if noise := h.spi(m.spi, 0xEE, 0, 16); noise != 0xFFFF {
				t.Errorf("unknown command: %#x, want an idle line", noise)
			}
			h.spi(m.spi, flashResetEnable, 0, 0)
			h.spi(m.spi, flashReset, 0, 0)
		})
	}
}

func TestFlashIDFollowsTheSize(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32", FlashSize: 16 << 20})
	if id := h.spi(esp32().spi, flashReadID, 0, 24); id != 0x1840C8 {
		t.Errorf("flash id of 16 MiB: %#x, want 0x1840c8", id)
	}
}

func TestFusesDescribeTheChip(t *testing.T) {
	mac := []byte{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	for _, tt := range []struct {
		chip      string
		misbehave Kind
		addr      uint32
		want      uint32
	}{
		{"esp32c3", "", 0x40001000, 0x1B31506F},
		{"esp32c3", "", 0x60008844, 0x22334455},
		{"esp32c3", "", 0x60008848, 0x0211},
		{"esp32c3", "", 0x60008834, 0},
		{"esp32c3", "", 0x60008838, 0},
		{"esp32c3", FlashEncryption, 0x60008834, 1 << 18},
		{"esp32c3", SecureBoot, 0x60008838, 1 << 20},
		{"esp32c3", "", 0x3FCDF07C, 0},
		{"esp32", "", 0x40001000, 0x00F01D83},
		{"esp32", "", 0x3FF5A004, 0x22334455},
		{"esp32", "", 0x3FF5A000, 0},
		{"esp32", FlashEncryption, 0x3FF5A000, 1 << 20},
		{"esp32", SecureBoot, 0x3FF5A018, 1 << 5},
		{"esp32", "", 0x3FF40014, 347 | 3<<20},
	} {
		cfg := Config{Chip: tt.chip, MAC: mac}
		if tt.misbehave != "" {
			cfg.Misbehave = []Misbehavior{{Kind: tt.misbehave}}
		}
		_, h := rom(t, cfg)
		if got := h.read(tt.addr); got != tt.want {
			t.Errorf("%s %s: %#x reads %#x, want %#x", tt.chip, tt.misbehave, tt.addr, got, tt.want)
		}
	}
	_, h := rom(t, Config{Chip: "esp32", MAC: []byte{0xDE, 0xAD, 0xBE, 0xEF, 0xC0, 0xDE}})
	// The CRC beside the address was computed with another implementation of
	// CRC-8/MAXIM.
	if got := h.read(0x3FF5A008); got != 0xE8DEAD {
		t.Errorf("address word with CRC: %#x", got)
	}
	h.write(0x40001000, 1)
	if got := h.read(0x40001000); got != 0x00F01D83 {
		t.Errorf("a fuse was written: %#x", got)
	}
}

func TestWriteRegMasks(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32c3"})
	h.write(0x60000200, 0xAAAAAAAA)
	h.want(WriteReg, words(0x60000200, 0x55555555, 0x0000FFFF, 0), 0, ok)
	if got := h.read(0x60000200); got != 0xAAAA5555 {
		t.Errorf("after a masked write: %#x, want 0xaaaa5555", got)
	}
}

func TestReadRegSeesLoadedPrograms(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32c3"})
	h.want(MemBegin, words(8, 1, 0x1800, 0x3FC90000), 0, ok)
	h.wantData(MemData, 0, []byte{1, 2, 3, 4, 5, 6, 7, 8}, ok)
	if got := h.read(0x3FC90004); got != 0x08070605 {
		t.Errorf("RAM reads %#x", got)
	}
}
